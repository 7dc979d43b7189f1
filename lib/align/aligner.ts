import {inspect} from "node:util";
import type {LlamaContext, LlamaContextSequence, Token} from "node-llama-cpp";
import {z} from "zod";
import {MaraAgent} from "../agent/agent.js";
import {agentDisposed, invalidArgument, MaraError} from "../errors.js";
import {randomChoices} from "../random.js";
import {check} from "../validation/check.js";
import {notify} from "../validation/notify.js";
import {func} from "../validation/schemas.js";
import type {Decider} from "./decide/decision.js";
import {type AlignerStats, emptyStats} from "./decide/stats.js";
import type {SequenceState} from "./hook/step.js";
import {sequenceInternals} from "./node-llama-cpp/internals.js";
import {
    type AlignerSettings,
    checkSettings,
    type Mode,
    mergeSettings,
    type ResolvedSettings,
    resolveSettings,
    type SettingsInForce,
    settingsInForce
} from "./options.js";
import type {Undecided} from "./wave/plan.js";

/** A candidate as a listener sees it. */
export interface DecidedCandidate {
    token: Token;
    /** Probability among the candidates, after the temperature. */
    probability: number;
    /** The agent's accept probability, or the student's estimate of it; null if the candidate was not evaluated. */
    acceptProbability: number | null;
    /** Who gave it: the agent (or a judge of your own), or the agent's student; null if the candidate was not evaluated. */
    by: Decider | null;
}

/** One decision, as plain data. */
export interface DecisionRecord {
    /** Index in the context at which the token goes. */
    position: number;
    /** Most probable first: the index is the rank. */
    candidates: DecidedCandidate[];
    /** Rank of the emitted candidate. */
    chosenRank: number;
    /** True if it was emitted because no candidate was accepted. */
    fallback: boolean;
    /** Batches that it took to decide. */
    waves: number;
    /** "student" if no candidate had to be decoded and judged by the agent. */
    by: Decider;
}

/** One decision, reported after its token was chosen. */
export interface DecisionEvent extends DecisionRecord {
    /** The sequence that generates. */
    sequence: LlamaContextSequence;
}

/** What `aligner.onDecision` calls. Its result is not waited for. */
export type DecisionListener = (event: DecisionEvent) => unknown;

/** Steers, observes and counts the alignment of one context. Made by `createAlignedContext`. */
export class Aligner {
    /** How candidates are evaluated in this context. */
    readonly mode: Mode;
    readonly #context: LlamaContext;
    readonly #states = new Map<number, SequenceState>();
    readonly #overrides = new Map<number, Partial<AlignerSettings>>();
    /** A listener without a sequence hears all of them. */
    readonly #listeners = new Set<{listener: DecisionListener; sequence: LlamaContextSequence | undefined}>();
    /** The settings that the caller gave, unchecked fields included. A setting left out follows the agent. */
    #given: Partial<AlignerSettings>;
    #settings: ResolvedSettings;
    #stats = emptyStats();
    #disposed = false;

    /** @internal */
    constructor(context: LlamaContext, mode: Mode, given: AlignerSettings) {
        this.#context = context;
        this.mode = mode;
        this.#given = given;
        this.#settings = resolveSettings(given);
    }

    /** True if decisions are made, for sequences that were not configured otherwise. While false, sequences generate as on a plain context. */
    get enabled(): boolean {
        return this.#settings.enabled;
    }

    /** Takes effect at the next token. @throws MaraError INVALID_ARGUMENT, ALIGNER_DISPOSED */
    set enabled(enabled: boolean) {
        this.configure({enabled});
    }

    /** True once `dispose` was called, here or on the context. */
    get disposed(): boolean {
        return this.#disposed;
    }

