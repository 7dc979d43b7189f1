/** LangChain's messages and tools, as `respond` takes them. */
import type {BindToolsInput, ToolChoice} from "@langchain/core/language_models/chat_models";
import {AIMessage, type BaseMessage, ToolMessage} from "@langchain/core/messages";
import {convertToOpenAITool} from "@langchain/core/utils/function_calling";
import type {AssistantPart, ChatMessage} from "../chat/messages.js";
import type {Tool} from "../chat/respond.js";
import {invalidArgument} from "../errors.js";

/** @throws MaraError INVALID_ARGUMENT for other roles, and for parts that are no text */
export function messageOf(message: BaseMessage): ChatMessage {
    if (ToolMessage.isInstance(message)) return {role: "result", id: message.tool_call_id, output: textOf(message)};
    if (AIMessage.isInstance(message)) {
        const calls = (message.tool_calls ?? []).map(
            ({id, name, args}, i): AssistantPart => ({type: "call", id: id ?? `call ${i}`, name, input: args})
        );
        const text = textOf(message);
        return {role: "assistant", parts: text === "" ? calls : [{type: "text", text}, ...calls]};
    }
    const {type} = message;
    if (type === "human") return {role: "user", text: textOf(message)};
    if (type === "system" || type === "developer") return {role: "system", text: textOf(message)};
    throw invalidArgument("a message", "one of a human, an AI, a tool or the system", type);
}

function textOf({content}: BaseMessage): string {
    if (typeof content === "string") return content;
    const texts = content.map((part) => {
        // What a model thought before is not read again, and its calls stand in `tool_calls`.
        if (part.type === "reasoning" || part.type === "tool_call") return "";
        if (part.type === "text" && typeof part.text === "string") return part.text;
        throw invalidArgument("a part of a message", "text, since only text is read,", part.type);
    });
    return texts.join("");
}

export function toolOf(tool: BindToolsInput): Tool {
    const {name, description, parameters} = convertToOpenAITool(tool).function;
    return {name, description, parameters: parameters as Tool["parameters"]};
}

/** `mustCall` of a request; "none" where no tool is to be offered. */
export function choiceOf(choice: ToolChoice | undefined): boolean | string {
    if (choice === undefined || choice === "auto" || choice === "none") return choice === "none" && choice;
    if (choice === "any" || choice === "required") return true;
    if (typeof choice === "string") return choice;
    const name: unknown = (choice.function as {name?: unknown} | undefined)?.name ?? choice.name;
    if (typeof name === "string") return name;
    throw invalidArgument("tool_choice", '"auto", "none", "any", or a tool\'s name', choice);
}
