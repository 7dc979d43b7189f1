/** The guides that come with the package. Each adds another model's logits, or the model's own for another prompt, to those of a step. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {z} from "zod";
import {invalidArgument} from "../../errors.js";
import {promptTokens} from "../../generation/prompt-tokens.js";
import {check, options} from "../../validation/check.js";
import {finite, integer, loadedModel, numberAboveZero, numberIn, path, text} from "../../validation/schemas.js";
import {largest} from "./logits.js";
import {type ModelGuide, modelGuide} from "./model-guide.js";
import {networkGuide} from "./value-network.js";

/** What a model with another vocabulary must fulfil. */
export interface MappingOptions {
    /**
     * Where the vocabularies differ: the least share of the guided model's probability, in the mean over the steps so far, that must lie on tokens
     * that can be mapped; with less a generation ends with GUIDE_VOCABULARY. From 0 to 1. Default 0.9.
     */
    minMapped?: number;
}

const minMapped = numberIn(0, 1).default(0.9);
const modelSchema = z.union([path(), loadedModel], "a path of a .gguf file or a LlamaModel");

/** What `guidance` takes. */
export interface GuidanceOptions {
    /** What the text should not follow: a prompt, put to the model as by a chat session, or its tokens. Takes the place of everything before the response. */
    negativePrompt: string | readonly Token[];
    /** 1 leaves the logits as they are; the larger, the farther from the negative prompt. 0 follows it alone. */
    scale: number;
}

const guidanceSchema = options({
    negativePrompt: z.union(
        [text, z.array(integer(0)).min(1, {error: "a text or tokens", abort: true})],
        "a text or tokens"
    ),
    scale: finite
});

/**
 * Classifier-free guidance: logits = negative + scale · (logits − negative), where `negative` are those of the same model for the
 * negative prompt and the response so far. Tokens that a guide before it has left out stay out.
 *
 * @throws MaraError INVALID_ARGUMENT
 */
export function guidance(given: GuidanceOptions): ModelGuide {
    const {negativePrompt, scale} = check(guidanceSchema, given, "the options of guidance", "");
    const promptOf = (model: LlamaModel) => {
        if (typeof negativePrompt === "string") return promptTokens(model, negativePrompt);
        const most = model.fileInfo.metadata.tokenizer.ggml.tokens.length - 1;
        const wrong = negativePrompt.find((token) => token > most);
        if (wrong === undefined) return negativePrompt;
        throw invalidArgument("negativePrompt", `tokens of the model, from 0 to ${most},`, wrong);
    };
    return modelGuide([{name: "negativePrompt", model: undefined, promptOf}], (logits, [negative]) => {
        const other = negative as Float32Array;
        for (let i = 0; i < logits.length; i++) {
            const [own, away] = [logits[i] as number, other[i] as number];
            // A token that an earlier guide has left out stays out, whatever the scale.
            if (own !== Number.NEGATIVE_INFINITY) logits[i] = away + scale * (own - away);
        }
    });
}

/** What `contrast` takes. */
export interface ContrastOptions extends MappingOptions {
    /** A weaker model: a .gguf file or a loaded model. */
    amateur: string | LlamaModel;
    /** How much of the difference is added. 0 adds nothing. */
    weight: number;
    /** Tokens less probable than this times the most probable one are left out, by the probabilities before the guide. In (0, 1]. Default 0.1. */
    plausibility?: number;
}

const contrastSchema = options({
    amateur: modelSchema,
    weight: finite,
    plausibility: numberAboveZero(1).default(0.1),
    minMapped
});

/** Taken from implausible tokens where a grammar may leave no others: enough that e to its negative is 0, little enough that they keep their order. */
const farBelow = 1000;

/**
 * Contrastive decoding: logits += weight · (logits − amateur), among the plausible tokens only. A grammar that allows none of them gets
 * the others.
 *
 * @throws MaraError INVALID_ARGUMENT
 */
export function contrast(given: ContrastOptions): ModelGuide {
    const {amateur, weight, plausibility, minMapped} = check(contrastSchema, given, "the options of contrast", "");
    return modelGuide([{name: "amateur", model: amateur, minMapped}], (logits, [other], {hasGrammar}) => {
        const penalty = hasGrammar ? farBelow : Number.POSITIVE_INFINITY;
        const least = largest(logits) + Math.log(plausibility);
        const weak = other as Float32Array;
        for (let i = 0; i < logits.length; i++) {
            const logit = logits[i] as number;
            const lead = logit - (weak[i] as number);
            // A token that the amateur does not have is nothing that it does worse.
            logits[i] = logit < least ? logit - penalty : logit + weight * (Number.isNaN(lead) ? 0 : lead);
        }
    });
}

/** What `valueModel` takes. */
export interface ValueModelOptions extends MappingOptions {
    /** The model after post-training, or, without a `base`, one whose logits are the changes: a .gguf file or a loaded model. */
    tuned: string | LlamaModel;
    /** The same model before. Left out, `tuned` gives the change of each logit itself. */
    base?: string | LlamaModel;
    /** How much of the change is added. Default 1. */
    weight?: number;
}

/** What `valueModel` takes for a value network. */
export interface ValueNetworkOptions {
    /** A `.safetensors` file that `trainValue` or `mara train --method value` wrote. */
    network: string;
    /** How much of the change is added. Default 1. */
    weight?: number;
}

const valueNetworkSchema = options({network: path(), weight: finite.default(1)});
const valueModelSchema = options({
    tuned: modelSchema,
    base: modelSchema.optional(),
    weight: finite.default(1),
    minMapped
});

/**
 * Adds what post-training changed in another model: logits += weight · (tuned − base). Or, given a value `network`, what that gives for the most
 * probable tokens, by the guided model's own hidden state; a network of another width than the model's is refused with VALUE_NETWORK when the
 * context is created.
 *
 * @throws MaraError INVALID_ARGUMENT
 */
export function valueModel(given: ValueModelOptions | ValueNetworkOptions): ModelGuide {
    if (isNetwork(given)) return networkGuide(check(valueNetworkSchema, given, "the options of valueModel", ""));
    const {tuned, base, weight, minMapped} = check(valueModelSchema, given, "the options of valueModel", "");
    const models = [
        {name: "tuned", model: tuned, minMapped, isChange: base === undefined},
        ...(base === undefined ? [] : [{name: "base", model: base, minMapped}])
    ];
    return modelGuide(models, (logits, [after, before]) => {
        const change = after as Float32Array;
        for (let i = 0; i < logits.length; i++) {
            const difference = (change[i] as number) - (before?.[i] ?? 0);
            if (!Number.isNaN(difference)) logits[i] = (logits[i] as number) + weight * difference;
        }
    });
}

function isNetwork(given: ValueModelOptions | ValueNetworkOptions): given is ValueNetworkOptions {
    return typeof given === "object" && given !== null && Object.hasOwn(given, "network");
}