    /**
     * Changes settings, for the whole context or for one sequence; a sequence's own settings win over the context's. Takes
     * effect at the next token. Settings of a sequence end with it. A setting that was never given follows the agent, also a later one.
     * @throws MaraError INVALID_ARGUMENT, AGENT_WIDTH, AGENT_DISPOSED, AGENT_FORMAT, ALIGNER_DISPOSED
     */
    configure(partial: Partial<AlignerSettings>, sequence?: LlamaContextSequence): void {
        if (this.#disposed)
            throw new MaraError("ALIGNER_DISPOSED", "The aligner is disposed. Create a new aligned context.");
        checkSettings(partial);
        if ("agent" in partial && partial.judge === undefined) {
            const {model} = this.#context;
            requireAgent(partial.agent, model.embeddingVectorSize);
            if (model.llama.gpu === "cuda") partial.agent._preferCuda();
        }
        requireLanesForGuides(partial.guides, this.mode);
        if (sequence === undefined) {
            const given = mergeSettings(this.#given, partial);
            this.#settings = resolveSettings(given);
            this.#given = given;
            for (const id of this.#states.keys()) this.#apply(id, "seed" in partial);
        } else {
            const id = this.#idOf(sequence);
            const own = mergeSettings(this.#overrides.get(id) ?? {}, partial);
            resolveSettings(mergeSettings(this.#given, own));
            this.#overrides.set(id, own);
            this.#apply(id, "seed" in partial);
        }
    }

    /**
     * The settings in force for the whole context or for one sequence. A setting that was not given follows the agent's training, else the default.
     * @throws MaraError INVALID_ARGUMENT
     */
    settings(sequence?: LlamaContextSequence): SettingsInForce {
        return settingsInForce(sequence === undefined ? this.#settings : this._stateOf(this.#idOf(sequence)).settings);
    }

    /** A copy of the counters, of the whole context or of one sequence. */
    stats(sequence?: LlamaContextSequence): AlignerStats {
        return structuredClone(sequence === undefined ? this.#stats : this._stateOf(this.#idOf(sequence)).stats);
    }

    /** Sets every counter, of the context and of its sequences, to zero. */
    resetStats(): void {
        Object.assign(this.#stats, emptyStats());
        for (const state of this.#states.values()) Object.assign(state.stats, emptyStats());
    }

    /**
     * Calls `listener` after every decision of the whole context or of one sequence. A listener that throws or rejects does
     * not disturb the generation; its first failure is told as a warning. A listener's promise is not waited for.
     * @returns a function that removes the listener
     * @throws MaraError INVALID_ARGUMENT
     */
    onDecision(listener: DecisionListener, sequence?: LlamaContextSequence): () => void {
        check(func<DecisionListener>(), listener, "listener");
        if (sequence !== undefined) this.#idOf(sequence);
        const entry = {listener, sequence};
        this.#listeners.add(entry);
        return () => void this.#listeners.delete(entry);
    }

    /** Ends the alignment. The context goes on as a plain one, and the agent is no longer needed. */
    dispose(): void {
        this.#disposed = true;
        this.#listeners.clear();
        this.#given = {...this.#given, enabled: false};
        this.#settings = resolveSettings(this.#given);
        this.#overrides.clear();
        for (const id of this.#states.keys()) this.#apply(id, false);
    }

    /** @hidden */
    [Symbol.dispose](): void {
        this.dispose();
    }

    /** @internal One line for `console.log`. */
    [inspect.custom](): string {
        const {enabled, agent, threshold, strategy} = this.#settings;
        const state = this.#disposed ? "disposed" : enabled ? "enabled" : "off";
        const own = this.#settings.judge === undefined ? "no judge" : "a judge";
        const judge = agent === undefined ? own : `agent of width ${agent.width}`;
        return `Aligner {${state}, ${this.mode} mode, ${judge}, threshold ${threshold}, strategy "${strategy}"}`;
    }

    /** @internal Those of the whole context. */
    get _settings(): ResolvedSettings {
        return this.#settings;
    }

    /** @internal */
    get _stats(): AlignerStats {
        return this.#stats;
    }

    /** @internal */
    _stateOf(id: number): SequenceState {
        let state = this.#states.get(id);
        if (state === undefined) {
            state = {
                settings: this.#settings,
                stats: emptyStats(),
                sequence: undefined,
                config: {},
                draw: randomChoices(this.#settings.seed, id)
            };
            this.#states.set(id, state);
        }
        return state;
    }

    /** @internal Forgets everything about the last sequence of this number, because numbers are given out anew. */
    _begin(sequence: LlamaContextSequence): void {
        const id = sequenceInternals(sequence)._sequenceId;
        this.#states.delete(id);
        this.#overrides.delete(id);
        this._stateOf(id).sequence = sequence;
    }

    /** @internal */
    _report({holder, position, decision}: Undecided): void {
        const sequence = holder as LlamaContextSequence;
        const listening = [...this.#listeners].filter((one) => (one.sequence ?? sequence) === sequence);
        if (listening.length === 0) return;
        const {candidates, verdicts, deciders, chosen, fallback, waves, by} = decision;
        const decided = candidates.map(({token, probability}, rank) => ({
            token: token as Token,
            probability,
            acceptProbability: verdicts[rank] ?? null,
            by: deciders[rank] ?? null
        }));
        const event = {sequence, position, candidates: decided, chosenRank: chosen as number, fallback, waves, by};
        for (const {listener} of listening) notify(listener, "A decision listener", event);
    }

    #apply(id: number, reseed: boolean): void {
        const state = this._stateOf(id);
        const own = this.#overrides.get(id);
        state.settings = own === undefined ? this.#settings : resolveSettings(mergeSettings(this.#given, own));
        if (reseed) state.draw = randomChoices(state.settings.seed, id);
    }

    #idOf(sequence: LlamaContextSequence): number {
        const own = z.custom<LlamaContextSequence>(
            (value) => (value as LlamaContextSequence)?.context === this.#context,
            "a sequence of this aligner's context"
        );
        check(own, sequence, "sequence");
        return sequenceInternals(sequence)._sequenceId;
    }
}

const anAgent = z.custom<MaraAgent>((value) => value instanceof MaraAgent, "a MaraAgent");

/** @throws MaraError INVALID_ARGUMENT, AGENT_DISPOSED, AGENT_WIDTH */
export function requireAgent(agent: unknown, width: number): asserts agent is MaraAgent {
    const own = check(anAgent, agent, "agent");
    if (own.disposed) throw agentDisposed();
    if (own.width !== width)
        throw new MaraError(
            "AGENT_WIDTH",
            `The agent reads states of width ${own.width}, but the model's embedding size is ${width}. ` +
                "Use an agent that was trained for a model of this width."
        );
}

/** @throws MaraError INVALID_ARGUMENT */
export function requireLanesForGuides(guides: readonly unknown[] | undefined, mode: Mode): void {
    if (mode === "lanes" || guides === undefined || guides.length === 0) return;
    throw invalidArgument("guides", "none in serial mode, in which logits cannot be changed,", guides);
}
