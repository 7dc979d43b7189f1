/** OpenAI's messages as node-llama-cpp's chat history. */
import type {ChatHistoryItem, ChatModelFunctionCall, ChatModelResponse, ChatWrapper} from "node-llama-cpp";
import {ApiError} from "./api-error.js";
import {isTooDeep} from "./body.js";
import type {ChatMessage} from "./schemas/chat.js";

/** Without a system message the chat begins as node-llama-cpp's sessions do. @throws ApiError 400 */
export function historyOf(wrapper: ChatWrapper, messages: readonly ChatMessage[]): ChatHistoryItem[] {
    const [first] = messages;
    const isSystem = first?.role === "system" || first?.role === "developer";
    const history = wrapper.generateInitialChatHistory(isSystem ? {systemPrompt: textOf(first.content)} : {});
    const calls = new Map<string, ChatModelFunctionCall>();
    for (const [i, message] of messages.entries()) {
        if (isSystem && i === 0) continue;
        switch (message.role) {
            case "user":
                history.push({type: "user", text: textOf(message.content)});
                break;
            case "assistant":
                addResponse(modelTurn(history), message, calls, `messages[${i}]`);
                break;
            case "tool": {
                const call = calls.get(message.tool_call_id);
                if (call === undefined) throw invalid(`messages[${i}].tool_call_id`, "no call before it has this id");
                call.result = parsed(textOf(message.content), `messages[${i}].content`);
                calls.delete(message.tool_call_id);
                break;
            }
            default:
                history.push({type: "system", text: textOf(message.content)});
        }
    }
    const [open] = calls.keys();
    if (open !== undefined) throw invalid("messages", `the tool call ${JSON.stringify(open)} has no result`);
    return history;
}

function addResponse(
    {response}: ChatModelResponse,
    {content, tool_calls}: Extract<ChatMessage, {role: "assistant"}>,
    calls: Map<string, ChatModelFunctionCall>,
    place: string
): void {
    if (content == null && tool_calls == null) throw invalid(`${place}.content`, "neither content nor tool_calls");
    if (content != null && textOf(content) !== "") response.push(textOf(content));
    for (const [i, call] of (tool_calls ?? []).entries()) {
        const param = `${place}.tool_calls[${i}].function.arguments`;
        const params = parsed(call.function.arguments, param);
        if (typeof params === "string" && call.function.arguments.trim() !== "") throw invalid(param, "no JSON");
        const item: ChatModelFunctionCall = {
            type: "functionCall",
            name: call.function.name,
            params: call.function.arguments.trim() === "" ? undefined : params,
            result: undefined,
            startsNewChunk: i === 0
        };
        if (calls.has(call.id))
            throw invalid(`${place}.tool_calls[${i}].id`, "another call without a result has this id");
        response.push(item);
        calls.set(call.id, item);
    }
}

/** A result and what the model says after it belong to one turn. */
function modelTurn(history: ChatHistoryItem[]): ChatModelResponse {
    const last = history.at(-1);
    if (last?.type === "model") return last;
    const turn: ChatModelResponse = {type: "model", response: []};
    history.push(turn);
    return turn;
}

function textOf(content: string | readonly {text: string}[]): string {
    return typeof content === "string" ? content : content.map(({text}) => text).join("");
}

/** The text itself where it is no JSON. @throws ApiError 400 */
function parsed(text: string, param: string): unknown {
    let value: unknown;
    try {
        value = JSON.parse(text);
    } catch {
        return text;
    }
    if (isTooDeep(value)) throw invalid(param, "it is nested too deeply");
    return value;
}

function invalid(param: string, reason: string): ApiError {
    return new ApiError(400, `${param}: ${reason}`, {param, code: "invalid_value"});
}
