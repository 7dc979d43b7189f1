/** Prompts by the chat template that stands in the model's file. */
import {Template} from "@huggingface/jinja";
import type {LlamaModel, Token} from "node-llama-cpp";
import {MaraError} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";

export interface Message {
    role: "system" | "user" | "assistant";
    content: string;
}

export type Rendering = (messages: readonly Message[], addGenerationPrompt: boolean) => string;

/**
 * Renders conversations as transformers' `apply_chat_template` does; undefined where the model's file has no template.
 * @throws Error of the template library if the template cannot be read
 */
export function chatTemplate(model: LlamaModel): Rendering | undefined {
    const source = model.fileInfo.metadata.tokenizer?.chat_template;
    if (source === undefined) return undefined;
    const template = new Template(source);
    const textOf = (token: Token | null) => (token === null ? "" : model.detokenize([token], true));
    const special = {bos_token: textOf(model.tokens.bos), eos_token: textOf(model.tokens.eos)};
    return (messages, addGenerationPrompt) =>
        template.render({messages, add_generation_prompt: addGenerationPrompt, ...special});
}

const renderings = new WeakMap<LlamaModel, Rendering>();

/**
 * The tokens of a prompt as MARA's authors make them to measure an agent: the text of `apply_chat_template` given to the tokenizer, which puts a
 * beginning-of-sequence token in front where it adds one, also beside one that the template gives. There is no system prompt but the
 * caller's. Names of special tokens within a prompt become these tokens.
 *
 * @throws MaraError MODEL_UNSUPPORTED if the model's file has no chat template, or one that cannot be rendered
 */
export function templateTokens(model: LlamaModel, {prompt, system}: Prompt): Token[] {
    const user: Message = {role: "user", content: prompt};
    const messages: Message[] = system === undefined ? [user] : [{role: "system", content: system}, user];
    let text: string;
    try {
        const rendering = renderings.get(model) ?? chatTemplate(model);
        if (rendering === undefined) throw new Error("its file has none");
        renderings.set(model, rendering);
        text = rendering(messages, true);
    } catch (error) {
        throw new MaraError(
            "MODEL_UNSUPPORTED",
            `The model's chat template cannot be used: ${(error as Error).message}. The prompt format "session" does without it.`,
            {cause: error}
        );
    }
    const {bos, shouldPrependBosToken} = model.tokens;
    const tokens = model.tokenize(text, true);
    return shouldPrependBosToken && bos !== null ? [bos, ...tokens] : tokens;
}
