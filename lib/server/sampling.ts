/** How tokens are drawn, from the fields that the endpoints share. */
import type {LLamaContextualRepeatPenalty, Token, TokenBias} from "node-llama-cpp";
import {refused} from "./api-error.js";
import type {Engine} from "./engine.js";
import type {SamplingFields} from "./schemas/common.js";

export interface Sampling {
    temperature: number | undefined;
    topK: number | undefined;
    topP: number | undefined;
    minP: number | undefined;
    seed: number | undefined;
    repeatPenalty: LLamaContextualRepeatPenalty | false;
    tokenBias: TokenBias | undefined;
}

/** What a plain request draws by where it says nothing: the aligner's defaults for its candidates. */
export const plainDefaults = {temperature: 0.8, topK: 40, topP: 0.95, minP: 0} as const;

/** @throws ApiError 400 for a bias that cannot be had */
export async function samplingOf(engine: Engine, fields: SamplingFields): Promise<Sampling> {
    return {
        temperature: fields.temperature ?? undefined,
        topK: fields.top_k ?? undefined,
        topP: fields.top_p ?? undefined,
        minP: fields.min_p ?? undefined,
        seed: fields.seed ?? undefined,
        repeatPenalty: penaltyOf(engine, fields),
        tokenBias: await biasOf(engine, fields.logit_bias ?? {})
    };
}

/** node-llama-cpp's options for one of the `n` answers of a request; their seeds count up. */
export function evaluateOptions({temperature, topK, topP, minP, seed, ...sampling}: Sampling, index: number) {
    const drawn = Math.floor(Math.random() * 2 ** 31);
    return {
        temperature: temperature ?? plainDefaults.temperature,
        topK: topK ?? plainDefaults.topK,
        topP: topP ?? plainDefaults.topP,
        minP: minP ?? plainDefaults.minP,
        seed: seed === undefined ? drawn : (seed + index) % 2 ** 32,
        repeatPenalty: sampling.repeatPenalty,
        ...(sampling.tokenBias === undefined ? {} : {tokenBias: sampling.tokenBias})
    };
}

/** OpenAI's penalties count the whole answer; llama.cpp's has one window for all three. */
function penaltyOf(engine: Engine, fields: SamplingFields): LLamaContextualRepeatPenalty | false {
    const {frequency_penalty: frequencyPenalty, presence_penalty: presencePenalty, repeat_penalty: penalty} = fields;
    if (!frequencyPenalty && !presencePenalty && (penalty ?? 1) === 1) return false;
    return {
        penalty: penalty ?? 1,
        frequencyPenalty: frequencyPenalty ?? 0,
        presencePenalty: presencePenalty ?? 0,
        lastTokens: engine.context.contextSize,
        penalizeNewLine: true
    };
}

async function biasOf({model}: Engine, given: Readonly<Record<string, number>>): Promise<TokenBias | undefined> {
    const entries = Object.entries(given);
    if (entries.length === 0) return undefined;
    const {TokenBias} = await import("node-llama-cpp");
    const bias = new TokenBias(model.tokenizer);
    const size = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
    for (const [key, value] of entries) {
        const token = Number(key) as Token;
        if (token >= size) throw refused(`logit_bias.${key}`, `the model has ${size} tokens`);
        if (model.isEogToken(token)) throw refused(`logit_bias.${key}`, "the end of an answer takes no bias");
        bias.set([token], value === -100 ? "never" : {logit: value});
    }
    return bias;
}
