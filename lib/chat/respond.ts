/** One answer to a conversation in a context that answers several at a time: what the bindings for other libraries stand on. */
import {
    type ChatHistoryItem,
    type ChatModelFunctions,
    ChatModelFunctionsDocumentationGenerator,
    type ChatWrapper,
    LlamaChat,
    type LlamaChatResponse,
    type LlamaContext,
    type LlamaContextSequence,
    LlamaText,
    type Token
} from "node-llama-cpp";
import {alignerOf} from "../align/aligned-context.js";
import type {DecisionRecord} from "../align/decide/record.js";
import type {AlignerSettings} from "../align/options.js";
import {decodeFailure, invalidArgument, MaraError} from "../errors.js";
import {wrapperOf} from "../generation/prompt-tokens.js";
import {CallText} from "./call-text.js";
import {grammarSchema, type JsonSchema, jsonGrammar} from "./json-schema.js";
import {type ChatMessage, historyOf} from "./messages.js";
import {poolOf} from "./sequence-pool.js";
import {StopTexts, textOf} from "./stop-texts.js";

export interface Tool {
    name: string;
    description?: string | undefined;
    /** Default: no parameters. */
    parameters?: JsonSchema | undefined;
}

/** How tokens are drawn: on an aligned context these become the candidates' settings, but for a temperature of 0, which changes nothing there. */
export interface ChatSampling {
    temperature?: number | undefined;
    topP?: number | undefined;
    topK?: number | undefined;
    minP?: number | undefined;
    seed?: number | undefined;
    frequencyPenalty?: number | undefined;
    presencePenalty?: number | undefined;
}

export interface ChatRequest {
    messages: readonly ChatMessage[];
    /** Default: the model's own. */
    chatWrapper?: ChatWrapper | undefined;
    /** The model may call these; calls are returned, not made. */
    tools?: readonly Tool[] | undefined;
    /** Must the answer be a call: of any tool (true), or of the one with this name? */
    mustCall?: boolean | string | undefined;
    /** The answer is JSON, of this schema or any. Not together with tools. */
    schema?: JsonSchema | "any" | undefined;
    /** Default, and at most: what the context has room for. */
    maxTokens?: number | undefined;
    /** Texts that end the answer. */
    stop?: readonly string[] | undefined;
    sampling?: ChatSampling | undefined;
    /** Laid over the context's settings for this answer. */
    settings?: Partial<AlignerSettings> | undefined;
    /** Most tokens of thoughts. Default: node-llama-cpp's. */
    thoughtTokens?: number | undefined;
    signal?: AbortSignal | undefined;
    /** Called as the answer is written. */
    onPart?: ((part: ChatPart) => void) | undefined;
}

export type ChatPart =
    | {type: "text"; text: string}
    | {type: "reasoning"; text: string}
    /** A piece of a call's arguments, as JSON. `index` counts the calls of the answer. */
    | {type: "call"; index: number; name: string; text: string; done: boolean};

export interface ChatCall {
    name: string;
    /** The arguments as JSON. */
    input: string;
}

export interface ChatReply {
    text: string;
    reasoning: string;
    calls: ChatCall[];
    /** "stop": the model's end, or a stop text; "length": `maxTokens`. */
    ended: "stop" | "length" | "tool-calls";
    usage: {
        /** Tokens of the conversation. */
        input: number;
        /** Of these, how many the sequence held already. */
        cached: number;
        output: number;
    };
    /** In order of position. Empty on plain contexts. */
    decisions: DecisionRecord[];
}

/**
 * Answers as a `LlamaChatSession` with these messages would, in whatever sequence of the context is free; waits until one is.
 *
 * @throws MaraError INVALID_ARGUMENT, also for a conversation that leaves no room in the context; the codes of `aligner.configure`; DECODE_FAILED;
 * the signal's reason
 */
export async function respond(context: LlamaContext, request: ChatRequest): Promise<ChatReply> {
    const {signal} = request;
    signal?.throwIfAborted();
    if (context.disposed) throw new MaraError("DECODE_FAILED", "The context is disposed. Create a new one.");
    const plan = await planOf(context, request);
    const lease = await poolOf(context).lease(plan.tokens, signal);
    try {
        return await answer(lease.sequence, lease.shared, plan, request);
    } catch (error) {
        if (signal?.aborted) throw signal.reason;
        throw decodeFailure(error);
    } finally {
        lease.release();
    }
}

