/** JSON schemas as other libraries write them, made into those from which node-llama-cpp makes grammars. */
import type {GbnfJsonObjectSchema, Llama, LlamaGrammar} from "node-llama-cpp";
import {invalidArgument} from "../errors.js";
import {contradictions, counts, formats, isCount, valuesOf} from "./schema-values.js";

/** A JSON schema of any draft, as zod and others write it. */
export type JsonSchema = {readonly [keyword: string]: unknown};

/** A keyword of a schema to which the grammar does not hold an answer. */
export interface Unheld {
    /** `schema.properties.name.pattern` */
    place: string;
    keyword: string;
    reason: string;
    /** What the grammar would hold the answer to instead, without this keyword, is another form. */
    changesForm: boolean;
}

/** What node-llama-cpp's grammars hold an answer to, or can do without. */
const known = new Set(
    (
        "$schema $id $ref $defs definitions type const enum oneOf anyOf properties required additionalProperties " +
        "minProperties maxProperties items prefixItems minItems maxItems minLength maxLength format nullable " +
        "title description default examples deprecated readOnly writeOnly $comment"
    ).split(" ")
);

/** They say something about values, and nothing about which there are. */
const annotations =
    "$schema $id $defs definitions title description default examples deprecated readOnly writeOnly $comment";
const beside = {
    $ref: new Set([...annotations.split(" "), "$ref"]),
    oneOf: new Set([...annotations.split(" "), "oneOf"]),
    anyOf: new Set([...annotations.split(" "), "anyOf"]),
    values: new Set([...annotations.split(" "), "const", "enum", "type", "nullable"])
};

const basic = ["string", "number", "integer", "boolean", "null"];

const anything: JsonSchema = {
    oneOf: [
        {type: ["string", "number", "boolean", "null"]},
        {type: "object", additionalProperties: true},
        {type: "array"}
    ]
};

/** Levels of nested schemas. */
const deepest = 64;

/**
 * The schema in node-llama-cpp's words, and the keywords to which its grammar does not hold an answer (`pattern`, `minimum` …). Properties
 * that are not required are written all the same.
 * @param name what the schema is called
 */
export function convertSchema(schema: unknown, name: string): {schema: GbnfJsonObjectSchema; unheld: Unheld[]} {
    const unheld: Unheld[] = [];
    return {
        schema: converted(schema, {
            place: name,
            unheld,
            depth: 0,
            scopes: []
        }) as unknown as GbnfJsonObjectSchema,
        unheld
    };
}

/**
 * As `convertSchema`, for callers who may go on without the keywords that only narrow the form.
 * @throws MaraError INVALID_ARGUMENT for `allOf`, `not`, tuples by `items`, references elsewhere than into definitions, and what is no schema
 */
