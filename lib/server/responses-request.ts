/** Requests for responses, as those for chats. */
import type {ChatMessage, ChatRequest} from "./schemas/chat.js";
import type {ResponsesRequest} from "./schemas/responses.js";

export function chatRequestOf(body: ResponsesRequest): ChatRequest {
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
    const messages: ChatMessage[] = instructions == null ? [] : [{role: "system", content: instructions}];
    if (typeof input === "string") messages.push({role: "user", content: input});
    else for (const item of input) addItem(messages, item);
    return {
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
}

type Item = Exclude<ResponsesRequest["input"], string>[number];

/** Calls that follow each other are of one message. */
function addItem(messages: ChatMessage[], item: Item): void {
    if (item.type === "function_call") {
        const {call_id: id, name, arguments: given} = item;
        const call = {id, type: "function" as const, function: {name, arguments: given}};
        const last = messages.at(-1);
        if (last?.role === "assistant" && last.tool_calls != null) last.tool_calls.push(call);
        else messages.push({role: "assistant", tool_calls: [call]});
    } else if (item.type === "function_call_output")
        messages.push({role: "tool", tool_call_id: item.call_id, content: item.output});
    else {
        const {role, content} = item;
        messages.push({role, content: typeof content === "string" ? content : content.map(({text}) => text).join("")});
    }
}

function formatOf(format: NonNullable<ResponsesRequest["text"]>["format"]): ChatRequest["response_format"] {
    if (format?.type !== "json_schema") return format;
    const {type, ...schema} = format;
    return {type, json_schema: schema};
}