/** The keywords of a request's schemas to which the answer is not held. */
export function unheldKeywords({schema, tools = []}: ChatRequest): string[] {
    const schemas = tools.map(({name, parameters}) => grammarSchema(parameters ?? {type: "object"}, name).unheld);
    if (schema !== undefined && schema !== "any") schemas.push(grammarSchema(schema, "schema").unheld);
    return [...new Set(schemas.flat())];
}

interface Plan {
    wrapper: ChatWrapper;
    history: ChatHistoryItem[];
    functions: ChatModelFunctions | undefined;
    grammar: Awaited<ReturnType<typeof jsonGrammar>> | undefined;
    /** The conversation up to where the answer begins. */
    tokens: Token[];
    maxTokens: number;
}

async function planOf(context: LlamaContext, request: ChatRequest): Promise<Plan> {
    const {model} = context;
    const {tools = [], mustCall = false, schema} = request;
    const wanted = typeof mustCall === "string" ? tools.filter(({name}) => name === mustCall) : tools;
    if (mustCall !== false && wanted.length === 0)
        throw invalidArgument("the tool to be called", "one of the tools", mustCall);
    if (schema !== undefined && tools.length > 0)
        throw invalidArgument(
            "a JSON schema of the answer",
            "none beside tools, since node-llama-cpp has either,",
            schema
        );
    const declared = functionsOf(wanted);
    const forced = mustCall !== false;
    const wrapper = request.chatWrapper ?? wrapperOf(model);
    const given = historyOf(request.messages, wrapper);
    const history = forced ? withInstruction(given, declared) : given;
    const functions = forced || tools.length === 0 ? undefined : declared;
    const shape = forced ? callSchema(wanted) : schema;
    const grammar = shape === undefined ? undefined : await jsonGrammar(model.llama, shape, "schema");

    const last = history.at(-1);
    const chatHistory: ChatHistoryItem[] =
        last?.type === "model" ? history : [...history, {type: "model", response: []}];
    const state = wrapper.generateContextState({
        chatHistory,
        ...(functions !== undefined && {availableFunctions: functions, documentFunctionParams: true})
    });
    const tokens = state.contextText.tokenize(model.tokenizer);
    const room = context.contextSize - tokens.length - 1;
    if (room < 1)
        throw invalidArgument(
            "contextSize",
            `more than the ${tokens.length} tokens of the conversation`,
            context.contextSize
        );
    return {wrapper, history, functions, grammar, tokens, maxTokens: Math.min(request.maxTokens ?? room, room)};
}

function functionsOf(tools: readonly Tool[]): ChatModelFunctions {
    const entries = tools.map(({name, description, parameters}) => {
        const params = parameters === undefined ? {} : {params: grammarSchema(parameters, name).schema};
        return [name, {...(description !== undefined && {description}), ...params}];
    });
    return Object.fromEntries(entries);
}

/** node-llama-cpp lets a model choose whether it calls. Where it must, the call is an answer in JSON. */
function callSchema(tools: readonly Tool[]): JsonSchema {
    const calls = tools.map(({name, parameters}) => ({
        type: "object",
        properties: {name: {const: name}, arguments: parameters ?? {type: "object", additionalProperties: false}}
    }));
    return {oneOf: calls};
}

function withInstruction(history: ChatHistoryItem[], functions: ChatModelFunctions): ChatHistoryItem[] {
    const signatures = new ChatModelFunctionsDocumentationGenerator(functions).getTypeScriptFunctionSignatures({
        documentParams: true
    });
    const text = `Call one of these functions:\n\n${signatures}\n\nAnswer with JSON only: {"name": …, "arguments": {…}}`;
    const [first, ...others] = history;
    if (first?.type !== "system") return [{type: "system", text}, ...history];
    const joined = LlamaText([LlamaText.fromJSON(first.text), `\n\n${text}`]);
    return [{type: "system", text: joined.toJSON()}, ...others];
}

