import {AsyncLocalStorage} from "node:async_hooks";
import type {LlamaContextSequence} from "node-llama-cpp";
import {fromNative} from "../../native.js";
import type {PlacedToken} from "../backend/backend.js";
import type {Cascades} from "../cascade/cascade.js";
import type {CandidateSource} from "../decide/candidates.js";
import {Decision, type Draw} from "../decide/decision.js";
import type {Row} from "../decide/row.js";
import {type CountedSequence, type Counters, countOpinions, countToken} from "../decide/stats.js";
import {type AddonSampler, asToken, type DetailedSample, type SamplerConfig} from "../node-llama-cpp/internals.js";
import type {ResolvedSettings} from "../options.js";
import type {Predictions} from "../predict/predictions.js";
import {askPanel, deliberate, foregone} from "../steer/ask-panel.js";
import {type Guide, guidedText, guideRow, tellGuides, tellTried} from "../steer/guide.js";
import type {Undecided} from "../wave/plan.js";
import type {Waves} from "../wave/waves.js";
import type {Ahead} from "./ahead.js";
import type {Texts} from "./texts.js";

/** A sequence's settings and state. */
export interface SequenceState extends CountedSequence {
    settings: ResolvedSettings;
    /** The guides that were told of the sequence's last tokens before these were decoded, and which are therefore asked about their logits. */
    guides: readonly Guide[];
    /** Undefined until node-llama-cpp has given the sequence out. */
    sequence: LlamaContextSequence | undefined;
    /** The sampler configuration that node-llama-cpp resolved last. */
    config: SamplerConfig;
    /** Stream of the "random" strategy. */
    draw: Draw;
    /** The error for whoever awaits the sequence's token. It is kept here because node-llama-cpp's batch loop would hang on a rejection. */
    failure?: unknown;
    /** What its token predictor expects, while it generates with one. */
    predictions?: Predictions;
}

/** Keeps the states of a context's sequences, and is told of decisions. */
export interface Sequences {
    _stateOf(sequence: number): SequenceState;
    _isListening(sequence: LlamaContextSequence | undefined): boolean;
    /** `modelLogs`: the model's log-probabilities of the candidates; undefined if nobody was listening when they were drawn. */
    _report(undecided: Undecided, modelLogs: readonly number[] | undefined): void;
}

/** The parts that every step of a context works with. */
export interface StepParts {
    readonly sequences: Sequences;
    readonly counters: Counters;
    readonly candidates: CandidateSource;
    readonly waves: Waves;
    readonly ahead: Ahead;
    readonly cascades: Cascades;
    readonly texts: Texts;
    /** Numbers per hidden state. */
    readonly width: number;
    /** Lets rows have their states from the next decode on. */
    keepStates(): void;
}

/** True within `controlledEvaluate`, which measures the model and is left alone. */
export const measuring = new AsyncLocalStorage<boolean>();

/** The token that node-llama-cpp reports as "could not sample"; the sequence's failure says why. */
const noToken = -1;

interface Waiting {
    undecided: Undecided;
    resolve(): void;
    reject(error: unknown): void;
}

/**
 * Everything that node-llama-cpp samples from one of its batches. A row's candidates are drawn; the decisions of all rows are
 * settled together, once no row is being read; each row's token is the one that its decision chose.
 */
export class Step {
    readonly rows: Row[] = [];
    readonly #parts: StepParts;
    /** Tokens emitted without asking the agent; if others decide, they are decoded along. */
    readonly #certain: PlacedToken[] = [];
    #waiting: Waiting[] = [];
    #settling: Promise<void> | undefined;
    #arrived = 0;
    /** Rows that have been asked for and whose token is neither decided nor known yet. */
    readonly #choosing = new Set<Row>();

    constructor(parts: StepParts) {
        this.#parts = parts;
    }

