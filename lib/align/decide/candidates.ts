import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {
    type AddonContext,
    type AddonSampler,
    asToken,
    type DetailedSample,
    type LogitsFilter,
    llamaInternals,
    modelInternals,
    type SamplerBindings,
    type SamplerConfig
} from "../node-llama-cpp/internals.js";
import type {ResolvedSettings} from "../options.js";
import {logProbabilities} from "./log-probabilities.js";
import type {Row} from "./row.js";
import {aboveMinP, type Scored, topWanted, truncate, withinTopP} from "./top-logits.js";

/** How candidates are drawn. */
export type DrawSettings = Pick<ResolvedSettings, "topK" | "topP" | "minP" | "temperature">;

/** One candidate of a decision. */
export interface Candidate {
    readonly token: number;
    /** Probability among the candidates, after the temperature. */
    readonly probability: number;
    /** Its log-probability over the whole vocabulary, divided by the temperature; for rollouts that ask for it. */
    readonly vocabularyLog?: number;
}

/** A candidate as it is drawn. */
export interface DrawnCandidate extends Candidate {
    /** What its probability was computed from, before the temperature, up to a constant. */
    readonly logit: number;
}

/**
 * With this temperature the chain's final draw takes the top candidate, while truncation (which comes before the
 * temperature in llama.cpp's chain) is untouched. A power of two: dividing by it and multiplying back loses nothing.
 */
const nearlyGreedy = 2 ** -20;

/** A token bias that no penalty outweighs and that keeps float32 logits finite. */
const forcingBias = 1e30;

/**
 * Draws candidates from node-llama-cpp's own sampler chain, with the session's bias, penalties and grammar and the
 * aligner's truncation, and keeps the chain's state in step with the token really emitted.
 *
 * Taking candidates makes node-llama-cpp feed its own draw to the chain. The three states that this changes are corrected here:
 * - repeat penalty: rebuilt by node-llama-cpp itself from `punishTokens` at the next step;
 * - grammar: candidates are drawn with a clone, the real state takes the emitted token;
 * - DRY: its history lives in the chain only, so it is rebuilt from the emitted tokens when draw and choice differ.
 */
export class CandidateSource {
    readonly #model: LlamaModel;
    readonly #context: AddonContext;
    readonly #bindings: SamplerBindings;
    readonly #dry = new WeakMap<AddonSampler, {emitted: number[]; stale: boolean}>();
    #reportsLogits: Promise<boolean> | undefined;

    /** `stock` gives the context's stock methods (`stockContext`). */
    constructor({model}: LlamaContext, stock: AddonContext) {
        this.#model = model;
        this.#context = stock;
        this.#bindings = llamaInternals(model.llama)._bindings;
    }

    /**
     * Candidates for the row's logits, most probable first; empty where node-llama-cpp would fail to sample. `drawn` is what the
     * sampler chain believes was emitted, undefined if it was not asked; pass it to `settle`.
     */
    async take(
        row: Row,
        sampler: AddonSampler,
        config: SamplerConfig,
        settings: DrawSettings
    ): Promise<{candidates: DrawnCandidate[]; drawn: number | undefined}> {
        const top = row.top(topWanted(config, settings));
        const scored = top && truncate(top, config, settings);
        if (scored !== undefined) return {candidates: toCandidates(scored, settings.temperature), drawn: undefined};
        return await row.read((index) => this.#askChain(index, sampler, config, settings));
    }

    /** What node-llama-cpp itself would sample, in the form that `sampleToken` gives it in with these `details`. */
    async plain(row: Row, sampler: AddonSampler, details: unknown[]): Promise<number | DetailedSample> {
        const given = details as [boolean?, boolean?, boolean?, boolean?];
        return await row.read((index) => this.#context.sampleToken(index, sampler, ...given));
    }

    /** Log-probabilities of the tokens over the whole vocabulary, by `logits`, else by those that the chain finds in the row. */
    async modelLogs(
        row: Row,
        candidates: readonly Candidate[],
        logits: Float32Array | undefined
    ): Promise<readonly number[]> {
        if (logits !== undefined) return logProbabilities(logits, candidates);
        const sample = await row.read((index) =>
            this.#withOwnSampler((sampler) => this.#context.sampleToken(index, sampler, true))
        );
        const [, pairs = []] = sample as DetailedSample;
        const logs = new Map<number, number>();
        for (let i = 0; i + 1 < pairs.length; i += 2) logs.set(pairs[i] as number, Math.log(pairs[i + 1] as number));
        return candidates.map(({token}) => logs.get(token) ?? Number.NEGATIVE_INFINITY);
    }

    isEndOfGeneration(token: number): boolean {
        return this.#model.isEogToken(asToken(token));
    }

    async #askChain(
        row: number,
        sampler: AddonSampler,
        config: SamplerConfig,
        settings: DrawSettings
    ): Promise<{candidates: DrawnCandidate[]; drawn: number | undefined}> {
        await this.#restoreDry(row, sampler, config);
        const {xtcProbability: _p, xtcThreshold: _t, grammarEvaluationState: grammar, ...kept} = config;
        const grammarClone = grammar && {
            grammarEvaluationState: new this.#bindings.AddonGrammarEvaluationState(grammar)
        };
        this.#reportsLogits ??= this.#findOutWhetherLogits(row);
        if (!(await this.#reportsLogits)) {
            sampler.applyConfig({...kept, temperature: 0, ...grammarClone});
            const [drawn, probabilities = []] = (await this.#context.sampleToken(row, sampler, true)) as DetailedSample;
            const possible = drawn === -1 ? [] : fromProbabilities(probabilities, settings);
            return {candidates: toCandidates(possible, settings.temperature), drawn};
        }
        const {topK, topP, minP} = settings;
        sampler.applyConfig({...kept, temperature: nearlyGreedy, topK, topP, minP, ...grammarClone});
        const sample = await this.#context.sampleToken(row, sampler, false, false, bestOnly(topK), false);
        const [drawn, , , logits = []] = sample as DetailedSample;
        return {candidates: drawn === -1 ? [] : toCandidates(fromPairs(logits), settings.temperature), drawn};
    }

    /** Finds out by a trial, because releases before 3.22 ignore a wish for logits. */
    async #findOutWhetherLogits(row: number): Promise<boolean> {
        const sample = await this.#withOwnSampler((sampler) =>
            this.#context.sampleToken(row, sampler, false, false, bestOnly(1), false)
        );
        return (sample as DetailedSample)[3] !== undefined;
    }

    /** Runs `use` with a sampler that changes no logit, since sampling would change the state of another's chain. */
    async #withOwnSampler<T>(use: (sampler: AddonSampler) => Promise<T>): Promise<T> {
        const sampler = new this.#bindings.AddonSampler(modelInternals(this.#model)._model);
        try {
            sampler.applyConfig({temperature: 0});
            return await use(sampler);
        } finally {
            sampler.dispose();
        }
    }

