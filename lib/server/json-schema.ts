/** JSON schemas of requests as those of which node-llama-cpp makes grammars. What a grammar would not hold is refused. */
import type {GbnfJsonSchema} from "node-llama-cpp";
import {refused} from "./api-error.js";

type Schema = Record<string, unknown>;

/** They say something about values, and nothing about which there are. */
const annotations = [
    "title",
    "default",
    "examples",
    "$schema",
    "$id",
    "$comment",
    "readOnly",
    "writeOnly",
    "deprecated"
];
const numbers = ["minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"];
const kept = [...numbers, "description", "enum", "const", "required"];
const scalars = ["string", "number", "integer", "boolean", "null"];
const formats = ["date-time", "time", "date"];
const deepest = 64;

/** @throws ApiError 400 that names the place */
export function gbnfSchema(schema: unknown, place: string, depth = 0): GbnfJsonSchema {
    if (typeof schema !== "object" || schema === null || Array.isArray(schema)) throw refused(place, "no JSON schema");
    if (depth > deepest) throw refused(place, `nested more than ${deepest} levels deep`);
    const inner = (value: unknown, key: string) => gbnfSchema(value, `${place}.${key}`, depth + 1);
    const each = (value: unknown, key: string) => {
        if (typeof value !== "object" || value === null) throw refused(`${place}.${key}`, "no object of schemas");
        return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, inner(one, `${key}.${name}`)]));
    };
    const list = (value: unknown, key: string) => {
        if (!Array.isArray(value)) throw refused(`${place}.${key}`, "no array of schemas");
        return value.map((one, i) => inner(one, `${key}[${i}]`));
    };
    const result: Schema = {};
    for (const [key, value] of Object.entries(schema as Schema)) {
        if (value === undefined || annotations.includes(key) || isSafeInteger(key, value)) continue;
        else if (kept.includes(key)) result[key] = value;
        else if (key === "type") Object.assign(result, typeOf(value, `${place}.type`));
        else if (key === "properties") result.properties = each(value, key);
        else if (key === "$defs" || key === "definitions") result.$defs = each(value, key);
        else if (key === "oneOf" || key === "anyOf") result.oneOf = list(value, key);
        else if (key === "prefixItems") result.prefixItems = list(value, key);
        else if (key === "items") result.items = inner(value, key);
        else if (key === "additionalProperties") result[key] = typeof value === "boolean" ? value : inner(value, key);
        else if (key === "format" && formats.includes(value as string)) result.format = value;
        else if (key === "$ref" && typeof value === "string" && /^#\/(\$defs|definitions)\/[^/]+$/.test(value))
            result.$ref = value.replace("#/definitions/", "#/$defs/");
        else throw refused(`${place}.${key}`, "no grammar can be made of it");
    }
    return result as unknown as GbnfJsonSchema;
}

/** Bounds that zod writes for every integer. */
function isSafeInteger(key: string, value: unknown): boolean {
    return (
        (key === "minimum" && value === Number.MIN_SAFE_INTEGER) ||
        (key === "maximum" && value === Number.MAX_SAFE_INTEGER)
    );
}

function typeOf(value: unknown, place: string): Schema {
    const names = Array.isArray(value) ? value : [value];
    const known = Array.isArray(value) ? scalars : [...scalars, "object", "array"];
    const unknown = names.find((name) => !known.includes(name as string));
    if (unknown !== undefined || names.length === 0) throw refused(place, `expected of ${known.join(", ")}`);
    return {type: value};
}
