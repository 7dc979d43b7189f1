import {type ChatWrapper, type LlamaModel, type LlamaText, resolveChatWrapper, type Token} from "node-llama-cpp";
import {MaraError} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";
import {check} from "../validation/check.js";
import {loadedModel} from "../validation/schemas.js";
import {checkPrompt} from "../validation/sources.js";
import {templateTokens} from "./chat-template.js";

const wrappers = new WeakMap<LlamaModel, ChatWrapper>();

/** The model's chat wrapper: finding it means reading its template, so once is enough. */
export function wrapperOf(model: LlamaModel): ChatWrapper {
    let wrapper = wrappers.get(model);
    if (wrapper === undefined) {
        wrapper = resolveChatWrapper(model);
        wrappers.set(model, wrapper);
    }
    return wrapper;
}

function contextState(model: LlamaModel, {prompt, system}: Prompt) {
    const wrapper = wrapperOf(model);
    return wrapper.generateContextState({
        chatHistory: [
            ...wrapper.generateInitialChatHistory(system === undefined ? {} : {systemPrompt: system}),
            {type: "user", text: prompt},
            {type: "model", response: []}
        ]
    });
}

/**
 * The tokens that a new `LlamaChatSession` feeds the model for this prompt, up to where the response begins; those of the model's own chat
 * template where the prompt's `format` is "template". A string is a prompt without a system prompt of its own.
 * @throws MaraError INVALID_ARGUMENT, MODEL_UNSUPPORTED if the model is disposed or has no chat template for the format
 */
export function promptTokens(model: LlamaModel, prompt: Prompt | string): Token[] {
    check(loadedModel, model, "model");
    const asked = checkPrompt(prompt);
    if (model.disposed) throw new MaraError("MODEL_UNSUPPORTED", "The model is disposed. Load it again.");
    if (asked.format === "template") return templateTokens(model, asked);
    return contextState(model, asked).contextText.tokenize(model.tokenizer);
}

/** Ends of a response besides the model's end-of-generation tokens, by its chat template. */
export interface StopTriggers {
    tokens: ReadonlySet<Token>;
    texts: readonly string[];
}

export function stopTriggers(model: LlamaModel): StopTriggers {
    const tokens = new Set<Token>();
    const texts = new Set<string>();
    for (const trigger of contextState(model, {prompt: ""}).stopGenerationTriggers) {
        const [first, ...others] = trigger.tokenize(model.tokenizer);
        const text = plainText(trigger);
        if (text !== undefined) texts.add(text);
        else if (first !== undefined && others.length === 0) tokens.add(first);
    }
    return {tokens, texts: [...texts].filter((text) => text !== "")};
}

/** Undefined where the trigger holds special tokens. */
function plainText({values}: LlamaText): string | undefined {
    return values.every((value) => typeof value === "string") ? values.join("") : undefined;
}
