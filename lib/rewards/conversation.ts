import type {LlamaModel, Token} from "node-llama-cpp";
import {MaraError} from "../errors.js";
import {chatTemplate, type Message, type Rendering} from "../generation/chat-template.js";

export type {Message} from "../generation/chat-template.js";

/**
 * Turns conversations into tokens by the chat template in the model file, as transformers' `apply_chat_template` does; with a BOS token where
 * the file asks for one and the template gives none.
 * @throws MaraError REWARD_LOAD
 */
export function conversationTokens(
    model: LlamaModel,
    file: string
): (messages: readonly Message[], addGenerationPrompt: boolean) => Token[] {
    let rendering: Rendering | undefined;
    try {
        rendering = chatTemplate(model);
    } catch (error) {
        const reason = (error as Error).message;
        throw new MaraError("REWARD_LOAD", `The chat template of ${file} cannot be read: ${reason}`, {cause: error});
    }
    if (rendering === undefined) throw new MaraError("REWARD_LOAD", `${file} has no chat template.`);
    const render = rendering;
    return (messages, addGenerationPrompt) => {
        const tokens = model.tokenize(render(messages, addGenerationPrompt), true);
        const {bos, shouldPrependBosToken} = model.tokens;
        return shouldPrependBosToken && bos !== null && tokens[0] !== bos ? [bos, ...tokens] : tokens;
    };
}
