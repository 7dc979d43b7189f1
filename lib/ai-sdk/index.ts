/** A language model of the [AI SDK](https://ai-sdk.dev) that answers in an aligned context. */
import {randomUUID} from "node:crypto";
import type {
    JSONObject,
    LanguageModelV4,
    LanguageModelV4CallOptions,
    LanguageModelV4Content,
    LanguageModelV4FinishReason,
    LanguageModelV4GenerateResult,
    LanguageModelV4StreamPart,
    LanguageModelV4StreamResult,
    LanguageModelV4Usage,
    SharedV4ProviderMetadata
} from "@ai-sdk/provider";
import type {LlamaContext} from "node-llama-cpp";
import {type ChatReply, respond} from "../chat/respond.js";
import {check} from "../validation/check.js";
import {context as contextSchema} from "../validation/schemas.js";
import {type MaraModelOptions, modelOptions} from "./options.js";
import {type Asked, requestOf} from "./request.js";
import {StreamParts} from "./stream-parts.js";

export type {MaraCallOptions, MaraModelOptions} from "./options.js";

/**
 * A language model for `generateText`, `streamText`, `generateObject` and the rest of the AI SDK.
 *
 * It answers in the sequences of `context`, as many calls at a time as there are; further ones wait in turn. A conversation goes on in the sequence
 * that holds its beginning. The context stays the caller's: dispose of it when no call is under way. A plain context (`model.createContext`) works as well.
 *
 * `temperature`, `topP`, `topK` (1 to 256) and `seed` are those of the candidates while the aligner is enabled; a `temperature` of 0 changes nothing
 * there. Without a system message there is node-llama-cpp's own, as in a `LlamaChatSession`. JSON and the arguments of tools are held to their
 * schemas by a grammar, and keywords that it cannot hold (`pattern`, `minimum`) come as warnings. Tool calls are returned, not made. Files are
 * refused.
 *
 * The decisions of an answer are in `providerMetadata.mara.decisions`, as `DecisionRecord`s in order of position.
 *
 * @throws MaraError INVALID_ARGUMENT. Calls reject with INVALID_ARGUMENT, with what `aligner.configure` throws, with DECODE_FAILED, or with the
 * signal's reason
 */
export function mara(context: LlamaContext, options?: MaraModelOptions): LanguageModelV4 {
    check(contextSchema, context, "context");
    const checked = modelOptions(options);
    const modelId = checked.modelId ?? context.model.fileInfo.metadata.general?.name ?? "mara";
    return {
        specificationVersion: "v4",
        provider: "mara",
        modelId,
        supportedUrls: {},
        doGenerate: async (call) => await generate(context, modelId, requestOf(call, checked)),
        doStream: async (call) => stream(context, modelId, requestOf(call, checked), call)
    };
}

async function generate(
    context: LlamaContext,
    modelId: string,
    {request, warnings, decisions}: Asked
): Promise<LanguageModelV4GenerateResult> {
    const reply = await respond(context, request);
    const content: LanguageModelV4Content[] = [];
    if (reply.reasoning !== "") content.push({type: "reasoning", text: reply.reasoning});
    if (reply.text !== "") content.push({type: "text", text: reply.text});
    for (const {name, input} of reply.calls)
        content.push({type: "tool-call", toolCallId: randomUUID(), toolName: name, input});
    return {
        content,
        ...endOf(reply, decisions),
        warnings,
        response: {id: randomUUID(), timestamp: new Date(), modelId}
    };
}

function stream(
    context: LlamaContext,
    modelId: string,
    {request, warnings, decisions}: Asked,
    {abortSignal}: LanguageModelV4CallOptions
): LanguageModelV4StreamResult {
    const gone = new AbortController();
    const signal = abortSignal === undefined ? gone.signal : AbortSignal.any([abortSignal, gone.signal]);
    const answering = new ReadableStream<LanguageModelV4StreamPart>({
        async start(controller) {
            const send = (part: LanguageModelV4StreamPart) => {
                if (!gone.signal.aborted) controller.enqueue(part);
            };
            send({type: "stream-start", warnings});
            send({type: "response-metadata", id: randomUUID(), timestamp: new Date(), modelId});
            const parts = new StreamParts(send);
            try {
                const reply = await respond(context, {...request, signal, onPart: (part) => parts.add(part)});
                parts.end(reply.calls);
                send({type: "finish", ...endOf(reply, decisions)});
            } catch (error) {
                send({type: "error", error});
            }
            if (!gone.signal.aborted) controller.close();
        },
        cancel: (reason) => gone.abort(reason)
    });
    return {stream: answering};
}

function endOf(
    {ended, usage: {input, cached, output}, decisions}: ChatReply,
    withDecisions: boolean
): {
    finishReason: LanguageModelV4FinishReason;
    usage: LanguageModelV4Usage;
    providerMetadata?: SharedV4ProviderMetadata;
} {
    return {
        finishReason: {unified: ended, raw: ended},
        usage: {
            inputTokens: {total: input, noCache: input - cached, cacheRead: cached, cacheWrite: undefined},
            outputTokens: {total: output, text: undefined, reasoning: undefined}
        },
        ...(withDecisions && {providerMetadata: {mara: {decisions: decisions as unknown as JSONObject[]}}})
    };
}
