/** Reads the bodies of requests. */
import type {z} from "zod";
import {ApiError} from "./api-error.js";

/** Longest text of a refusal. */
const longest = 600;

/**
 * The body as the schema gives it.
 * @throws ApiError 400, 413, 415
 */
export async function readBody<Schema extends z.ZodType>(
    request: Request,
    schema: Schema,
    maxBytes: number
): Promise<z.output<Schema>> {
    // Other types are sent by pages of any origin without asking first (CORS).
    const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
    if (type !== "application/json") throw new ApiError(415, "The body must be application/json");
    const text = await readText(request, maxBytes);
    await ownTurn();
    let value: unknown;
    try {
        value = JSON.parse(text);
    } catch {
        throw new ApiError(400, "The body is not JSON", {code: "invalid_json"});
    }
    if (isTooDeep(value))
        throw new ApiError(400, `The body is nested deeper than ${deepest} levels`, {code: "invalid_json"});
    return checkBody(schema, value, text.length <= mostExplained);
}

let lastTurn: Promise<void> = Promise.resolve();

/**
 * Resolves in a turn of the event loop that no other body is looked at in: many that come at once would otherwise hold up every token that is
 * being generated until the last of them is prepared.
 */
function ownTurn(): Promise<void> {
    lastTurn = lastTurn.then(() => new Promise((resolve) => setImmediate(resolve)));
    return lastTurn;
}

/** Characters of a body all of whose errors are looked for: a longer one may have hundreds of thousands of them. */
const mostExplained = 2 ** 14;

/** Levels of nested JSON: what copies or writes it calls itself for each of them. */
const deepest = 500;

/** True for JSON that is nested deeper than anything of it may be. */
export function isTooDeep(value: unknown): boolean {
    let level = [value];
    for (let depth = 0; level.length > 0; depth++) {
        if (depth > deepest) return true;
        level = level.flatMap((one) => (typeof one === "object" && one !== null ? Object.values(one) : []));
    }
    return false;
}

/** `explain` looks for all errors, to tell the one that helps most. @throws ApiError 400 that names the field */
function checkBody<Schema extends z.ZodType>(schema: Schema, value: unknown, explain: boolean): z.output<Schema> {
    // zod's own `validate` sets it; it is no part of the options' type.
    const options: z.core.ParseContext<Issue> & {abortEarly: boolean} = {abortEarly: !explain};
    const result = schema.safeParse(value, options);
    if (result.success) return result.data;
    const {issue, path} = innermost(result.error.issues);
    const keys = issue.code === "unrecognized_keys" ? issue.keys : [];
    const param = spell([...path, ...keys.slice(0, 1)]);
    const reason = keys.length > 0 ? "this server does not know the field, or cannot honour it" : issue.message;
    const message = `${param === "" ? "The body" : param}: ${reason}`.slice(0, longest);
    throw new ApiError(400, message, {
        ...(param === "" ? {} : {param: param.slice(0, longest)}),
        code: keys.length > 0 ? "unknown_field" : "invalid_value"
    });
}

type Issue = z.core.$ZodIssue;

/** Unknown fields are told first: a misspelt one explains why another is missing. Of a union, the alternative that fits at the outside. */
function innermost(issues: readonly Issue[], before: readonly PropertyKey[] = []): {issue: Issue; path: PropertyKey[]} {
    const issue = issues.find(({code}) => code === "unrecognized_keys") ?? (issues[0] as Issue);
    const path = [...before, ...issue.path];
    if (issue.code !== "invalid_union") return {issue, path};
    const inner = issue.errors.find(
        ([first]) => first !== undefined && (first.path.length > 0 || first.code === "unrecognized_keys")
    );
    return inner === undefined ? {issue, path} : innermost(inner, path);
}

function spell(path: readonly PropertyKey[]): string {
    return path.reduce<string>((text, key) => {
        if (typeof key === "number") return `${text}[${key}]`;
        return text === "" ? String(key) : `${text}.${String(key)}`;
    }, "");
}

async function readText(request: Request, maxBytes: number): Promise<string> {
    const tooLarge = () => new ApiError(413, `The body is larger than ${maxBytes} bytes`, {code: "body_too_large"});
    if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge();
    const decoder = new TextDecoder();
    let [text, size] = ["", 0];
    try {
        for await (const chunk of (request.body ?? []) as AsyncIterable<Uint8Array>) {
            size += chunk.byteLength;
            if (size > maxBytes) throw tooLarge();
            text += decoder.decode(chunk, {stream: true});
        }
        text += decoder.decode();
    } finally {
        texts.set(request, text);
    }
    return text;
}

const texts = new WeakMap<Request, string>();

/** As much of a request's body as has been read; a copy of the request would hold up the end of a body that is too large. */
export function bodyRead(request: Request): string | undefined {
    return texts.get(request);
}
