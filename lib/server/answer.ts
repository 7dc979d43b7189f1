/** Generates one answer in a sequence: what chats and completions have in common. */
import type {LlamaContextSequence, Token} from "node-llama-cpp";
import type {Engine} from "./engine.js";
import type {Running} from "./running.js";
import type {Drawn, Tap} from "./tap.js";
import {endOf, type Piece, Tracer} from "./trace.js";

export type FinishReason = "stop" | "length" | "tool_calls";

/** Counts of one answer. */
export interface AnswerStats {
    /** Tokens generated, the end of the answer included. */
    tokens: number;
    /** Batches of the model for them. */
    decodes: number;
    /** Tokens that had several candidates and an agent. */
    decisions: number;
    /** Decisions that emitted another than the most probable candidate. */
    changed: number;
    /** Decisions in which nothing was accepted. */
    fallbacks: number;
    /** From the first token to the last. */
    seconds: number;
}

export interface Answered {
    reason: FinishReason;
    promptTokens: number;
    /** Those that a sequence had read already. */
    cachedTokens: number;
    /** Without the end of the answer. */
    completionTokens: number;
    stats: AnswerStats;
    /** The decision about the end, where there was one. */
    end: Piece | undefined;
    /** Tokens at the end that no text was given for: the end itself, or a part of a character. Those of a stop text are not among them. */
    unshown: readonly Drawn[];
    tracer: Tracer;
}

export interface AnswerTask {
    tokens: readonly Token[];
    wantsProbabilities: boolean;
    /** Each token is told by itself, and not only its text. */
    tellsTokens: boolean;
    maxTokens: number;
    signal: AbortSignal;
    running: Running;
    onFirstToken(): void;
    /** Takes the tokens of an answer that has failed or was given up. */
    onAbandoned(tokens: number): void;
}

/** `generate` runs once the prompt is read. */
export async function answer(
    engine: Engine,
    sequence: LlamaContextSequence,
    task: AnswerTask,
    generate: (tap: Tap, tracer: Tracer) => Promise<FinishReason>
): Promise<Answered> {
    const {tokens, signal, running} = task;
    const tap = engine.tapOf(sequence);
    tap.begin(task);
    running.begin(sequence);
    const before = engine.aligner?.stats(sequence);
    let start = performance.now();
    const settings = () => {
        const {order} = engine.aligner?.settings(sequence) ?? {};
        return order === undefined ? {} : {order};
    };
    const progress = () => {
        const decodes = engine.aligner?.stats(sequence).decodes;
        return {
            tokens: tap.drawn.length,
            decodes: decodes === undefined ? tap.drawn.length : decodes - (before?.decodes ?? 0),
            seconds: (performance.now() - start) / 1000
        };
    };
    const tracer = new Tracer(engine.model, {splits: task.tellsTokens, settings, progress});
    try {
        const cachedTokens = await readPrompt(engine, sequence, tokens, signal);
        start = performance.now();
        const reason = await generate(tap, tracer);
        const end = endOf(tap.drawn, engine.model);
        const after = engine.aligner?.stats(sequence);
        const count = (key: "fallbacks" | "decisions") => (after?.[key] ?? 0) - (before?.[key] ?? 0);
        return {
            reason,
            promptTokens: tokens.length,
            cachedTokens,
            completionTokens: tap.drawn.length - (end === undefined ? 0 : 1),
            stats: {
                ...progress(),
                decisions: count("decisions"),
                changed: tap.drawn.filter(({decision}) => (decision?.chosenRank ?? 0) > 0).length,
                fallbacks: count("fallbacks")
            },
            unshown: reason === "length" || end !== undefined ? tap.unshown : [],
            end: end && {text: "", drawn: [end]},
            tracer
        };
    } catch (error) {
        task.onAbandoned(tap.drawn.length);
        // Whatever failed, the next request of this sequence finds nothing half done.
        if (!signal.aborted && !sequence.disposed) await sequence.clearHistory().catch(() => {});
        throw error;
    } finally {
        running.end(sequence);
    }
}

/**
 * Reads all but the last token, batch by batch, so that a request that is given up meanwhile frees its sequence. The last token is always decoded
 * apart, so that a prompt which a sequence has read before gives the same numbers, bit for bit, as one that it has not.
 */
async function readPrompt(
    {context}: Engine,
    sequence: LlamaContextSequence,
    tokens: readonly Token[],
    signal: AbortSignal
): Promise<number> {
    const head = tokens.slice(0, -1);
    // With an empty list node-llama-cpp would keep what is there.
    if (head.length === 0) await sequence.clearHistory();
    else await sequence.adaptStateToTokens(head, false);
    const cached = sequence.nextTokenIndex;
    for (let at = cached; at < head.length; at += context.batchSize) {
        signal.throwIfAborted();
        await sequence.evaluateWithoutGeneratingNewTokens(head.slice(at, at + context.batchSize));
    }
    return cached;
}
