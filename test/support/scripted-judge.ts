import type {LlamaModel} from "node-llama-cpp";
import type {Guide, Judge} from "../../lib/index.js";
import {firstWord} from "./tiny-model.js";

/**
 * Lets a tiny model say the script, letter by letter: accepts, from the first position of a sequence that it is asked about, only the script's
 * letters; behind it, anything.
 */
export function scripted(model: LlamaModel, script: string): Judge {
    const accepted = new Map<number, string>();
    let start: number | undefined;
    return {
        judge({candidates, position, sequence}) {
            start ??= position;
            let said = model.detokenize(sequence.contextTokens.slice(start), true);
            // The context's tokens lack those under evaluation, and the judge is not asked where the grammar allows one letter only.
            for (let at = Math.max(start, sequence.contextTokens.length); at < position; at++)
                said += accepted.get(at) ?? script.charAt(said.length);
            const texts = candidates.map((token) => model.detokenize([token], true));
            const wanted =
                script.startsWith(said) && said.length < script.length ? script.charAt(said.length) : undefined;
            const verdicts = texts.map((text) => (wanted === undefined || text === wanted ? 1 : 0));
            if (wanted !== undefined && verdicts.includes(1)) accepted.set(position, wanted);
            return verdicts;
        }
    };
}

/** Puts bytes far behind, so that every letter is among 256 candidates. */
export const bytesBehind: Guide = {
    guide(logits) {
        for (let token = 3; token < firstWord; token++) logits[token] = (logits[token] as number) - 20;
    }
};