    /** The token that the row leads to, in the form that `sampleToken` gives it in with these `details` (its arguments after the sampler). */
    async sample(id: number, sampler: AddonSampler, details: unknown[]): Promise<number | DetailedSample> {
        const row = this.rows[id];
        if (row === undefined) throw new Error(`Row ${id} is not part of the current batch`);
        const state = this.#parts.sequences._stateOf(row.sequence);
        // A release whose `_decodeTokens` is not known leaves `controlledEvaluate` unmarked. A wish for logits then tells, since nothing else asks for them.
        const isEvaluation = measuring.getStore() !== true && details.length < 3;
        try {
            const {enabled, panel} = state.settings;
            if (!isEvaluation || !enabled || panel.members.length === 0)
                return await this.#samplePlain(row, sampler, details, state, isEvaluation);
            return await this.#sampleAligned(row, sampler, details, state);
        } catch (error) {
            state.failure = fromNative(error);
            return details.length > 0 ? [noToken] : noToken;
        } finally {
            this.#leave(row);
        }
    }

    /** Ends the step when another batch begins. Rows that were not sampled by now never will be. */
    end(): void {
        for (const row of this.rows) row.free();
    }

    async #samplePlain(
        row: Row,
        sampler: AddonSampler,
        details: unknown[],
        state: SequenceState,
        isEvaluation: boolean
    ): Promise<number | DetailedSample> {
        const isAligned = isEvaluation && state.settings.enabled;
        const sample = await this.#read(row, async () => {
            if (isAligned) await this.#guide(row, state);
            return await this.#parts.candidates.plain(row, sampler, details);
        });
        const token = typeof sample === "number" ? sample : sample[0];
        if (isEvaluation && token !== noToken) {
            if (isAligned) for (const stats of [this.#parts.counters.total, state.stats]) stats.generatedTokens++;
            this.#parts.candidates.note(sampler, state.config, token);
            this.#emit(row, state, token, true);
        }
        return sample;
    }

    async #sampleAligned(
        row: Row,
        sampler: AddonSampler,
        details: unknown[],
        state: SequenceState
    ): Promise<number | DetailedSample> {
        const {settings, config} = state;
        const {candidates: source, counters, cascades, sequences} = this.#parts;
        const found = cascades.of(settings);
        const cascade = found instanceof Promise ? await found : found;
        const start = performance.now();
        const before = {...counters.total.time};
        const {deliberation, drawn, modelLogs} = await this.#read(row, async () => {
            const isListening = sequences._isListening(state.sequence);
            // They are copied before guides change them. In serial mode, which has no guides, the row is as it was.
            const logits = isListening ? row.logits() : undefined;
            await this.#guide(row, state);
            const taken = await source.take(row, sampler, config, settings);
            const asked = deliberate(row.position, state, this.#parts.texts.of(row.sequence), taken.candidates);
            const modelLogs = isListening ? await source.modelLogs(row, taken.candidates, logits) : undefined;
            if (taken.candidates.length > 1) {
                if (settings.panel.own?.judge.needsStates === false)
                    await askPanel(asked, [...taken.candidates.keys()], this.#parts.width, () => new Float32Array(0));
                cascade?.predict(row, taken.candidates, asked.opinions);
            }
            return {deliberation: asked, drawn: taken.drawn, modelLogs};
        });
        const {candidates, panel} = deliberation;
        if (candidates.length === 0) return noToken;

        const {sequence} = row;
        const rule = {...settings, threshold: panel.threshold};
        const decision = new Decision(candidates, rule, state.draw, foregone(deliberation));
        const {predictions} = state;
        const undecided = {...deliberation, sequence, decision, judge: panel.native, predictions};
        const isOnly = candidates.length === 1;
        const isCertain = decision.chosen !== undefined;
        if (!isCertain) await this.#decide(row, undecided);
        const {token} = decision;
        source.settle(sampler, config, drawn, token);
        this.#emit(row, state, token, isCertain);
        const {decode, kernel} = counters.total.time;
        const rest = performance.now() - start - (decode - before.decode) - (kernel - before.kernel);
        for (const stats of [counters.total, state.stats]) {
            countToken(stats, candidates.length, isOnly ? undefined : decision);
            if (!isOnly) countOpinions(stats, panel, undecided.opinions);
            stats.time.rest += Math.max(0, rest);
        }
        if (!isOnly) sequences._report(undecided, modelLogs);
        return details.length === 0 ? token : detailed(decision, details);
    }

    async #guide(row: Row, {guides, sequence, config}: SequenceState): Promise<void> {
        if (guides.length === 0) return;
        const {texts, keepStates} = this.#parts;
        const text = guidedText(sequence as LlamaContextSequence, texts.of(row.sequence));
        await guideRow(guides, row, text, {hasGrammar: config.grammarEvaluationState !== undefined, keepStates});
    }

    #emit({sequence, position}: Row, state: SequenceState, token: number, isCertain: boolean): void {
        state.emitted = {position, token};
        state.predictions?.emitted(position, token);
        const at = {sequence: state.sequence as LlamaContextSequence, position};
        tellGuides(state.settings.guides, (guide) => guide.emitted?.(asToken(token), at));
        // An end-of-generation token is rarely evaluated, so it is not decoded along with the others.
        if (!isCertain || this.#parts.ahead.follow({sequence, position}, token)) return;
        if (!this.#parts.candidates.isEndOfGeneration(token)) this.#certain.push({sequence, position, token});
    }

    /** Counts a row as asked for, and runs `read` while no decode is in its way. Decisions wait until `#decide` or `#leave`. */
    async #read<T>(row: Row, read: () => Promise<T>): Promise<T> {
        this.#arrived++;
        while (this.#settling !== undefined) await this.#settling;
        this.#choosing.add(row);
        try {
            return await read();
        } finally {
            row.free();
        }
    }

    /** Tells that the row needs no decision, or no more. */
    #leave(row: Row): void {
        if (this.#choosing.delete(row)) this.#settleWhenReady();
    }

    /** Resolves when the row's decision has been settled, together with the others of this step. */
    #decide(row: Row, undecided: Undecided): Promise<void> {
        this.#choosing.delete(row);
        return new Promise((resolve, reject) => {
            this.#waiting.push({undecided, resolve, reject});
            this.#settleWhenReady();
        });
    }

    #settleWhenReady(): void {
        if (!this.#isReady) return;
        if (this.#arrived >= this.rows.length) {
            this.#settle();
            return;
        }
        // A row may never be asked for (an aborted evaluation), so the step waits no longer than this turn of the event loop.
        const arrived = this.#arrived;
        setImmediate(() => {
            if (this.#isReady && arrived === this.#arrived) this.#settle();
        });
    }

    get #isReady(): boolean {
        return this.#waiting.length > 0 && this.#choosing.size === 0 && this.#settling === undefined;
    }

    #settle(): void {
        const {waves, ahead} = this.#parts;
        const waiting = this.#waiting;
        this.#waiting = [];
        const undecided = waiting.map((one) => one.undecided);
        for (const one of undecided) this.#tellTried(one);
        this.#settling = waves
            .settle(undecided, this.#certain.splice(0))
            .then(
                (settled) => {
                    for (const token of settled.ahead) ahead.add(token);
                    for (const {undecided, resolve, reject} of waiting)
                        if (settled.failures.has(undecided)) reject(settled.failures.get(undecided));
                        else resolve();
                },
                (error) => {
                    for (const {reject} of waiting) reject(error);
                }
            )
            .finally(() => {
                this.#settling = undefined;
                this.#settleWhenReady();
            });
    }

    /** Lets guides decode the candidate that comes first in the wave, beside it. */
    #tellTried({sequence, decision}: Undecided): void {
        const {settings, sequence: holder} = this.#parts.sequences._stateOf(sequence);
        const [rank] = decision.upcoming(1);
        if (holder === undefined || rank === undefined) return;
        tellTried(settings.guides, guidedText(holder, this.#parts.texts.of(sequence)), decision.tokenAt(rank));
    }
}

/** The result of `sampleToken` when probabilities or a confidence are asked for. */
function detailed({candidates, chosen, token}: Decision, [probabilities, confidence]: unknown[]): DetailedSample {
    const sample: DetailedSample = [token];
    if (probabilities === true) sample[1] = candidates.flatMap((other) => [other.token, other.probability]);
    if (confidence === true) sample[2] = (candidates[chosen as number] as {probability: number}).probability;
    return sample;
}
