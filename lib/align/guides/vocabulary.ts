import type {LlamaModel} from "node-llama-cpp";
import {MaraError} from "../../errors.js";

interface TokenizerInfo {
    readonly model?: string;
    readonly tokens?: readonly string[];
}

function tokensOf({fileInfo}: LlamaModel): readonly string[] {
    return (fileInfo.metadata.tokenizer?.ggml as TokenizerInfo | undefined)?.tokens ?? [];
}

/** @throws MaraError GUIDE_VOCABULARY */
export function requireSameVocabulary(name: string, guided: LlamaModel, guiding: LlamaModel): void {
    const own = tokensOf(guided);
    const other = tokensOf(guiding);
    const differing = own.findIndex((text, token) => other[token] !== text);
    if (differing < 0 && own.length === other.length) return;
    const difference =
        own.length === other.length
            ? `token ${differing} is ${JSON.stringify(other[differing])} where it should be ${JSON.stringify(own[differing])}`
            : `it has ${other.length} tokens where ${own.length} are expected`;
    throw new MaraError(
        "GUIDE_VOCABULARY",
        `The model of ${name} has another vocabulary than the guided model: ${difference}`
    );
}
