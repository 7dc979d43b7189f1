import {AsyncLocalStorage} from "node:async_hooks";
import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";
import {fromNative} from "../../native.js";
import type {BatchToken, WaveOutcome} from "../backend/backend.js";
import type {CandidateSource} from "../decide/candidates.js";
import {Decision, type Draw, type Rider} from "../decide/decision.js";
import {type AlignerStats, countDecode, countToken} from "../decide/stats.js";
import {topWanted} from "../decide/top-logits.js";
import type {AddonSampler, DetailedSample, SamplerConfig} from "../node-llama-cpp/internals.js";
import type {ResolvedSettings} from "../options.js";
import {type Resident, type RoundHost, runRound} from "../wave/waves.js";
import type {Row, SamplingStep} from "./step.js";

/** One request of node-llama-cpp for the token that a row of logits leads to. */
export interface SampleRequest {
    step: SamplingStep;
    row: Row;
    sampler: AddonSampler;
    /** The arguments of `sampleToken` after the sampler. */
    details: unknown[];
    /** Runs `use` with the row's index in the last decode, while nothing overwrites it. */
    read<T>(use: (index: number) => Promise<T>): Promise<T>;
}

/** What a sequence is set to; kept by the aligner. */
export interface SequenceState {
    settings: ResolvedSettings;
    stats: AlignerStats;
    /** The sampler configuration that node-llama-cpp resolved last. */
    config: SamplerConfig;
    /** Stream of the "random" strategy. */
    draw: Draw;
    /** Thrown to whoever awaits the sequence's token: a rejection inside node-llama-cpp's batch loop would reach nobody. */
    failure?: unknown;
    /** The last token emitted and its position, to tell generated tokens from prompts. */
    emitted?: {position: number; token: number};
}

export interface ChooserHost extends Omit<RoundHost, "onWave"> {
    readonly stats: AlignerStats;
    readonly candidates: CandidateSource;
    stateOf(sequence: number): SequenceState;
    isEndOfGeneration(token: number): boolean;
    samplePlain(index: number, sampler: AddonSampler, details: unknown[]): Promise<number | DetailedSample>;
    onDecision(decision: Decision): void;
}

/** True within `controlledEvaluate`, which measures the model and is left alone. */
export const measuring = new AsyncLocalStorage<true>();

/** The token that node-llama-cpp reports as "could not sample"; the sequence's failure says why. */
const noToken = -1;

/** Chooses tokens: plainly, as the only candidate, or by a decision. */
export class TokenChooser {
    readonly #host: ChooserHost;

    constructor(host: ChooserHost) {
        this.#host = host;
    }

    async sample(request: SampleRequest): Promise<number | DetailedSample> {
        const {row, details} = request;
        const state = this.#host.stateOf(row.sequence);
        // Where an unknown release cannot be told so (`_decodeTokens`), logits are what only `controlledEvaluate` asks for.
        const isEvaluation = measuring.getStore() !== true && details.length < 3;
        try {
            if (!isEvaluation || !state.settings.enabled) return await this.#samplePlain(request, state, isEvaluation);
            return await this.#sampleAligned(request, state);
        } catch (error) {
            state.failure = fromNative(error);
            return details.length > 0 ? [noToken] : noToken;
        } finally {
            request.step.leave(row);
        }
    }

