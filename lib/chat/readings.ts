/**
 * How ambiguous the grammar of a schema is. llama.cpp keeps every reading of what has been written so far, and walks through all of them for
 * every token of the vocabulary, in a call that nothing can end.
 */
import type {JsonSchema} from "./json-schema.js";

/** Readings at a time, levels for which they are counted, and comparisons of alternatives that the count may take. */
const most = {readings: 256, levels: 64, comparisons: 500_000} as const;

/** An object or an array among the alternatives of a value, and the places of those from which its beginning does not tell it apart. */
interface Alternative {
    schema: JsonSchema;
    alike: number[];
}

/** True if there may be more readings than a grammar should have. The schema is one that `convertSchema` has made. */
export function isTooAmbiguous(schema: JsonSchema): boolean {
    return new Readings(schema).areTooMany();
}

class Readings {
    readonly #root: JsonSchema;
    /** Several where inner definitions take a name again. */
    readonly #definitions = new Map<string, JsonSchema[]>();
    /** Of objects and arrays: the alternatives of each of their parts. */
    readonly #parts = new Map<JsonSchema, Alternative[][]>();
    #comparisons = 0;

    constructor(root: JsonSchema) {
        this.#root = root;
        this.#collect(root);
    }

    areTooMany(): boolean {
        const root = this.#alternatives(this.#root);
        const open = root.map(({schema}) => schema);
        for (let schema = open.pop(); schema !== undefined; schema = open.pop()) {
            if (this.#parts.has(schema)) continue;
            const parts = partsOf(schema).map((part) => this.#alternatives(part));
            if (this.#comparisons > most.comparisons) return true;
            this.#parts.set(schema, parts);
            open.push(...parts.flat().map((one) => one.schema));
        }
        // Of texts that are nested one level deeper each time; recursion has no other end.
        let counts = new Map<JsonSchema, number>();
        const readings = (alternatives: readonly Alternative[]) =>
            alternatives.reduce((max, {alike}) => {
                const sum = alike.reduce((sum, i) => sum + (counts.get(alternatives[i]?.schema as JsonSchema) ?? 1), 0);
                return Math.max(max, sum);
            }, 1);
        for (let level = 0; level < most.levels; level++) {
            if (readings(root) > most.readings) return true;
            const deeper = new Map<JsonSchema, number>();
            for (const [schema, parts] of this.#parts) deeper.set(schema, Math.max(1, ...parts.map(readings)));
            counts = deeper;
        }
        return false;
    }

    #collect(schema: unknown): void {
        if (typeof schema !== "object" || schema === null) return;
        for (const [key, value] of Object.entries(schema)) {
            if (key === "$defs")
                for (const [name, definition] of Object.entries(value as Record<string, JsonSchema>))
                    this.#definitions.set(name, [...(this.#definitions.get(name) ?? []), definition]);
            this.#collect(value);
        }
    }

    /** The objects and arrays that the value may be. */
    #alternatives(value: JsonSchema): Alternative[] {
        const found = [...this.#compounds(value, new Set())];
        const heads = found.map((schema) => this.#headOf(schema));
        this.#comparisons += found.length ** 2;
        if (this.#comparisons > most.comparisons) return [];
        return found.map((schema, i) => ({
            schema,
            alike: [...found.keys()].filter((j) => {
                return found[j]?.type === schema.type && !areApart(heads[i] as Head, heads[j] as Head);
            })
        }));
    }

    /** The same definition counts once: llama.cpp knows readings of one rule as one. */
    #compounds(value: JsonSchema, seen: Set<JsonSchema>, found = new Set<JsonSchema>()): Set<JsonSchema> {
        if (seen.has(value)) return found;
        seen.add(value);
        if (value.$ref !== undefined) {
            const name = String(value.$ref).replace("#/$defs/", "");
            for (const definition of this.#definitions.get(name) ?? []) this.#compounds(definition, seen, found);
        } else if (Array.isArray(value.oneOf)) for (const one of value.oneOf) this.#compounds(one, seen, found);
        else if (value.type === "object" || value.type === "array") found.add(value);
        return found;
    }

    /** What is written of an object before anything nested: its keys, and the values that they may have, where there is a choice of a few. */
    #headOf({properties = {}}: JsonSchema): Head {
        const head: Head = [];
        for (const [key, value] of Object.entries(properties as Record<string, JsonSchema>)) {
            head.push({key, values: valuesOf(value)});
            if (this.#compounds(value, new Set()).size > 0) break;
        }
        return head;
    }
}

type Head = {key: string; values: string[] | undefined}[];

/** True if two objects part before anything nested in them. */
function areApart(one: Head, other: Head): boolean {
    return one.some(({key, values}, i) => {
        const beside = other[i];
        if (beside === undefined) return false;
        if (beside.key !== key) return true;
        return values !== undefined && beside.values !== undefined && !values.some((v) => beside.values?.includes(v));
    });
}

function valuesOf(schema: JsonSchema): string[] | undefined {
    if ("const" in schema) return [JSON.stringify(schema.const)];
    return Array.isArray(schema.enum) && schema.enum.length <= 16
        ? schema.enum.map((value) => JSON.stringify(value))
        : undefined;
}

function partsOf({type, properties, additionalProperties, items, prefixItems}: JsonSchema): JsonSchema[] {
    const parts =
        type === "object"
            ? [...Object.values((properties ?? {}) as object), additionalProperties]
            : [items, ...((prefixItems ?? []) as unknown[])];
    return parts.filter((part): part is JsonSchema => typeof part === "object" && part !== null);
}
