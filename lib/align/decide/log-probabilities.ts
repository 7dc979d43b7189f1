/** Log-softmax of a row's logits, for these tokens. */
export function logProbabilities(logits: Float32Array, candidates: readonly {token: number}[]): number[] {
    const largest = logits.reduce((max, logit) => Math.max(max, logit), Number.NEGATIVE_INFINITY);
    const total = largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0));
    return candidates.map(({token}) => (logits[token] as number) - total);
}
