import {Template} from "@huggingface/jinja";
import type {LlamaModel, Token} from "node-llama-cpp";
import {MaraError} from "../errors.js";

export interface Message {
    role: "system" | "user" | "assistant";
    content: string;
}

/**
 * Turns conversations into tokens by the chat template in the model file, as transformers' `apply_chat_template` does; with a BOS token where
 * the file asks for one and the template gives none.
 * @throws MaraError REWARD_LOAD
 */
export function conversationTokens(
    model: LlamaModel,
    file: string
): (messages: readonly Message[], addGenerationPrompt: boolean) => Token[] {
    const source = model.fileInfo.metadata.tokenizer?.chat_template;
    if (source === undefined) throw new MaraError("REWARD_LOAD", `${file} has no chat template.`);
    let template: Template;
    try {
        template = new Template(source);
    } catch (error) {
        const reason = (error as Error).message;
        throw new MaraError("REWARD_LOAD", `The chat template of ${file} cannot be read: ${reason}`, {cause: error});
    }
    const textOf = (token: Token | null) => (token === null ? "" : model.detokenize([token], true));
    const special = {bos_token: textOf(model.tokens.bos), eos_token: textOf(model.tokens.eos)};
    return (messages, addGenerationPrompt) => {
        const text = template.render({messages, add_generation_prompt: addGenerationPrompt, ...special});
        const tokens = model.tokenize(text, true);
        const {bos, shouldPrependBosToken} = model.tokens;
        return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
    };
}
