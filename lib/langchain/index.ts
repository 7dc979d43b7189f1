/** A chat model of [LangChain](https://js.langchain.com) that answers in an aligned context. */
import type {CallbackManagerForLLMRun} from "@langchain/core/callbacks/manager";
import type {BaseLanguageModelInput, StructuredOutputMethodOptions} from "@langchain/core/language_models/base";
import {
    BaseChatModel,
    type BaseChatModelCallOptions,
    type BaseChatModelParams,
    type BindToolsInput
} from "@langchain/core/language_models/chat_models";
import {assembleStructuredOutputPipeline, createContentParser} from "@langchain/core/language_models/structured_output";
import {AIMessage, AIMessageChunk, type AIMessageFields, type BaseMessage} from "@langchain/core/messages";
import {ChatGenerationChunk, type ChatResult} from "@langchain/core/outputs";
import type {Runnable} from "@langchain/core/runnables";
import {toJsonSchema} from "@langchain/core/utils/json_schema";
import type {ChatWrapper, LlamaContext} from "node-llama-cpp";
import type {AlignerSettings} from "../align/options.js";
import type {JsonSchema} from "../chat/json-schema.js";
import {type ChatPart, type ChatReply, type ChatRequest, type ChatSampling, respond} from "../chat/respond.js";
import {check} from "../validation/check.js";
import {context as contextSchema} from "../validation/schemas.js";
import {choiceOf, messageOf, toolOf} from "./messages.js";

/** How an answer is made; what a call gives wins over what the model was made with. */
export interface ChatMaraSettings {
    /** Longest answer, in tokens. Default, and at most: what the context has room for. */
    maxTokens?: number;
    /** Scales probabilities, from 0. While the aligner is enabled it is the candidates', and 0 changes nothing. Default: the context's. */
    temperature?: number;
    /** In (0, 1]. Default: the context's. */
    topP?: number;
    /** From 1 to 256. Default: the context's. */
    topK?: number;
    /** In [0, 1]. Default: the context's. */
    minP?: number;
    /** From 0 to 2³² − 1. Default: the context's. */
    seed?: number;
    /** Laid over the context's settings, as `aligner.configure` takes them, for instance another agent. Default none. */
    settings?: Partial<AlignerSettings>;
    /** Are the decisions of an answer put into `response_metadata.mara`? Default true. */
    decisions?: boolean;
}

/** What `ChatMara` is made of. */
export interface ChatMaraFields extends BaseChatModelParams, ChatMaraSettings {
    /** Aligned or plain. It stays the caller's: dispose of it when no call is under way. */
    context: LlamaContext;
    /** How conversations are put to the model. Default: what node-llama-cpp finds for it. */
    chatWrapper?: ChatWrapper;
}

/** What a call takes. */
export interface ChatMaraCallOptions extends BaseChatModelCallOptions, ChatMaraSettings {
    /** What the model may call; see `bindTools`. */
    tools?: BindToolsInput[];
    /** The answer is JSON of this schema. Not together with tools. */
    schema?: JsonSchema;
}

/**
 * A chat model with streaming, tools and structured output. It answers in the sequences of its context, as many calls at a time as there are; further ones
 * wait in turn. A conversation goes on in the sequence that holds its beginning.
 *
 * Without a system message there is node-llama-cpp's own, as in a `LlamaChatSession`. Arguments of tools and structured output are held to their
 * schemas by a grammar. Parts of messages that are no text are refused. What the model thought is in `additional_kwargs.reasoning_content`. The decisions of
 * an answer are in `response_metadata.mara.decisions`, as `DecisionRecord`s in order of position.
 *
 * Calls reject with a MaraError (INVALID_ARGUMENT, what `aligner.configure` throws, DECODE_FAILED), or with the signal's reason.
 */
export class ChatMara extends BaseChatModel<ChatMaraCallOptions> {
    readonly #context: LlamaContext;
    readonly #chatWrapper: ChatWrapper | undefined;
    readonly #defaults: ChatMaraSettings;

