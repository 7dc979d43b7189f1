/** The schemas that several functions share; each says what it expects, as `check` puts it into messages. */
import type {Llama, LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {z} from "zod";
import {options} from "./check.js";

/** "one of "a", "b"" */
export function oneOf<const Values extends readonly [string, ...string[]]>(values: Values) {
    return z.enum(values, `one of ${values.map((value) => JSON.stringify(value)).join(", ")}`);
}

export function integer(min: number, max = Number.MAX_SAFE_INTEGER) {
    const expected =
        max === Number.MAX_SAFE_INTEGER ? `an integer of at least ${min}` : `an integer from ${min} to ${max}`;
    return z.int(expected).min(min, expected).max(max, expected);
}

export function numberIn(min: number, max: number) {
    const expected = `a number in [${min}, ${max}]`;
    return z.number(expected).min(min, expected).max(max, expected);
}

/** In (0, `max`]. */
export function numberAboveZero(max: number) {
    const expected = `a number in (0, ${max}]`;
    return z.number(expected).gt(0, expected).max(max, expected);
}

export function func<Type extends (...args: never[]) => unknown>() {
    return z.custom<Type>((value) => typeof value === "function", "a function");
}

/** An object that has these properties, as instances of another package's class do. */
export function having<Type>(expected: string, ...keys: (keyof Type & string)[]) {
    return z.custom<Type>((value) => {
        if (typeof value !== "object" || value === null) return false;
        return keys.every((key) => (value as Partial<Type>)[key] != null);
    }, expected);
}

/** An object, or anything else, that has this method. */
export function withMethod<Type>(name: keyof Type & string, expected = `an object with a method \`${name}\``) {
    return z.custom<Type>((value) => typeof (value as Type | null | undefined)?.[name] === "function", expected);
}

export const finite = z.number("a finite number");
export const finiteAtLeastZero = z.number("a finite number of at least 0").min(0, "a finite number of at least 0");
export const finiteAboveZero = z.number("a finite number above 0").gt(0, "a finite number above 0");
export const boolean = z.boolean("a boolean");
export const anyText = z.string("a text");
export const text = z.string("a text that is not empty").min(1, {error: "a text that is not empty", abort: true});
export const signal = z.instanceof(AbortSignal, {error: "an AbortSignal"});
export const seed = integer(0, 2 ** 32 - 1);

/** No file's name holds a NUL, for which Node throws errors of its own. */
export function path(expected = "a path") {
    return z.string(expected).regex(/^[^\0]+$/, {error: expected, abort: true});
}

export const llama = having<Llama>("a Llama of node-llama-cpp", "loadModel", "gpu");
export const loadedModel = having<LlamaModel>("a LlamaModel of node-llama-cpp", "fileInsights", "llama", "tokenizer");
export const context = having<LlamaContext>("a LlamaContext of node-llama-cpp", "getSequence", "model");

const size = integer(1, 2 ** 31 - 1);
const cacheType = z.union([z.string(), z.int()], "a GGML type");
const strategy = '"maximumParallelism", "firstInFirstOut" or a function';

/** node-llama-cpp's own options of a context. */
export const contextOptions = {
    sequences: integer(1, 256).optional(),
    contextSize: z
        .union(
            [z.literal("auto"), size, options({min: size.optional(), max: size.optional()})],
            '"auto", a number of tokens, or {min, max}'
        )
        .optional(),
    batchSize: size.optional(),
    flashAttention: z.union([z.literal("auto"), boolean], '"auto" or a boolean').optional(),
    threads: z
        .union(
            [integer(0, 1024), options({ideal: integer(0, 1024).optional(), min: integer(0, 1024).optional()})],
            "a number of threads, or {ideal, min}"
        )
        .optional(),
    batching: options({
        dispatchSchedule: z.union([z.literal("nextCycle"), func()], '"nextCycle" or a function').optional(),
        itemPrioritizationStrategy: z
            .union([z.enum(["maximumParallelism", "firstInFirstOut"]), func()], strategy)
            .optional()
    }).optional(),
    experimentalKvCacheKeyType: cacheType.optional(),
    experimentalKvCacheValueType: cacheType.optional(),
    swaFullCache: boolean.optional(),
    lora: z
        .union(
            [path(), z.looseObject({adapters: z.array(z.looseObject({filePath: path()}), "an array")})],
            "a path or {adapters}"
        )
        .optional(),
    createSignal: signal.optional(),
    ignoreMemorySafetyChecks: boolean.optional(),
    failedCreationRemedy: z
        .union(
            [
                z.literal(false),
                options({
                    retries: integer(0, 1000).optional(),
                    autoContextSizeShrink: z
                        .union([numberIn(0, 1), func()], "a number in [0, 1] or a function")
                        .optional()
                })
            ],
            "false or an object"
        )
        .optional(),
    performanceTracking: boolean.optional()
} satisfies Record<keyof LlamaContextOptions, z.ZodType>;
