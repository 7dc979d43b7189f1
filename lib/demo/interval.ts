/** The normal quantile of a two-sided 95 % interval. */
const z = 1.959963984540054;

/**
 * The 95 % Wilson score interval of a proportion: which shares of a large population would, 95 times in 100, not surprise
 * us after `count` out of `total`. Unlike the textbook normal interval it stays within [0, 1] and is right near both ends.
 */
export function wilsonInterval(count: number, total: number): [low: number, high: number] {
    if (total === 0) return [0, 1];
    const share = count / total;
    const weight = z ** 2 / total;
    const center = (share + weight / 2) / (1 + weight);
    const half = (z / (1 + weight)) * Math.sqrt((share * (1 - share)) / total + weight / (4 * total));
    // At either end the bound is exactly the share; rounding must not push it past that.
    return [count === 0 ? 0 : center - half, count === total ? 1 : center + half];
}
