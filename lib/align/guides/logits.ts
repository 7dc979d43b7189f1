/** Sums over rows of logits, in plain loops: a row has as many numbers as the vocabulary has tokens. */

/** The largest logit, or NaN where one of them is NaN. */
export function largest(logits: Float32Array): number {
    let best = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < logits.length; i++) {
        const logit = logits[i] as number;
        if (Number.isNaN(logit)) return logit;
        if (logit > best) best = logit;
    }
    return best;
}

/** ln Σ exp(logits) */
export function logSum(logits: Float32Array): number {
    const best = largest(logits);
    let sum = 0;
    for (let i = 0; i < logits.length; i++) sum += Math.exp((logits[i] as number) - best);
    return best + Math.log(sum);
}

/** The logits shifted so that the logarithm of the sum of their exponentials is that of `own`. */
export function onScaleOf(own: Float32Array, logits: Float32Array): Float32Array {
    const offset = logSum(own) - logSum(logits);
    return logits.map((logit) => logit + offset);
}

/** The tokens with the largest logits, largest first; of equal ones the first. Without those that are left out, at −∞. */
export function largestTokens(logits: Float32Array, count: number): Int32Array {
    const tokens = new Int32Array(Math.min(count, logits.length));
    let found = 0;
    let least = Number.NEGATIVE_INFINITY;
    for (let token = 0; token < logits.length; token++) {
        const logit = logits[token] as number;
        if (!(logit > least)) continue;
        let place = found < tokens.length ? found++ : found - 1;
        for (; place > 0 && (logits[tokens[place - 1] as number] as number) < logit; place--)
            tokens[place] = tokens[place - 1] as number;
        tokens[place] = token;
        if (found === tokens.length) least = logits[tokens[found - 1] as number] as number;
    }
    return tokens.subarray(0, found);
}
