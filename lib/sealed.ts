/** JSON objects that carry a hash of themselves, so that a byte that changed on disk is noticed. */
import {createHash} from "node:crypto";
import type {ZodType} from "zod";

/** JSON text of `value` with the further key `check`; in one line unless `indent` is given. */
export function seal(value: object, indent?: number): string {
    return JSON.stringify({...value, check: checkOf(value)}, null, indent);
}

/**
 * The sealed object, of the shape that `schema` describes.
 * @throws Error whose message is fit to follow the file's name: "is not JSON"
 */
export function unseal<T>(text: string, schema: ZodType<T>): T {
    let value: unknown;
    try {
        value = JSON.parse(text);
    } catch (error) {
        throw new Error("is not JSON", {cause: error});
    }
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("is no JSON object");
    const {check, ...rest} = value as Record<string, unknown>;
    if (check !== checkOf(rest)) throw new Error("is not as it was written");
    const {success, data, error} = schema.safeParse(rest);
    if (success) return data;
    const [issue] = error.issues;
    throw new Error(`is not as it was written: ${issue?.path.join(".")}: ${issue?.message}`);
}

function checkOf(value: object): string {
    return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}
