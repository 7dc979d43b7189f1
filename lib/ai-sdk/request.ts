/** The AI SDK's prompts and call options, as `respond` takes them. */
import type {
    LanguageModelV4CallOptions,
    LanguageModelV4Message,
    LanguageModelV4ToolResultOutput,
    SharedV4Warning
} from "@ai-sdk/provider";
import type {AssistantPart, ChatMessage} from "../chat/messages.js";
import {type ChatRequest, type Tool, unheldKeywords} from "../chat/respond.js";
import {invalidArgument} from "../errors.js";
import {callOptions, type MaraModelOptions} from "./options.js";

export interface Asked {
    request: ChatRequest;
    warnings: SharedV4Warning[];
    /** Are the decisions wanted? */
    decisions: boolean;
}

/** @throws MaraError INVALID_ARGUMENT for files and for options that are out of range */
export function requestOf(options: LanguageModelV4CallOptions, model: MaraModelOptions): Asked {
    const {tools = [], toolChoice = {type: "auto"}, responseFormat, reasoning = "provider-default"} = options;
    const {minP, decisions = model.decisions ?? true, ...own} = callOptions(options.providerOptions?.mara);
    const {temperature, topP, topK, seed, frequencyPenalty, presencePenalty} = options;
    const request: ChatRequest = {
        messages: options.prompt.flatMap(messagesOf),
        chatWrapper: model.chatWrapper,
        tools: toolChoice.type === "none" ? [] : tools.flatMap(toolOf),
        mustCall: toolChoice.type === "tool" ? toolChoice.toolName : toolChoice.type === "required",
        schema:
            responseFormat?.type === "json" ? ((responseFormat.schema ?? "any") as ChatRequest["schema"]) : undefined,
        maxTokens: options.maxOutputTokens,
        stop: options.stopSequences,
        sampling: {temperature, topP, topK, minP, seed, frequencyPenalty, presencePenalty},
        settings: {...model.settings, ...own},
        thoughtTokens: reasoning === "none" ? 0 : undefined,
        signal: options.abortSignal
    };
    return {request, warnings: warningsOf(options, request), decisions};
}

function warningsOf({tools = [], reasoning}: LanguageModelV4CallOptions, request: ChatRequest): SharedV4Warning[] {
    const warnings: SharedV4Warning[] = [];
    for (const tool of tools)
        if (tool.type === "provider") warnings.push({type: "unsupported", feature: `the provider's tool ${tool.id}`});
    if (reasoning !== undefined && reasoning !== "provider-default" && reasoning !== "none")
        warnings.push({
            type: "unsupported",
            feature: `reasoning "${reasoning}"`,
            details: 'Only "none" changes anything.'
        });
    for (const keyword of unheldKeywords(request))
        warnings.push({
            type: "unsupported",
            feature: `the JSON schema's ${keyword}`,
            details: "The grammar does not hold the answer to it."
        });
    return warnings;
}

function toolOf(tool: NonNullable<LanguageModelV4CallOptions["tools"]>[number]): Tool[] {
    if (tool.type === "provider") return [];
    const {name, description, inputSchema} = tool;
    return [{name, description, parameters: inputSchema as Tool["parameters"]}];
}

function messagesOf(message: LanguageModelV4Message): ChatMessage[] {
    if (message.role === "system") return [{role: "system", text: message.content}];
    if (message.role === "user") {
        const texts = message.content.map((part) => {
            if (part.type === "text") return part.text;
            throw invalidArgument("a part of a message", "text, since only text is read,", part.mediaType);
        });
        return [{role: "user", text: texts.join("")}];
    }
    if (message.role === "tool")
        return message.content.flatMap((part) =>
            part.type === "tool-result"
                ? [{role: "result" as const, id: part.toolCallId, output: outputOf(part.output)}]
                : []
        );
    const parts = message.content.map((part): AssistantPart => {
        if (part.type === "text" || part.type === "reasoning") return {type: part.type, text: part.text};
        if (part.type === "tool-call")
            return {type: "call", id: part.toolCallId, name: part.toolName, input: part.input};
        throw invalidArgument("a part of an assistant's message", "text, reasoning or a tool call", part.type);
    });
    return [{role: "assistant", parts}];
}

function outputOf(output: LanguageModelV4ToolResultOutput): unknown {
    if (output.type === "execution-denied") return {error: output.reason ?? "The call was denied"};
    if (output.type === "error-text" || output.type === "error-json") return {error: output.value};
    if (output.type !== "content") return output.value;
    return output.value.map((part) => {
        if (part.type === "text") return part.text;
        throw invalidArgument("a part of a tool's result", "text", part.type);
    });
}
