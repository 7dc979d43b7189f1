import type {SamplerConfig} from "../node-llama-cpp/internals.js";
import type {DrawSettings} from "./candidates.js";

/** The largest logits of a row, largest first, as the model gave them. */
export interface TopLogits {
    readonly tokens: Int32Array;
    readonly logits: Float32Array;
}

/** Pairs of token and logit, best first. */
export type Scored = {token: number; logit: number}[];

const {fround} = Math;

/**
 * How many of a row's largest logits `truncate` needs to do the work of the sampler chain: as many as top-k, and one for each
 * token that a penalty may push down. 0 where only the chain itself can do it: a grammar, DRY and token biases reach into the whole
 * vocabulary.
 */
export function topWanted(config: SamplerConfig, {topK}: DrawSettings): number {
    const {grammarEvaluationState, dryRepeatPenaltyStrength, tokenBiasKeys} = config;
    if (grammarEvaluationState || dryRepeatPenaltyStrength || tokenBiasKeys?.length) return 0;
    const penalty = repeatPenalty(config);
    if (penalty === undefined) return topK;
    return penalty.lowers ? topK + penalty.counts.size : 0;
}

/**
 * The candidates that node-llama-cpp's chain would leave: repeat penalty, top-k, top-p and min-p, in its order and, as llama.cpp
 * computes (llama-sampler.cpp), in float32. Undefined where `top` does not hold enough to tell.
 */
export function truncate(top: TopLogits, config: SamplerConfig, settings: DrawSettings): Scored | undefined {
    if (topWanted(config, settings) === 0 || top.tokens.length < settings.topK) return undefined;
    const scored: Scored = Array.from(top.tokens, (token, i) => ({token, logit: top.logits[i] as number}));
    const smallest = (scored.at(-1) as {logit: number}).logit;
    const penalty = repeatPenalty(config);
    if (penalty !== undefined) {
        for (const candidate of scored) penalise(candidate, penalty);
        scored.sort((a, b) => b.logit - a.logit || a.token - b.token);
    }
    const kept = scored.slice(0, settings.topK);
    // Penalties only lower: no logit outside `top` can rise above the smallest in it.
    if ((kept.at(-1) as {logit: number}).logit < smallest) return undefined;
    return aboveMinP(withinTopP(kept, settings.topP), settings.minP);
}

interface RepeatPenalty {
    counts: Map<number, number>;
    repeat: number;
    frequency: number;
    presence: number;
    /** True if no penalty can raise a logit. */
    lowers: boolean;
}

function repeatPenalty(config: SamplerConfig): RepeatPenalty | undefined {
    const {repeatPenaltyTokens: tokens, repeatPenaltyMaxTokens: reach = 64} = config;
    const repeat = fround(config.repeatPenalty ?? 1);
    const frequency = fround(config.repeatPenaltyFrequencyPenalty ?? 0);
    const presence = fround(config.repeatPenaltyPresencePenalty ?? 0);
    if (!tokens?.length || reach <= 0 || (repeat === 1 && frequency === 0 && presence === 0)) return undefined;
    const counts = new Map<number, number>();
    for (const token of tokens.subarray(Math.max(0, tokens.length - reach)))
        counts.set(token, (counts.get(token) ?? 0) + 1);
    return {counts, repeat, frequency, presence, lowers: repeat >= 1 && frequency >= 0 && presence >= 0};
}

/** llama_sampler_penalties_apply */
function penalise(candidate: Scored[number], {counts, repeat, frequency, presence}: RepeatPenalty): void {
    const count = counts.get(candidate.token);
    if (count === undefined) return;
    const {logit} = candidate;
    const scaled = fround(logit <= 0 ? logit * repeat : logit / repeat);
    candidate.logit = fround(scaled - fround(fround(count * frequency) + presence));
}

/** llama_sampler_top_p_apply, on sorted candidates. */
export function withinTopP(candidates: Scored, topP: number): Scored {
    const p = fround(topP);
    if (p >= 1) return candidates;
    const largest = (candidates[0] as {logit: number}).logit;
    const weights = candidates.map(({logit}) => fround(Math.exp(fround(logit - largest))));
    const total = weights.reduce((sum, weight) => fround(sum + weight), 0);
    let sum = 0;
    const last = weights.findIndex((weight) => {
        sum = fround(sum + fround(weight / total));
        return sum >= p;
    });
    return last < 0 ? candidates : candidates.slice(0, last + 1);
}

/** llama_sampler_min_p_apply, on sorted candidates. */
export function aboveMinP(candidates: Scored, minP: number): Scored {
    if (minP <= 0) return candidates;
    const min = fround((candidates[0] as {logit: number}).logit + fround(Math.log(fround(minP))));
    return candidates.filter(({logit}, rank) => rank === 0 || logit >= min);
}
