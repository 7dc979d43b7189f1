/** Conversations as other libraries have them, made into node-llama-cpp's. */
import type {ChatHistoryItem, ChatModelFunctionCall, ChatModelResponse, ChatWrapper} from "node-llama-cpp";
import {invalidArgument} from "../errors.js";

export type ChatMessage =
    | {role: "system" | "user"; text: string}
    | {role: "assistant"; parts: readonly AssistantPart[]}
    /** What the call with this id gave. */
    | {role: "result"; id: string; output: unknown};

export type AssistantPart =
    | {type: "text"; text: string}
    | {type: "reasoning"; text: string}
    /** `input` are the arguments, not yet as JSON. */
    | {type: "call"; id: string; name: string; input: unknown};

/**
 * Without a system message in front there is the one that a new `LlamaChatSession` has. A model's messages that follow each other are one.
 * @throws MaraError INVALID_ARGUMENT for a call without a result, a result without a call, or no message at all
 */
export function historyOf(messages: readonly ChatMessage[], wrapper: ChatWrapper): ChatHistoryItem[] {
    if (messages.length === 0) throw invalidArgument("the conversation", "at least one message", "none");
    const history: ChatHistoryItem[] = messages[0]?.role === "system" ? [] : wrapper.generateInitialChatHistory();
    const open = new Map<string, ChatModelFunctionCall>();
    for (const message of messages) {
        if (message.role === "result") {
            const call = open.get(message.id);
            if (call === undefined) throw invalidArgument("a tool's result", "the id of a call before it", message.id);
            call.result = message.output;
            open.delete(message.id);
        } else if (message.role === "assistant") {
            const response: ChatModelResponse["response"] = message.parts.map((part) => {
                if (part.type === "text") return part.text;
                if (part.type === "reasoning")
                    return {type: "segment", segmentType: "thought", text: part.text, ended: true};
                const call = {type: "functionCall" as const, name: part.name, params: part.input, result: undefined};
                open.set(part.id, call);
                return call;
            });
            const last = history.at(-1);
            if (last?.type === "model") last.response.push(...response);
            else history.push({type: "model", response});
        } else {
            history.push({type: message.role, text: message.text});
        }
    }
    const [unanswered] = open.keys();
    if (unanswered !== undefined) throw invalidArgument("a tool's call", "a result after it", unanswered);
    return history;
}
