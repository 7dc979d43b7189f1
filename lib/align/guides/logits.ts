/** Sums over rows of logits, in plain loops: a row has as many numbers as the vocabulary has tokens. */

export function largest(logits: Float32Array): number {
    let best = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < logits.length; i++) if ((logits[i] as number) > best) best = logits[i] as number;
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
