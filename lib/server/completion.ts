/** Completions of a text: how they are generated, and how probable the text itself is. */
import type {ControlledEvaluateInputItem, LlamaContextSequence, Token} from "node-llama-cpp";
import {StopTexts} from "../chat/stop-texts.js";
import {type Answered, type AnswerTask, answer} from "./answer.js";
import {refused} from "./api-error.js";
import type {Engine} from "./engine.js";
import {evaluateOptions, type Sampling} from "./sampling.js";
import type {Piece, Tracer} from "./trace.js";

export interface CompletionTask extends AnswerTask {
    /** How many of `tokens` were put in front of the prompt. */
    added: number;
    stop: readonly string[];
    sampling: Sampling;
}

/** The tokens of a prompt, with the beginning of a text in front where the model wants it. */
export function promptTokensOf({model}: Engine, prompt: string | readonly number[]): {tokens: Token[]; added: number} {
    const own = typeof prompt === "string" ? model.tokenize(prompt) : ([...prompt] as Token[]);
    const {bos, shouldPrependBosToken} = model.tokens;
    if (!shouldPrependBosToken || bos === null || own[0] === bos) return {tokens: own, added: 0};
    return {tokens: [bos, ...own], added: 1};
}

/** @throws ApiError 400 where a number is no token of the model */
export function requireTokens({model}: Engine, numbers: readonly number[], param: string): void {
    const size = model.fileInfo.metadata.tokenizer.ggml.tokens.length;
    if (numbers.some((number) => number >= size)) throw refused(param, `the model has ${size} tokens`);
}

/** The `index`th of a prompt's completions. `before` runs in the sequence first. */
export async function complete(
    engine: Engine,
    sequence: LlamaContextSequence,
    task: CompletionTask,
    {index, onPieces}: {index: number; onPieces: (pieces: Piece[], tracer: Tracer) => void}
): Promise<Answered> {
    const {LlamaCompletion} = await import("node-llama-cpp");
    return await answer(engine, sequence, task, async (tap, tracer) => {
        if (task.maxTokens === 0) return "length";
        const completion = new LlamaCompletion({contextSequence: sequence});
        const {bos, shouldPrependBosToken} = engine.model.tokens;
        const isPrepended = shouldPrependBosToken && task.tokens[0] === bos;
        const stops = new StopTexts<Piece>(task.stop);
        const show = (pieces: Piece[]) => {
            if (pieces.length > 0) onPieces(pieces, tracer);
        };
        let tokens: Token[] = [];
        try {
            const {metadata} = await completion.generateCompletionWithMeta(task.tokens.slice(isPrepended ? 1 : 0), {
                ...evaluateOptions(task.sampling, index),
                maxTokens: task.maxTokens,
                signal: AbortSignal.any([task.signal, stops.signal]),
                stopOnAbortSignal: true,
                // It would otherwise cut the beginning off a prompt that all but fills the context.
                contextShiftSize: 1,
                onToken: (given) => {
                    tokens = given;
                },
                onTextChunk: (text) => {
                    show(stops.add(tracer.split(text, tokens, tap.take(tokens))));
                }
            });
            task.signal.throwIfAborted();
            if (stops.isFound) return "stop";
            show(stops.rest());
            return metadata.stopReason === "maxTokens" ? "length" : "stop";
        } finally {
            completion.dispose({disposeSequence: false});
        }
    });
}

/** A token of a prompt. */
export interface PromptLogprob {
    token: Token;
    /** Null for the first token of a text, which nothing precedes. */
    logprob: number | null;
    /** The most probable tokens at its place. */
    top: [token: Token, logprob: number][];
}

/** How probable each token is after those before it, by the model alone, over the whole vocabulary at temperature 1. Begins in an empty sequence. */
export async function promptLogprobs(
    sequence: LlamaContextSequence,
    tokens: readonly Token[],
    top: number,
    signal: AbortSignal
): Promise<PromptLogprob[]> {
    await sequence.clearHistory();
    const result: PromptLogprob[] = [{token: tokens[0] as Token, logprob: null, top: []}];
    const {batchSize} = sequence.context;
    for (let at = 0; at < tokens.length - 1; at += batchSize) {
        signal.throwIfAborted();
        const input = tokens
            .slice(at, Math.min(at + batchSize, tokens.length - 1))
            .map((token, i): ControlledEvaluateInputItem => {
                const options = {temperature: 1, topK: 0, topP: 1, minP: 0};
                const logits = {filter: {tokens: [tokens[at + i + 1] as Token], includeTop: Math.max(1, top)}};
                return [token, {generateNext: {logits, totalLogitWeight: true, options}}];
            });
        const output = await sequence.controlledEvaluate(input);
        for (const i of input.keys()) {
            const token = tokens[at + i + 1] as Token;
            const {logits, totalLogitWeight} = output[i]?.next ?? {};
            if (logits === undefined || totalLogitWeight === undefined)
                throw new Error("This release of node-llama-cpp gives no logits of prompts");
            const total = Math.max(...logits.values()) + Math.log(totalLogitWeight);
            const best = [...logits].sort(([, a], [, b]) => b - a).slice(0, top);
            result.push({
                token,
                logprob: (logits.get(token) ?? Number.NEGATIVE_INFINITY) - total,
                top: best.map(([one, logit]) => [one, logit - total])
            });
        }
    }
    return result;
}
