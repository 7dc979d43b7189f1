import type {BatchToken} from "./backend.js";

/** llama.cpp's attention on CPUs computes batches of this size or more in tiles (ggml-cpu: GGML_FA_TILE_Q), which rounds differently. */
export const tiledFrom = 64;

/**
 * Splits a batch so that a token is computed as it would be if its sequence were alone: a sequence with `alone` or more tokens gets
 * a batch of its own, and the others share batches of fewer than `limit`. Gives indexes into `tokens`, each sequence's in their order.
 */
export function independentBatches(tokens: readonly BatchToken[], alone: number, limit: number): number[][] {
    const indexes = [...tokens.keys()];
    if (tokens.length < alone) return [indexes];
    const bySequence = new Map<number, number[]>();
    for (const index of indexes) {
        const {sequence} = tokens[index] as BatchToken;
        const own = bySequence.get(sequence);
        if (own === undefined) bySequence.set(sequence, [index]);
        else own.push(index);
    }
    const batches: number[][] = [];
    let together: number[] = [];
    for (const own of bySequence.values()) {
        if (own.length >= alone) {
            batches.push(own);
            continue;
        }
        if (together.length + own.length >= limit) {
            batches.push(together);
            together = [];
        }
        together.push(...own);
    }
    if (together.length > 0) batches.push(together);
    return batches;
}

/**
 * Splits a batch so that the row at the end of a prompt has a hidden state, whatever other sequences do: llama.cpp gives states only where every
 * token's logits are wanted. So a prompt is a batch of its own, and its last token follows in the batch of the others.
 */
export function apartFromPrompts(tokens: readonly BatchToken[], batch: readonly number[]): number[][] {
    const prompts = new Set(
        batch.filter((index) => !tokens[index]?.output).map((index) => tokens[index]?.sequence as number)
    );
    const ends = new Map(batch.map((index) => [tokens[index]?.sequence, index]));
    const isPrompt = (index: number) => {
        const {sequence, output} = tokens[index] as BatchToken;
        return prompts.has(sequence) && !(output && ends.get(sequence) === index);
    };
    return [batch.filter(isPrompt), batch.filter((index) => !isPrompt(index))].filter(({length}) => length > 0);
}