export function grammarSchema(schema: JsonSchema, name: string): {schema: GbnfJsonObjectSchema; unheld: string[]} {
    const {schema: made, unheld} = convertSchema(schema, name);
    const wrong = unheld.find(({changesForm}) => changesForm);
    if (wrong !== undefined)
        throw invalidArgument(
            wrong.place,
            "a schema of which a grammar can be made",
            wrong.keyword,
            `: ${wrong.reason}`
        );
    return {schema: made, unheld: [...new Set(unheld.map(({keyword}) => keyword))].sort()};
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

interface Surroundings {
    place: string;
    unheld: Unheld[];
    depth: number;
    /** Definitions around it, whose names `$ref` may have. */
    scopes: readonly object[];
}

function converted(given: unknown, {place, unheld, depth, scopes}: Surroundings): JsonSchema {
    if (given === true) return anything;
    const miss = (
        keyword: string,
        changesForm: boolean,
        reason = unholdable,
        at = `${place}.${keyword}`
    ): JsonSchema => {
        unheld.push({place: at, keyword: keyword.replace(/\[.*/, ""), reason, changesForm});
        return anything;
    };
    if (typeof given !== "object" || given === null || Array.isArray(given) || depth > deepest) {
        const wrong = `no JSON schema of at most ${deepest} levels`;
        return miss(wrong, true, `it is ${wrong}`, place);
    }
    const schema = given as JsonSchema;
    for (const [keyword, value] of Object.entries(schema))
        if (value !== undefined && !isHeld(keyword, value)) miss(keyword, changing.has(keyword));
    const types = typesOf(schema);
    const wrongs = contradictions(schema, types);
    for (const {keyword, changesForm, reason} of wrongs) miss(keyword, changesForm, reason);
    const own = [schema.definitions, schema.$defs].filter((one) => typeof one === "object" && one !== null);
    const inScope = [...scopes, ...own] as object[];
    const inner = (value: unknown, key: string) =>
        converted(value, {place: `${place}.${key}`, unheld, depth: depth + 1, scopes: inScope});
    const all = (key: string) =>
        Array.isArray(schema[key]) ? schema[key].map((value, i) => inner(value, `${key}[${i}]`)) : [miss(key, true)];
    const each = (key: string) => {
        const values = schema[key] ?? {};
        if (typeof values !== "object" || Array.isArray(values)) miss(key, true);
        return Object.fromEntries(Object.entries(values).map(([name, one]) => [name, inner(one, `${key}.${name}`)]));
    };
    const alone = (key: keyof typeof beside) => {
        for (const other of Object.keys(schema)) if (known.has(other) && !beside[key].has(other)) miss(other, false);
    };
    const counted = (keywords: readonly string[]) =>
        picked(
            schema,
            keywords.filter((keyword) => !wrongs.some((wrong) => wrong.keyword === keyword))
        );
    const $defs = {...each("definitions"), ...each("$defs")};
    const described = {
        ...(typeof schema.description === "string" && {description: schema.description}),
        ...(Object.keys($defs).length > 0 && {$defs})
    };
    if (schema.$ref !== undefined) {
        alone("$ref");
        const name = definitionOf(schema.$ref);
        if (name === undefined) return miss("$ref", true);
        if (!inScope.some((one) => Object.hasOwn(one, name)))
            return miss("$ref", true, `there is no definition ${JSON.stringify(name)}`);
        return {...described, $ref: `#/$defs/${name}`};
    }
    const alternatives = schema.oneOf === undefined ? "anyOf" : "oneOf";
    if (schema[alternatives] !== undefined) {
        alone(alternatives);
        const made = all(alternatives);
        return made.length > 0 ? {...described, oneOf: made} : miss(alternatives, true, "it has no alternative");
    }
    if (schema.const !== undefined || schema.enum !== undefined) {
        alone("values");
        const key = schema.enum === undefined ? "const" : "enum";
        if (schema.enum !== undefined && !Array.isArray(schema.enum)) return miss(key, true, "it is no list of values");
        const values = valuesOf(schema, types);
        return values.length > 0 ? {...described, enum: values} : miss(key, true, "no value of it fits the rest");
    }
    if (types === undefined) return {...(schema.type === undefined ? anything : miss("type", false)), ...described};
    const made = types.map((type): JsonSchema => {
        if (type === "object") {
            const others = schema.additionalProperties ?? schema.properties === undefined;
            return {
                ...described,
                type,
                ...counted(["minProperties", "maxProperties"]),
                properties: each("properties"),
                additionalProperties: typeof others === "boolean" ? others : inner(others, "additionalProperties")
            };
        }
        if (type === "array")
            return {
                ...described,
                type,
                ...counted(["minItems", "maxItems"]),
                ...(schema.items !== undefined && {items: inner(schema.items, "items")}),
                ...(schema.prefixItems !== undefined && {prefixItems: all("prefixItems")})
            };
        const ofText = formats.includes(schema.format as string) ? ["format"] : ["minLength", "maxLength"];
        return {...described, type, ...(type === "string" && counted(ofText))};
    });
    return made.length === 1 ? (made[0] as JsonSchema) : {...described, oneOf: made};
}

const unholdable = "no grammar can hold an answer to it";

/** The name in `#/$defs/name`, in which JSON pointers write ~ as ~0 and / as ~1. */
function definitionOf(reference: unknown): string | undefined {
    const [, name] = /^#\/(?:\$defs|definitions)\/([^/]+)$/.exec(String(reference)) ?? [];
    return name?.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** Without these the rest of a schema says something else. */
const changing = new Set(["allOf", "not", "items"]);

function isHeld(keyword: string, value: unknown): boolean {
    if (counts.includes(keyword)) return isCount(value);
    if (keyword === "format") return formats.includes(value as string);
    // zod bounds every integer, and writes this for records, whose names are texts anyway.
    if (keyword === "minimum") return value === Number.MIN_SAFE_INTEGER;
    if (keyword === "maximum") return value === Number.MAX_SAFE_INTEGER;
    if (keyword === "propertyNames") return JSON.stringify(value) === '{"type":"string"}';
    return known.has(keyword) && !(keyword === "items" && Array.isArray(value));
}

function picked(schema: JsonSchema, keywords: readonly string[]): JsonSchema {
    const given = keywords.filter(
        (one) => schema[one] !== undefined && (!counts.includes(one) || isHeld(one, schema[one]))
    );
    return Object.fromEntries(given.map((one) => [one, schema[one]]));
}

/** Undefined where the schema says nothing about the type. */
function typesOf({type, properties, items, prefixItems, nullable}: JsonSchema): string[] | undefined {
    const types = [type ?? (properties ? "object" : (items ?? prefixItems) ? "array" : [])].flat() as string[];
    if (types.length === 0 || !types.every((one) => [...basic, "object", "array"].includes(one))) return undefined;
    // Each is converted on its own: a type named twice at every level would double the work with each of them.
    return [...new Set(nullable === true ? [...types, "null"] : types)];
}
