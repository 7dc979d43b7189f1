/** What `createAlignedContext` takes besides the aligner's settings. */
import type {LlamaContextOptions} from "node-llama-cpp";
import {z} from "zod";
import {check, options} from "../validation/check.js";
import {contextOptions, integer, oneOf} from "../validation/schemas.js";
import {maxTopK} from "./candidate-options.js";
import {type AlignerSettings, settings} from "./options.js";

/** How candidates are evaluated: side by side in spare sequences, or one a decode by stock calls. */
export type Mode = "lanes" | "serial";

/** node-llama-cpp's `LlamaContextOptions` and what steers the alignment. */
export interface AlignedContextOptions extends LlamaContextOptions, AlignerSettings {
    /**
     * "lanes": candidates are decoded as batches in spare sequences of a unified KV cache; throws LANES_UNAVAILABLE where
     * node-llama-cpp's memory layout cannot be verified. "serial": stock node-llama-cpp calls only, one candidate a decode.
     * Default "auto": lanes when they can be had, otherwise serial with one warning that says why.
     */
    mode?: "auto" | Mode;
    /**
     * Most candidates decoded beside the main sequences in one batch. Default: topK − 1, at most 15 of them on a CPU, and 1 for models with recurrent
     * layers.
     */
    lanes?: number;
    /**
     * How many candidates are tried together. "auto" learns the cost of batches and the acceptance rates, and minimises the
     * expected time. An array gives the sizes of a decision's first, second, … wave; its last size is repeated. Sizes
     * are cut to the lanes at hand. Changes time, never tokens. Default "auto".
     */
    waves?: "auto" | readonly number[];
    /**
     * How a batch with tokens of several sequences is decoded in lanes mode. "auto": token by token where that takes less time and changes no text
     * (docs/design.md, "Token by token"); "whole": never so. "alone": always so, and no two prompts in a batch, so that a token's rounding does not
     * depend on its company, whatever the type of the weights; for CPUs and models without windows and recurrent layers. Default "auto".
     */
    batches?: Batches;
}

/** How batches are decoded; see `AlignedContextOptions.batches`. */
export type Batches = "auto" | "whole" | "alone";

export const modeSchema = oneOf(["auto", "lanes", "serial"]);
export const wavesSchema = z
    .array(integer(1, maxTopK), "a non-empty array of integers")
    .min(1, {error: "a non-empty array of integers", abort: true});

const contextSchema = options({
    ...contextOptions,
    ...settings,
    mode: modeSchema.optional(),
    lanes: integer(1).optional(),
    waves: z.union([z.literal("auto"), wavesSchema], '"auto" or a non-empty array of integers').optional(),
    batches: oneOf(["auto", "whole", "alone"]).optional()
});

/** @throws MaraError INVALID_ARGUMENT */
export function checkContextOptions(given: AlignedContextOptions): AlignedContextOptions {
    return check(contextSchema, given, "options", "") as AlignedContextOptions;
}

/** Splits aligner settings from the options that belong to node-llama-cpp or to the mode. */
export function pickSettings(options: AlignedContextOptions): {
    settings: AlignerSettings;
    others: AlignedContextOptions;
} {
    const isSetting = (key: string) => Object.hasOwn(settings, key);
    const pick = (wanted: boolean) =>
        Object.fromEntries(Object.entries(options).filter(([key]) => isSetting(key) === wanted));
    return {
        settings: pick(true) as unknown as AlignerSettings,
        others: pick(false) as unknown as AlignedContextOptions
    };
}