    /** @throws MaraError INVALID_ARGUMENT */
    constructor({context, chatWrapper, ...fields}: ChatMaraFields) {
        super(fields);
        this.#context = check(contextSchema, context, "context");
        this.#chatWrapper = chatWrapper;
        const {maxTokens, temperature, topP, topK, minP, seed, settings, decisions} = fields;
        this.#defaults = Object.fromEntries(
            Object.entries({maxTokens, temperature, topP, topK, minP, seed, settings, decisions}).filter(
                ([, value]) => value !== undefined
            )
        );
    }

    /** The name of the class, as LangChain asks for it. */
    static override lc_name(): string {
        return "ChatMara";
    }

    /** The kind of model, as LangChain asks for it. */
    override _llmType(): string {
        return "mara";
    }

    /** The model with tools that it may call. Calls are returned in `tool_calls`, not made. */
    override bindTools(
        tools: BindToolsInput[],
        options: Partial<ChatMaraCallOptions> = {}
    ): Runnable<BaseLanguageModelInput, AIMessageChunk, ChatMaraCallOptions> {
        return this.withConfig({...options, tools});
    }

    /**
     * The model with answers that are objects of the schema (zod's, any standard schema, or JSON schema), written under a grammar.
     * Of `config`, `includeRaw` says whether the message comes along; there is one method.
     */
    // biome-ignore lint/suspicious/noExplicitAny: The overloads of the base class differ in their results.
    override withStructuredOutput(schema: any, config?: StructuredOutputMethodOptions<boolean>): any {
        const llm = this.withConfig({schema: toJsonSchema(schema) as JsonSchema});
        return assembleStructuredOutputPipeline(llm, createContentParser(schema), config?.includeRaw);
    }

    /** One answer, whole; `invoke` calls it. */
    override async _generate(messages: BaseMessage[], options: this["ParsedCallOptions"]): Promise<ChatResult> {
        const reply = await respond(this.#context, this.#request(messages, options));
        const message = new AIMessage({
            content: reply.text,
            tool_calls: reply.calls.map(({name, input}) => ({
                type: "tool_call",
                id: crypto.randomUUID(),
                name,
                args: JSON.parse(input)
            })),
            ...(reply.reasoning !== "" && {additional_kwargs: {reasoning_content: reply.reasoning}}),
            ...this.#end(reply, options)
        } as unknown as AIMessageFields);
        return {generations: [{text: reply.text, message}]};
    }

    /** One answer in pieces; `stream` calls it. */
    override async *_streamResponseChunks(
        messages: BaseMessage[],
        options: this["ParsedCallOptions"],
        runManager?: CallbackManagerForLLMRun
    ): AsyncGenerator<ChatGenerationChunk> {
        const gone = new AbortController();
        const {signal: given, ...request} = this.#request(messages, options);
        const signal = given === undefined ? gone.signal : AbortSignal.any([given, gone.signal]);
        const ids: string[] = [];
        let answer: Promise<ChatReply> | undefined;
        const parts = new ReadableStream<ChatPart>({
            start: (controller) => {
                answer = respond(this.#context, {...request, signal, onPart: (part) => controller.enqueue(part)});
                answer.then(
                    () => controller.close(),
                    (error) => controller.error(error)
                );
            }
        });
        try {
            for await (const part of parts) {
                const chunk = chunkOf(part, ids);
                yield chunk;
                await runManager?.handleLLMNewToken(chunk.text, undefined, undefined, undefined, undefined, {chunk});
            }
            const reply = (await answer) as ChatReply;
            const message = new AIMessageChunk({
                content: "",
                ...this.#end(reply, options)
            } as unknown as AIMessageFields);
            yield new ChatGenerationChunk({text: "", message});
        } finally {
            // The reader may have gone away.
            gone.abort();
        }
    }

    #request(messages: BaseMessage[], options: this["ParsedCallOptions"]): ChatRequest {
        const {maxTokens, settings, ...sampling} = {...this.#defaults, ...options};
        const choice = choiceOf(options.tool_choice);
        const {temperature, topP, topK, minP, seed} = sampling;
        return {
            messages: messages.map(messageOf),
            chatWrapper: this.#chatWrapper,
            tools: choice === "none" ? [] : options.tools?.map(toolOf),
            mustCall: choice !== "none" && choice,
            schema: options.schema,
            maxTokens,
            stop: options.stop,
            sampling: {temperature, topP, topK, minP, seed} satisfies ChatSampling,
            settings: {...this.#defaults.settings, ...settings},
            signal: options.signal
        };
    }

    #end({ended, usage: {input, cached, output}, decisions}: ChatReply, options: this["ParsedCallOptions"]) {
        const wanted = options.decisions ?? this.#defaults.decisions ?? true;
        return {
            usage_metadata: {
                input_tokens: input,
                output_tokens: output,
                total_tokens: input + output,
                input_token_details: {cache_read: cached}
            },
            response_metadata: {finish_reason: ended, ...(wanted && {mara: {decisions}})} as Record<string, unknown>
        };
    }
}

/** `ids` are those of the calls, by their index in the answer. */
function chunkOf(part: ChatPart, ids: string[]): ChatGenerationChunk {
    if (part.type === "text")
        return new ChatGenerationChunk({text: part.text, message: new AIMessageChunk({content: part.text})});
    if (part.type === "reasoning") {
        const message = new AIMessageChunk({content: "", additional_kwargs: {reasoning_content: part.text}});
        return new ChatGenerationChunk({text: "", message});
    }
    const first = ids[part.index] === undefined;
    if (first) ids[part.index] = crypto.randomUUID();
    const call = callChunk(part.index, first ? ids[part.index] : undefined, first ? part.name : undefined, part.text);
    return new ChatGenerationChunk({text: "", message: new AIMessageChunk({content: "", tool_call_chunks: [call]})});
}

function callChunk(index: number, id: string | undefined, name: string | undefined, args: string) {
    return {type: "tool_call_chunk" as const, index, args, ...(id && {id}), ...(name && {name})};
}
