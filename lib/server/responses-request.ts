/** Requests for responses, as those for chats. */
import type {ChatMessage, ChatRequest} from "./schemas/chat.js";
import type {ResponsesRequest} from "./schemas/responses.js";

export interface AsChat {
    chat: ChatRequest;
    /** The field of the response's request of which one of the chat's was made. */
    nameOf(param: string): string;
}

export function chatRequestOf(body: ResponsesRequest): AsChat {
    const {
        input,
        instructions,
        max_output_tokens,
        text,
        tools,
        tool_choice,
        store,
        previous_response_id,
        truncation,
        ...same
    } = body;
    const messages: ChatMessage[] = [];
    /** The fields of which each message, or each of its calls, was made. */
    const sources: string[][] = [];
    const add = (message: ChatMessage, source: string) => {
        messages.push(message);
        sources.push([source]);
    };
    if (instructions != null) add({role: "system", content: instructions}, "instructions");
    if (typeof input === "string") add({role: "user", content: input}, "input");
    else
        for (const [i, item] of input.entries()) {
            const message = messageOf(item);
            const before = messages.at(-1);
            const calls = message.role === "assistant" ? message.tool_calls : undefined;
            // Calls that follow each other are of one message.
            if (calls != null && before?.role === "assistant" && before.tool_calls != null) {
                before.tool_calls.push(...calls);
                sources.at(-1)?.push(`input[${i}]`);
            } else add(message, `input[${i}]`);
        }
    const chat: ChatRequest = {
        ...same,
        messages,
        max_tokens: max_output_tokens,
        response_format: formatOf(text?.format),
        tools: tools?.map(({type, ...description}) => ({type, function: description})),
        tool_choice:
            typeof tool_choice === "object" && tool_choice !== null
                ? {type: "function", function: {name: tool_choice.name}}
                : tool_choice
    };
    return {chat, nameOf: (param) => nameOf(param, messages, sources)};
}

function nameOf(param: string, messages: readonly ChatMessage[], sources: readonly string[][]): string {
    const [, at, call = 0, field] = /^messages\[(\d+)\](?:\.tool_calls\[(\d+)\])?.*\.(\w+)$/.exec(param) ?? [];
    if (at !== undefined) {
        const source = sources[Number(at)]?.[Number(call)] ?? "input";
        if (!source.endsWith("]")) return source;
        if (field === "id" || field === "tool_call_id") return `${source}.call_id`;
        return `${source}.${field === "content" && messages[Number(at)]?.role === "tool" ? "output" : field}`;
    }
    return param
        .replace(/^messages$/, "input")
        .replace(/^max_tokens$/, "max_output_tokens")
        .replace(/^response_format(\.json_schema)?/, "text.format")
        .replace(/^(tools\[\d+\]|tool_choice)\.function/, "$1");
}

type Item = Exclude<ResponsesRequest["input"], string>[number];

function messageOf(item: Item): ChatMessage {
    if (item.type === "function_call") {
        const {call_id: id, name, arguments: given} = item;
        return {role: "assistant", tool_calls: [{id, type: "function", function: {name, arguments: given}}]};
    }
    if (item.type === "function_call_output") return {role: "tool", tool_call_id: item.call_id, content: item.output};
    const {role, content} = item;
    return {role, content: typeof content === "string" ? content : content.map(({text}) => text).join("")};
}

function formatOf(format: NonNullable<ResponsesRequest["text"]>["format"]): ChatRequest["response_format"] {
    if (format?.type !== "json_schema") return format;
    const {type, ...schema} = format;
    return {type, json_schema: schema};
}
