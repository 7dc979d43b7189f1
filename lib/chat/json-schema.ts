/** JSON schemas as other libraries write them, made into those from which node-llama-cpp makes grammars. */
import type {GbnfJsonObjectSchema, Llama, LlamaGrammar} from "node-llama-cpp";
import {invalidArgument} from "../errors.js";

/** A JSON schema of any draft, as zod and others write it. */
export type JsonSchema = {readonly [keyword: string]: unknown};

/** What node-llama-cpp's grammars hold an answer to, or can do without. */
const known = new Set(
    (
        "$schema $id $ref $defs definitions type const enum oneOf anyOf properties required additionalProperties propertyNames " +
        "minProperties maxProperties items prefixItems minItems maxItems minLength maxLength format nullable " +
        "title description default examples deprecated readOnly writeOnly $comment"
    ).split(" ")
);

const formats = ["date-time", "time", "date"];
const basic = ["string", "number", "integer", "boolean", "null"];
/** zod bounds every integer by these. */
const unbounded = new Set<unknown>([Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER]);

const anything: JsonSchema = {
    oneOf: [
        {type: ["string", "number", "boolean", "null"]},
        {type: "object", additionalProperties: true},
        {type: "array"}
    ]
};

/**
 * The schema in node-llama-cpp's words, and the keywords to which its grammar does not hold an answer (`pattern`, `minimum` …). Properties
 * that are not required are written all the same.
 * @param name what the schema is called in messages
 * @throws MaraError INVALID_ARGUMENT for `allOf`, `not`, tuples by `items` and references elsewhere than into the definitions at the root
 */
export function grammarSchema(schema: JsonSchema, name: string): {schema: GbnfJsonObjectSchema; unheld: string[]} {
    const unheld = new Set<string>();
    const made = converted(schema, name, unheld);
    const definitions = (schema.$defs ?? schema.definitions) as Record<string, JsonSchema> | undefined;
    const defs = Object.entries(definitions ?? {}).map(([key, value]) => [
        key,
        converted(value, `${name}.$defs.${key}`, unheld)
    ]);
    const whole = defs.length === 0 ? made : {...made, $defs: Object.fromEntries(defs)};
    return {schema: whole as GbnfJsonObjectSchema, unheld: [...unheld].sort()};
}

/**
 * @throws MaraError INVALID_ARGUMENT where node-llama-cpp makes no grammar of the schema, too
 */
export async function jsonGrammar(llama: Llama, schema: JsonSchema | "any", name: string): Promise<LlamaGrammar> {
    if (schema === "any") return await llama.getGrammarFor("json");
    const {schema: made} = grammarSchema(schema, name);
    try {
        return await llama.createGrammarForJsonSchema(made);
    } catch (error) {
        throw invalidArgument(name, "a schema that a grammar can be made of", schema, `: ${(error as Error).message}`);
    }
}

function converted(schema: JsonSchema | boolean, name: string, unheld: Set<string>): JsonSchema {
    if (schema === true) return anything;
    if (typeof schema !== "object" || schema === null) throw invalidArgument(name, "a JSON schema", schema);
    for (const [keyword, value] of Object.entries(schema)) {
        if (keyword === "allOf" || keyword === "not" || (keyword === "items" && Array.isArray(value)))
            throw invalidArgument(`${name}.${keyword}`, "a schema without it, which a grammar cannot say,", value);
        if (keyword === "format" ? !formats.includes(value as string) : !known.has(keyword) && !unbounded.has(value))
            unheld.add(keyword);
    }
    const inner = (value: unknown, key: string) => converted(value as JsonSchema, `${name}.${key}`, unheld);
    const all = (values: unknown, key: string) => (values as unknown[]).map((value, i) => inner(value, `${key}[${i}]`));
    const described = typeof schema.description === "string" ? {description: schema.description} : {};
    if (typeof schema.$ref === "string") return {...described, $ref: reference(schema.$ref, `${name}.$ref`)};
    const alternatives = schema.oneOf ?? schema.anyOf;
    if (Array.isArray(alternatives)) return {...described, oneOf: all(alternatives, "oneOf")};
    if ("const" in schema || "enum" in schema) return {...described, ...picked(schema, ["const", "enum"])};

    const types = typesOf(schema);
    if (types === undefined) return {...anything, ...described};
    const made = types.map((type): JsonSchema => {
        if (type === "object") {
            const properties = Object.entries((schema.properties ?? {}) as Record<string, unknown>);
            const others = schema.additionalProperties ?? schema.properties === undefined;
            return {
                ...described,
                type,
                ...picked(schema, ["minProperties", "maxProperties"]),
                properties: Object.fromEntries(properties.map(([key, value]) => [key, inner(value, key)])),
                additionalProperties: typeof others === "boolean" ? others : inner(others, "additionalProperties")
            };
        }
        if (type === "array")
            return {
                ...described,
                type,
                ...picked(schema, ["minItems", "maxItems"]),
                ...(schema.items !== undefined && {items: inner(schema.items, "items")}),
                ...(schema.prefixItems !== undefined && {prefixItems: all(schema.prefixItems, "prefixItems")})
            };
        const ofText = formats.includes(schema.format as string) ? ["format"] : ["minLength", "maxLength"];
        return {...described, type, ...(type === "string" && picked(schema, ofText))};
    });
    return made.length === 1 ? (made[0] as JsonSchema) : {...described, oneOf: made};
}

function picked(schema: JsonSchema, keywords: readonly string[]): JsonSchema {
    return Object.fromEntries(keywords.filter((one) => schema[one] !== undefined).map((one) => [one, schema[one]]));
}

function reference(ref: string, name: string): string {
    const [, key] = ref.match(/^#\/(?:\$defs|definitions)\/([^/]+)$/) ?? [];
    if (key === undefined) throw invalidArgument(name, "a reference into the definitions at the root", ref);
    return `#/$defs/${key}`;
}

/** Undefined where the schema says nothing about the type. */
function typesOf({type, properties, items, prefixItems, nullable}: JsonSchema): string[] | undefined {
    const types = [type ?? (properties ? "object" : (items ?? prefixItems) ? "array" : [])].flat() as string[];
    if (types.length === 0 || !types.every((one) => [...basic, "object", "array"].includes(one))) return undefined;
    return nullable === true && !types.includes("null") ? [...types, "null"] : types;
}
