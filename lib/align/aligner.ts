import {inspect} from "node:util";
import type {LlamaContext, LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {z} from "zod";
import {MaraAgent} from "../agent/agent.js";
import {agentDisposed, invalidArgument, MaraError} from "../errors.js";
import {randomChoices} from "../random.js";
import {check} from "../validation/check.js";
import {notify} from "../validation/notify.js";
import {func} from "../validation/schemas.js";
import type {Mode} from "./context-options.js";
import {type DecisionListener, recordOf} from "./decide/record.js";
import {type AlignerStats, emptyStats} from "./decide/stats.js";
import type {SequenceState} from "./hook/step.js";
import {sequenceInternals} from "./node-llama-cpp/internals.js";
import {
    type AlignerSettings,
    checkSettings,
    mergeSettings,
    namedAgents,
    type ResolvedSettings,
    resolveSettings,
    type SettingsInForce,
    settingsInForce
} from "./options.js";
import type {Undecided} from "./wave/plan.js";

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
        if ("agent" in partial || "agents" in partial) requireJudges(partial, this.#context.model);
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

    /** A copy of the counters, of the whole context or of one sequence. @throws MaraError INVALID_ARGUMENT */
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
        const {enabled, agents, judge: own, combine, threshold, strategy} = this.#settings;
        const state = this.#disposed ? "disposed" : enabled ? "enabled" : "off";
        const [first, ...more] = agents;
        const one = first === undefined ? [] : [`agent of width ${first.agent.width}`];
        const named = more.length === 0 ? one : [`${agents.length} agents of width ${first?.agent.width}`];
        if (own !== undefined) named.push("a judge");
        const combined = agents.length + (own ? 1 : 0) > 1 ? `, combined "${combine}"` : "";
        const judge = (named.join(" and ") || "no judge") + combined;
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
                guides: [],
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
    _isListening(sequence: LlamaContextSequence | undefined): boolean {
        return [...this.#listeners].some((one) => (one.sequence ?? sequence) === sequence);
    }

    /** @internal */
    _report(undecided: Undecided, modelLogs: readonly number[] | undefined): void {
        const sequence = undecided.holder as LlamaContextSequence;
        const listening = [...this.#listeners].filter((one) => (one.sequence ?? sequence) === sequence);
        if (listening.length === 0) return;
        const event = {sequence, ...recordOf(undecided, modelLogs)};
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

/**
 * Checks that somebody judges, and that the agents suit the model; has them compute where the model does.
 * @throws MaraError INVALID_ARGUMENT, AGENT_DISPOSED, AGENT_WIDTH
 */
export function requireJudges(given: Partial<AlignerSettings>, {embeddingVectorSize: width, llama}: LlamaModel): void {
    const agents = namedAgents(given);
    if (agents.length === 0 && given.judge === undefined) {
        if (given.agents !== undefined)
            throw invalidArgument("agents", "at least one agent, or a judge,", given.agents);
        requireAgent(given.agent, width);
    }
    for (const [i, {agent}] of agents.entries()) {
        requireAgent(agent, width, given.agents === undefined ? "agent" : `agents.${i}.agent`);
        if (llama.gpu === "cuda") agent._preferCuda();
    }
}

/** @throws MaraError INVALID_ARGUMENT, AGENT_DISPOSED, AGENT_WIDTH */
export function requireAgent(agent: unknown, width: number, name = "agent"): asserts agent is MaraAgent {
    const own = check(anAgent, agent, name);
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
