/** Which values a schema leaves, and where it leaves none. */
import type {JsonSchema, Unheld} from "./json-schema.js";

export const formats = ["date-time", "time", "date"];
export const counts = ["minProperties", "maxProperties", "minItems", "maxItems", "minLength", "maxLength"];

/** The largest counts of a grammar, behind named properties or items and elsewhere. llama.cpp refuses larger ones, or takes them for no bound. */
const mostCounted = {behind: 600, elsewhere: 1000} as const;

export function isCount(value: unknown): value is number {
    return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** The values of `enum` and `const` that are of the schema's types. */
export function valuesOf({const: only, enum: some}: JsonSchema, types: readonly string[] | undefined): unknown[] {
    const values = some === undefined ? [only] : (some as unknown[]);
    const text = only === undefined ? undefined : JSON.stringify(only);
    const isOnly = (value: unknown) => text === undefined || JSON.stringify(value) === text;
    return values.filter((value) => isOnly(value) && (types === undefined || types.some((type) => isOf(value, type))));
}

function isOf(value: unknown, type: string): boolean {
    if (type === "null") return value === null;
    if (type === "array") return Array.isArray(value);
    if (type === "integer") return Number.isInteger(value);
    return typeof value === type && value !== null && !Array.isArray(value);
}

/** Keywords that nothing which the grammar writes could fulfil. */
export function contradictions(schema: JsonSchema, types: readonly string[] | undefined): Omit<Unheld, "place">[] {
    const found: Omit<Unheld, "place">[] = [];
    const add = (keyword: string, reason: string, changesForm = true) => found.push({keyword, reason, changesForm});
    const {properties, additionalProperties, prefixItems, required, format} = schema;
    const count = (keyword: string) => (isCount(schema[keyword]) ? schema[keyword] : undefined);
    const named = {
        Properties: Object.keys(properties ?? {}).length,
        Items: [prefixItems ?? []].flat().length,
        Length: 0
    };
    for (const [what, fixed] of Object.entries(named)) {
        const [min, max] = [count(`min${what}`), count(`max${what}`)];
        const most = mostCounted[fixed > 0 ? "behind" : "elsewhere"];
        for (const [keyword, value] of [
            [`min${what}`, min],
            [`max${what}`, max]
        ] as const)
            if (value !== undefined && value > most) add(keyword, `no grammar counts to more than ${most}`, false);
        if (min !== undefined && max !== undefined && min > max)
            add(`min${what}`, `it is more than max${what}, ${max}`);
        if (max !== undefined && max < fixed) add(`max${what}`, `${fixed} are written always`);
    }
    const min = count("minProperties") ?? 0;
    if (properties != null && min > named.Properties && (additionalProperties ?? false) === false)
        add("minProperties", `there are ${named.Properties} properties and no others`);
    if (required != null && (types === undefined || types.includes("object"))) {
        if (!Array.isArray(required)) add("required", "it is no list of names");
        else
            for (const [i, name] of required.entries())
                if (!Object.hasOwn(properties ?? {}, name)) add(`required[${i}]`, "there is no such property", false);
    }
    for (const keyword of counts) {
        const isText = keyword.endsWith("Length");
        if (schema[keyword] === undefined) continue;
        if (types === undefined && schema.type === undefined) add(keyword, "it needs a type beside it", false);
        else if (isText && formats.includes(format as string)) add(keyword, "not beside format", false);
    }
    return found;
}
