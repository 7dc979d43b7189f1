import type {ControlledEvaluateInputItem, LlamaContextSequence, Token} from "node-llama-cpp";
import type {Fluency} from "./side-store.js";

/**
 * How probable `answer` is after `prompt` by the sequence's model, at temperature 1. The sequence must be empty, and is left empty;
 * prompt and answer are read as one batch, so that nothing else has a part in the rounding.
 */
export async function fluencyOf(
    sequence: LlamaContextSequence,
    prompt: readonly Token[],
    answer: readonly Token[]
): Promise<Fluency> {
    if (answer.length === 0) return {nats: 0, tokens: 0};
    const all = [...prompt, ...answer];
    const input = all.slice(0, -1).map((token, i): ControlledEvaluateInputItem => {
        const next = all[i + 1] as Token;
        if (i < prompt.length - 1) return token;
        const options = {temperature: 1, topK: 0, topP: 1, minP: 0};
        // `includeMax` is not used, because node-llama-cpp 3.22 ignores it beside `tokens`.
        const logits = {filter: {tokens: [next], includeTop: 1}};
        return [token, {generateNext: {logits, totalLogitWeight: true, options}}];
    });
    const output = await sequence.controlledEvaluate(input);
    await sequence.clearHistory();
    let nats = 0;
    for (const [i, token] of answer.entries()) {
        const {logits, totalLogitWeight} = output[prompt.length - 1 + i]?.next ?? {};
        const logit = logits?.get(token);
        if (logits === undefined || logit === undefined || totalLogitWeight === undefined)
            throw new Error("node-llama-cpp gave no logit for a token of the answer");
        // The total is the sum of exp(logit - most), over the vocabulary.
        nats += Math.max(...logits.values()) + Math.log(totalLogitWeight) - logit;
    }
    return {nats, tokens: answer.length};
}
