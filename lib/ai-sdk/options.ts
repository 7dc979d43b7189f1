import type {ChatWrapper} from "node-llama-cpp";
import {z} from "zod";
import {
    type AlignerSettings,
    type CascadeOption,
    cascadeSchema,
    type Strategy,
    strategySchema
} from "../align/options.js";
import {check, options} from "../validation/check.js";
import {boolean, numberIn, text, withMethod} from "../validation/schemas.js";

/** What `mara` takes. */
export interface MaraModelOptions {
    /** The name by which the AI SDK and its telemetry know the model. Default: the name in the model's file, else "mara". */
    modelId?: string;
    /**
     * Laid over the context's settings for the answers of this language model, as `aligner.configure` takes them: so two language models
     * with different agents answer in one context. Default none.
     */
    settings?: Partial<AlignerSettings>;
    /** How conversations are put to the model. Default: what node-llama-cpp finds for it. */
    chatWrapper?: ChatWrapper;
    /** Are the decisions of an answer put into its `providerMetadata.mara`? Default true. */
    decisions?: boolean;
}

/** What `providerOptions.mara` takes, for one call. Fields that are left out are as the language model or the context says. */
export interface MaraCallOptions {
    /** In [0, 1]; see `AlignerSettings`. */
    threshold?: number;
    /** Off: the answer is the model's own. */
    enabled?: boolean;
    /** See `AlignerSettings`. */
    cascade?: CascadeOption;
    /** See `AlignerSettings`. */
    strategy?: Strategy;
    /** In [0, 1]; see `CandidateOptions`. */
    minP?: number;
    /** See `MaraModelOptions`. */
    decisions?: boolean;
}

const modelSchema = options({
    modelId: text.optional(),
    settings: z
        .custom<Partial<AlignerSettings>>((value) => typeof value === "object" && value !== null, "an object")
        .optional(),
    chatWrapper: withMethod<ChatWrapper>("generateContextState", "a ChatWrapper of node-llama-cpp").optional(),
    decisions: boolean.optional()
});

const callSchema = options({
    threshold: numberIn(0, 1).optional(),
    enabled: boolean.optional(),
    cascade: cascadeSchema.optional(),
    strategy: strategySchema.optional(),
    minP: numberIn(0, 1).optional(),
    decisions: boolean.optional()
});

/** @throws MaraError INVALID_ARGUMENT */
export function modelOptions(given: MaraModelOptions = {}): MaraModelOptions {
    return check(modelSchema, given, "options", "") as MaraModelOptions;
}

/** @throws MaraError INVALID_ARGUMENT */
export function callOptions(given: unknown = {}): MaraCallOptions {
    return check(callSchema, given, "providerOptions.mara") as MaraCallOptions;
}