async function answer(
    sequence: LlamaContextSequence,
    shared: number,
    {wrapper, history, functions, grammar, tokens, maxTokens}: Plan,
    {mustCall = false, sampling = {}, settings = {}, stop = [], thoughtTokens, signal, onPart}: ChatRequest
): Promise<ChatReply> {
    const {context} = sequence;
    const {temperature, topP, topK, minP, seed, frequencyPenalty, presencePenalty} = sampling;
    const decisions: DecisionRecord[] = [];
    const aligner = alignerOf(context);
    let unlisten: (() => void) | undefined;
    if (aligner !== undefined && !aligner.disposed) {
        // The settings of the answer before are forgotten.
        aligner._begin(sequence);
        const scale = temperature === 0 ? undefined : temperature;
        const candidates = {temperature: scale, topP, topK, minP, ...settings.candidates};
        aligner.configure({...settings, ...(seed !== undefined && {seed}), candidates: defined(candidates)}, sequence);
        unlisten = aligner.onDecision(({sequence: _, ...decision}) => void decisions.push(decision), sequence);
    }
    const written = {text: "", reasoning: ""};
    const forced = mustCall === false ? undefined : new CallText();
    const stops = new StopTexts<{text: string}>(stop);
    let type: keyof typeof written = "text";
    let call: ChatCall = {name: "", input: ""};
    const show = (pieces: {text: string}[]) => {
        const text = textOf(pieces);
        if (text === "" || signal?.aborted) return;
        written[type] += text;
        if (type === "reasoning" || forced === undefined) return onPart?.({type, text});
        // The JSON of a call that must be made is no text of the answer.
        const piece = forced.add(text);
        if (piece === undefined) return;
        call = {name: piece.name, input: call.input + piece.text};
        onPart?.({type: "call", index: 0, ...piece});
    };
    const before = sequence.tokenMeter.getState();
    const chat = new LlamaChat({contextSequence: sequence, chatWrapper: wrapper});
    try {
        const reply = (await chat.generateResponse(history, {
            ...defined({temperature, topP, topK, minP, seed}),
            signal: signal === undefined ? stops.signal : AbortSignal.any([signal, stops.signal]),
            stopOnAbortSignal: true,
            repeatPenalty: defined({frequencyPenalty, presencePenalty}),
            maxTokens,
            ...(thoughtTokens !== undefined && {budgets: {thoughtTokens}}),
            onResponseChunk: ({type: segment, text}) => {
                const now = segment === undefined ? "text" : "reasoning";
                if (now !== type) show(stops.rest());
                type = now;
                show(stops.add([{text}]));
            },
            ...(grammar !== undefined && {grammar}),
            ...(functions !== undefined && {
                functions,
                documentFunctionParams: true,
                onFunctionCallParamsChunk: ({callIndex, functionName, paramsChunk, done}) => {
                    show(stops.rest());
                    if (signal?.aborted) return;
                    onPart?.({type: "call", index: callIndex, name: functionName, text: paramsChunk, done});
                }
            })
        } as Parameters<LlamaChat["generateResponse"]>[1])) as unknown as LlamaChatResponse<ChatModelFunctions>;
        signal?.throwIfAborted();
        show(stops.rest());
        const {usedOutputTokens: output} = sequence.tokenMeter.diff(before);
        const length = reply.metadata.stopReason === "maxTokens" && !stops.isFound;
        const calls = forced?.isWhole && !length ? [compact(call)] : callsOf(reply);
        return {
            text: forced === undefined ? written.text : "",
            reasoning: written.reasoning,
            calls,
            ended: length ? "length" : calls.length > 0 ? "tool-calls" : "stop",
            usage: {input: tokens.length, cached: Math.min(shared, tokens.length), output},
            decisions
        };
    } finally {
        unlisten?.();
        chat.dispose({disposeSequence: false});
    }
}

function callsOf({functionCalls = []}: LlamaChatResponse<ChatModelFunctions>): ChatCall[] {
    return functionCalls.map(({functionName, params}) => ({name: functionName, input: JSON.stringify(params ?? {})}));
}

function compact({name, input}: ChatCall): ChatCall {
    return {name, input: JSON.stringify(JSON.parse(input))};
}

/** Without the fields that are undefined. */
function defined<Fields extends object>(fields: Fields): {[Key in keyof Fields]?: Exclude<Fields[Key], undefined>} {
    return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
