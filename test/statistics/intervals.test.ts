import {describe, expect, it} from "vitest";
import {bootstrapInterval, pairedDifferenceInterval, wilsonInterval} from "../../lib/statistics/intervals.js";

const z = 1.959963984540054;

describe("the Wilson interval", () => {
    // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I, method 3.
    it.each([
        [81, 263, 0.2553, 0.3662],
        [15, 148, 0.0624, 0.1605],
        [0, 20, 0, 0.1611],
        [1, 29, 0.0061, 0.1718]
    ])("of %i out of %i", (count, total, low, high) => {
        const interval = wilsonInterval(count, total);
        expect(interval[0]).toBeCloseTo(low, 4);
        expect(interval[1]).toBeCloseTo(high, 4);
        const mirrored = wilsonInterval(total - count, total);
        expect(mirrored[0]).toBeCloseTo(1 - high, 4);
        expect(mirrored[1]).toBeCloseTo(1 - low, 4);
    });

    it("of nothing says nothing", () => {
        expect(wilsonInterval(0, 0)).toEqual([0, 1]);
    });
});

/** The score test by brute force: the likelihood of wins, ties and losses maximised over a grid of the share of losses. */
function slowScore(delta: number, wins: number, losses: number, total: number): number {
    const ties = total - wins - losses;
    const term = (count: number, share: number) => (count === 0 ? 0 : count * Math.log(share));
    let [best, max] = [0, Number.NEGATIVE_INFINITY];
    const steps = 200_000;
    for (let i = 0; i <= steps; i++) {
        const lost = Math.max(0, -delta) + (i / steps) * ((1 - Math.abs(delta)) / 2);
        const likelihood = term(losses, lost) + term(wins, lost + delta) + term(ties, 1 - 2 * lost - delta);
        if (likelihood > max) [best, max] = [lost, likelihood];
    }
    return (wins - losses - total * delta) / Math.sqrt(total * (2 * best + delta - delta ** 2));
}

describe("pairedDifferenceInterval", () => {
    it.each([
        [12, 5, 40],
        [43, 0, 60],
        [0, 7, 20],
        [90, 10, 100],
        [3, 3, 200]
    ])("holds the differences that a score test does not reject: %i wins, %i losses of %i", (wins, losses, total) => {
        const [low, high] = pairedDifferenceInterval(wins, losses, total);
        expect(slowScore(low, wins, losses, total)).toBeCloseTo(z, 2);
        expect(slowScore(high, wins, losses, total)).toBeCloseTo(-z, 2);
    });

    it("is wide open or one-sided at the ends", () => {
        expect(pairedDifferenceInterval(0, 0, 0)).toEqual([-1, 1]);
        const [low, high] = pairedDifferenceInterval(20, 0, 20);
        expect(high).toBe(1);
        // With nothing but wins and no ties it is Wilson's of 20 of 20, on the scale from -1 to 1.
        expect(low).toBeCloseTo(2 * wilsonInterval(20, 20)[0] - 1, 2);
        const [min, max] = pairedDifferenceInterval(0, 0, 50);
        expect(min).toBeCloseTo(-max, 6);
        expect(max).toBeGreaterThan(0);
    });

    it("mirrors", () => {
        const [low, high] = pairedDifferenceInterval(30, 11, 80);
        const [otherLow, otherHigh] = pairedDifferenceInterval(11, 30, 80);
        expect(otherLow).toBeCloseTo(-high, 6);
        expect(otherHigh).toBeCloseTo(-low, 6);
    });
});

describe("bootstrapInterval", () => {
    const values = Array.from({length: 400}, (_, i) => (i * 7919) % 101);
    const mean = (indices: Int32Array) => indices.reduce((sum, i) => sum + (values[i] as number), 0) / indices.length;

    it("of a mean is about the normal one, and the same again", () => {
        const center = values.reduce((sum, value) => sum + value, 0) / values.length;
        const variance = values.reduce((sum, value) => sum + (value - center) ** 2, 0) / values.length;
        const half = z * Math.sqrt(variance / values.length);
        const [low, high] = bootstrapInterval(values.length, mean) as [number, number];
        expect(Math.abs(low - (center - half))).toBeLessThan(half / 10);
        expect(Math.abs(high - (center + half))).toBeLessThan(half / 10);
        expect(bootstrapInterval(values.length, mean)).toEqual([low, high]);
    });

    it("is a point for one value, and nothing for none", () => {
        expect(bootstrapInterval(1, (indices) => 5 + (indices[0] as number))).toEqual([5, 5]);
        expect(bootstrapInterval(0, () => 1)).toBeNull();
    });
});
