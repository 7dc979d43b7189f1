/** From credits to labels: whether a token did better than the model's tokens do after the same prompt, and by how much. */
import type {Labelled, LeftAlone} from "../preference/labelled.js";
import type {LearntFrom} from "./sampled.js";

/**
 * The advantage of a token: the credits from it on, each `creditDecay` times the one before, and the rest of the response's score; less
 * the mean of the same over all tokens that the prompt's responses have. A token is labelled accept where it is positive, and weighs
 * as much as its size. An agent fitted to that accepts above one half where the expected advantage is above 0. Every token that is to
 * be left alone is labelled accept, with weight 1.
 */
export function labelledByAdvantage(
    sampled: LearntFrom,
    creditDecay: number,
    leftAlone: LeftAlone = () => false
): Labelled {
    const {states, credits, lengths, prompts, rests} = sampled;
    const values = new Float64Array(credits.length);
    const promptOf = new Int32Array(credits.length);
    const sums = new Map<number, {sum: number; tokens: number}>();
    let end = 0;
    for (const [i, length] of lengths.entries()) {
        const [first, prompt] = [end, prompts[i] as number];
        end += length;
        const total = sums.get(prompt) ?? {sum: 0, tokens: 0};
        sums.set(prompt, total);
        let ahead = 0;
        for (let token = end - 1; token >= first; token--) {
            ahead = (credits[token] as number) + creditDecay * ahead;
            values[token] = ahead + (rests[i] as number);
            promptOf[token] = prompt;
            total.sum += values[token] as number;
            total.tokens++;
        }
    }
    const advantages = values.map((value, token) => {
        const {sum, tokens} = sums.get(promptOf[token] as number) as {sum: number; tokens: number};
        return value - sum / tokens;
    });
    return {
        states,
        labels: Uint8Array.from(advantages, (advantage, i) =>
            Number(advantage > 0 || leftAlone(promptOf[i] as number))
        ),
        weights: Float32Array.from(advantages, (advantage, i) =>
            leftAlone(promptOf[i] as number) ? 1 : Math.abs(advantage)
        ),
        pairs: promptOf
    };
}