    /** Brings grammar and DRY state in step with the token emitted after `take`. */
    settle(sampler: AddonSampler, config: SamplerConfig, drawn: number | undefined, emitted: number): void {
        if (config.grammarEvaluationState && !this.isEndOfGeneration(emitted))
            this.#bindings.AddonSampler.acceptGrammarEvaluationStateToken(config.grammarEvaluationState, emitted);
        this.note(sampler, config, emitted, drawn !== undefined && drawn !== emitted);
    }

    /** Remembers a token that went through the chain, for a later rebuild of the DRY history. */
    note(sampler: AddonSampler, config: SamplerConfig, emitted: number, stale = false): void {
        if (!config.dryRepeatPenaltyStrength) return;
        const dry = this.#dry.get(sampler) ?? {emitted: [], stale: false};
        dry.emitted.push(emitted);
        dry.stale ||= stale;
        this.#dry.set(sampler, dry);
    }

    async #restoreDry(row: number, sampler: AddonSampler, config: SamplerConfig): Promise<void> {
        const dry = this.#dry.get(sampler);
        if (!dry?.stale || !config.dryRepeatPenaltyStrength) return;
        const dryOnly = Object.fromEntries(
            Object.entries(config).filter(([key]) => key.startsWith("dryRepeatPenalty"))
        );
        sampler.applyConfig({}); // Freeing the DRY sampler clears its history.
        const reach = config.dryRepeatPenaltyLastTokens ?? -1;
        const history = reach < 0 ? dry.emitted : dry.emitted.slice(-reach);
        for (const token of history) {
            sampler.applyConfig({
                ...dryOnly,
                temperature: 0,
                tokenBiasKeys: Uint32Array.of(token),
                tokenBiasValues: Float32Array.of(forcingBias)
            });
            await this.#context.sampleToken(row, sampler);
        }
        dry.stale = false;
    }
}

const bestOnly = (count: number): LogitsFilter => [[], false, false, false, count];

/** Reads pairs of token and logit, whose logits were scaled by `nearlyGreedy`. */
function fromPairs(pairs: readonly number[]): Scored {
    const scored: Scored = [];
    for (let i = 0; i + 1 < pairs.length; i += 2)
        scored.push({token: pairs[i] as number, logit: (pairs[i + 1] as number) * nearlyGreedy});
    return scored.filter(({logit}) => logit > Number.NEGATIVE_INFINITY);
}

/** Reads the whole vocabulary as pairs of token and probability, most probable first, and truncates it as llama.cpp's chain would. */
function fromProbabilities(pairs: readonly number[], {topK, topP, minP}: DrawSettings): Scored {
    const scored: Scored = [];
    for (let i = 0; i + 1 < pairs.length && scored.length < topK; i += 2)
        scored.push({token: pairs[i] as number, logit: Math.log(pairs[i + 1] as number)});
    const possible = scored.filter(({logit}) => logit > Number.NEGATIVE_INFINITY);
    return possible.length === 0 ? [] : aboveMinP(withinTopP(possible, topP), minP);
}

/** Softmax at the given temperature; ties by token id. */
function toCandidates(scored: Scored, temperature: number): DrawnCandidate[] {
    const sorted = scored.sort((a, b) => b.logit - a.logit || a.token - b.token);
    const top = sorted[0]?.logit ?? 0;
    const weights = sorted.map(({logit}) => Math.exp((logit - top) / temperature));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return sorted.map(({token, logit}, rank) => ({token, probability: (weights[rank] as number) / total, logit}));
}
