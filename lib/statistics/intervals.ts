import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";
import {bisect, quantileSorted} from "simple-statistics";

/** Lower and upper end. */
export type Interval = [low: number, high: number];

/** The normal quantile of a two-sided 95 % interval. */
const z = 1.959963984540054;

/**
 * The 95 % Wilson score interval of a proportion, `count` out of `total`: the shares of a large population that such a sample does
 * not contradict at the 5 % level. Unlike the textbook normal interval it stays within [0, 1] and is right near both ends.
 */
export function wilsonInterval(count: number, total: number): Interval {
    if (total === 0) return [0, 1];
    const share = count / total;
    const weight = z ** 2 / total;
    const center = (share + weight / 2) / (1 + weight);
    const half = (z / (1 + weight)) * Math.sqrt((share * (1 - share)) / total + weight / (4 * total));
    // At either end the bound is exactly the share; rounding must not push it past that.
    return [count === 0 ? 0 : center - half, count === total ? 1 : center + half];
}

/**
 * The 95 % score interval of (wins − losses) / total, a difference of paired proportions (Tango, Statistics in Medicine 17, 1998):
 * the differences that a score test does not reject. Like Wilson's it stays within [-1, 1] and is right when one side wins everything.
 */
export function pairedDifferenceInterval(wins: number, losses: number, total: number): Interval {
    if (total === 0) return [-1, 1];
    const difference = (wins - losses) / total;
    const excess = (delta: number) => Math.abs(scoreOf(delta, wins, losses, total)) - z;
    const bound = (end: -1 | 1) => {
        if (difference === end) return end;
        // The score is zero at the estimate and grows without bound towards the ends.
        const inside = difference + end * 1e-9;
        const outside = end * (1 - 1e-9);
        return excess(inside) > 0 || excess(outside) < 0 ? end : bisect(excess, inside, outside, 100, 1e-9);
    };
    return [bound(-1), bound(1)];
}

/** The score statistic for a true difference of `delta`; the nuisance parameter, the share of losses, at its constrained maximum. */
function scoreOf(delta: number, wins: number, losses: number, total: number): number {
    const linear = -wins - losses + (2 * total - wins + losses) * delta;
    const constant = -losses * delta * (1 - delta);
    const root = Math.sqrt(Math.max(0, linear ** 2 - 8 * total * constant));
    const lost = (root - linear) / (4 * total);
    return (wins - losses - total * delta) / Math.sqrt(total * (2 * lost + delta * (1 - delta)));
}

const resamples = 2000;

/**
 * The 95 % percentile bootstrap interval of a statistic over `count` prompts. `statistic` is given the indices of a resample, which
 * it must not keep. The same count gives the same resamples, so that statistics over the same prompts are comparable.
 */
export function bootstrapInterval(count: number, statistic: (indices: Int32Array) => number): Interval | null {
    if (count === 0) return null;
    const rng = xoroshiro128plus(count);
    const indices = new Int32Array(count);
    const values = new Float64Array(resamples);
    for (let i = 0; i < resamples; i++) {
        for (let j = 0; j < count; j++) indices[j] = Math.floor(((rng.next() >>> 0) / 2 ** 32) * count);
        values[i] = statistic(indices);
    }
    const sorted = [...values.sort()];
    return [quantileSorted(sorted, 0.025), quantileSorted(sorted, 0.975)];
}
