/** Chats: what a request asks for, and how it is generated. */
import type {
    ChatHistoryItem,
    ChatModelFunctions,
    ChatWrapper,
    LlamaContextSequence,
    LlamaGrammar,
    LlamaText,
    Token
} from "node-llama-cpp";
import {StopTexts, textOf} from "../chat/stop-texts.js";
import {type Answered, type AnswerTask, answer, type FinishReason} from "./answer.js";
import type {Engine} from "./engine.js";
import {evaluateOptions, type Sampling} from "./sampling.js";
import type {Piece, Tracer} from "./trace.js";

export interface ChatTask extends AnswerTask {
    wrapper: ChatWrapper;
    history: ChatHistoryItem[];
    functions: ChatModelFunctions | undefined;
    grammar: LlamaGrammar | undefined;
    maxCalls: number | undefined;
    stop: readonly string[];
    sampling: Sampling;
}

/** What comes while an answer is generated. */
export type ChatEvent =
    | {type: "text" | "thought"; text: string; pieces: Piece[]}
    | {type: "call"; index: number; name: string; text: string; done: boolean};

/** The tokens that are read before the answer, and a chat wrapper that need not write and split this chat again. */
export function rendered(
    {model, wrapper}: Engine,
    history: readonly ChatHistoryItem[],
    functions: ChatModelFunctions | undefined
): {tokens: Token[]; wrapper: ChatWrapper} {
    const last = history.at(-1);
    const chatHistory = last?.type === "model" ? history : [...history, {type: "model" as const, response: []}];
    const options = {
        chatHistory,
        ...(functions === undefined ? {} : {availableFunctions: functions, documentFunctionParams: true})
    };
    const {contextText, ...state} = wrapper.generateContextState(options);
    const tokens = contextText.tokenize(model.tokenizer);
    const known = JSON.stringify(options);
    const text: LlamaText = Object.create(contextText, {tokenize: {value: () => [...tokens]}});
    const generateContextState: ChatWrapper["generateContextState"] = (asked) =>
        JSON.stringify(asked) === known ? {...state, contextText: text} : wrapper.generateContextState(asked);
    return {tokens, wrapper: Object.create(wrapper, {generateContextState: {value: generateContextState}})};
}

/** The `index`th of a request's answers. */
export async function chat(
    engine: Engine,
    sequence: LlamaContextSequence,
    task: ChatTask,
    index: number,
    onEvent: (event: ChatEvent, tracer: Tracer) => void
): Promise<Answered> {
    const {LlamaChat} = await import("node-llama-cpp");
    return await answer(engine, sequence, task, async (tap, tracer) => {
        const llamaChat = new LlamaChat({contextSequence: sequence, chatWrapper: task.wrapper});
        const {history, functions, grammar, maxCalls, maxTokens, signal, stop, sampling} = task;
        const tools = functions && {
            functions,
            documentFunctionParams: true,
            ...(maxCalls === undefined ? {} : {maxParallelFunctionCalls: maxCalls})
        };
        const emit = (event: ChatEvent) => onEvent(event, tracer);
        const stops = new StopTexts<Piece>(stop);
        let type: "text" | "thought" = "text";
        const show = (pieces: Piece[]) => {
            if (pieces.length > 0) emit({type, text: textOf(pieces), pieces});
        };
        try {
            const {metadata} = await llamaChat.generateResponse(structuredClone(history), {
                ...evaluateOptions(sampling, index),
                ...(tools ?? (grammar === undefined ? {} : {grammar})),
                maxTokens,
                signal: AbortSignal.any([signal, stops.signal]),
                stopOnAbortSignal: true,
                // The whole response, which is spelt at once, lacks spaces that llama.cpp takes for superfluous.
                onResponseChunk: ({text, tokens, type: segment}) => {
                    const now = segment === undefined ? "text" : "thought";
                    if (now !== type) show(stops.rest());
                    type = now;
                    show(stops.add(tracer.split(text, tokens, tap.take(tokens))));
                },
                ...(tools && {
                    onFunctionCallParamsChunk: ({callIndex, functionName, paramsChunk, done}) => {
                        show(stops.rest());
                        emit({type: "call", index: callIndex, name: functionName, text: paramsChunk, done});
                    }
                })
            } as Parameters<typeof llamaChat.generateResponse>[1]);
            signal.throwIfAborted();
            if (stops.isFound) return "stop";
            show(stops.rest());
            return reasons[metadata.stopReason] ?? "stop";
        } finally {
            llamaChat.dispose();
        }
    });
}

const reasons: Record<string, FinishReason> = {maxTokens: "length", functionCalls: "tool_calls"};