    /** Settles decisions and counts what that took. */
    async settleTogether(decisions: readonly Decision[], riders: readonly Rider[]): Promise<Resident[]> {
        const {backend, scheduler} = this.#host;
        const onWave = (outcome: WaveOutcome, sequences: ReadonlySet<number>) => this.#count(outcome, sequences, true);
        return await runRound(
            {backend, scheduler, withThreads: (run) => this.#host.withThreads(run), onWave},
            decisions,
            riders
        );
    }

    /** How many of its largest logits a row of the sequence should come with. */
    topWanted(sequence: number): number {
        const {config, settings} = this.#host.stateOf(sequence);
        return settings.enabled ? topWanted(config, settings) : 0;
    }

    /** Counts a plain decode, for the sequences whose generated token it evaluated. */
    countDecode(tokens: readonly BatchToken[], decodeMs: number): void {
        const generated = tokens.filter(({sequence, position, token}) => {
            const emitted = this.#host.stateOf(sequence).emitted;
            return emitted?.position === position && emitted.token === token;
        });
        this.#count({decodeMs}, new Set(generated.map(({sequence}) => sequence)), false);
    }

    #count(times: {decodeMs: number; kernelMs?: number}, sequences: ReadonlySet<number>, isWave: boolean): void {
        if (sequences.size === 0) return;
        countDecode(this.#host.stats, times, isWave);
        for (const sequence of sequences) countDecode(this.#host.stateOf(sequence).stats, times, isWave);
    }

    async #samplePlain(
        {step, row, sampler, details, read}: SampleRequest,
        state: SequenceState,
        isEvaluation: boolean
    ): Promise<number | DetailedSample> {
        const sample = await read((index) => this.#host.samplePlain(index, sampler, details));
        const token = typeof sample === "number" ? sample : sample[0];
        if (isEvaluation && token !== noToken) {
            this.#host.candidates.note(sampler, state.config, token);
            this.#emit(step, row, state, token, true);
        }
        return sample;
    }

    async #sampleAligned(request: SampleRequest, state: SequenceState): Promise<number | DetailedSample> {
        const {step, row, sampler, details, read} = request;
        const {settings, config} = state;
        const {candidates: source} = this.#host;
        const start = performance.now();
        const before = {...this.#host.stats.time};
        const {candidates, drawn} = await read((index) => source.take(index, sampler, config, settings, row.best));
        if (candidates.length === 0) return noToken;

        let rank = 0;
        let decision: Decision | undefined;
        if (candidates.length > 1) {
            const {sequence, position} = row;
            const agent = settings.agent._native;
            const predecessor = row.misplaced ? {sequence, position: position - 1, token: row.token} : undefined;
            const {draw} = state;
            decision = new Decision({
                sequence,
                position,
                candidates,
                settings,
                agent,
                predecessor,
                top: this.topWanted(sequence),
                draw
            });
            await step.decide(row, decision);
            rank = decision.chosen as number;
        }
        const {token} = candidates[rank] as {token: number};
        source.settle(sampler, config, drawn, token);
        this.#emit(step, row, state, token, decision === undefined);
        const {decode, kernel} = this.#host.stats.time;
        const rest = performance.now() - start - (decode - before.decode) - (kernel - before.kernel);
        for (const stats of [this.#host.stats, state.stats]) {
            countToken(stats, candidates.length, decision);
            stats.time.rest += Math.max(0, rest);
        }
        if (decision !== undefined) this.#host.onDecision(decision);
        return details.length === 0 ? token : detailed(candidates, rank, details);
    }

    #emit(step: SamplingStep, {sequence, position}: Row, state: SequenceState, token: number, rides: boolean): void {
        state.emitted = {position, token};
        // An end-of-generation token is rarely evaluated, so it is not decoded along with the others.
        if (rides && !this.#host.isEndOfGeneration(token))
            step.ride({sequence, position, token, top: this.topWanted(sequence)});
    }
}

/** What `sampleToken` resolves with when probabilities or a confidence are asked for. */
function detailed(
    candidates: Decision["candidates"],
    rank: number,
    [probabilities, confidence]: unknown[]
): DetailedSample {
    const sample: DetailedSample = [(candidates[rank] as {token: number}).token];
    if (probabilities === true) sample[1] = candidates.flatMap(({token, probability}) => [token, probability]);
    if (confidence === true) sample[2] = (candidates[rank] as {probability: number}).probability;
    return sample;
}

/** The stream of random choices of one sequence. Each sequence has its own, so that others do not disturb it. */
export function randomStream(seed: number, sequence: number): Draw {
    const generator = xoroshiro128plus((seed ^ Math.imul(sequence + 1, 0x9e3779b1)) | 0);
    return (below) => uniformInt(generator, 0, below - 1);
}
