import {expect, it} from "vitest";
import {seededRandom} from "../support/random.js";
import {growthOf} from "./memory.js";

/** Samples at two levels in random order, as in a soak of half an hour, with some MB lost per round. */
function samples(seed: number, lost: number, rounds = 40): number[] {
    const random = seededRandom(seed);
    return Array.from({length: rounds}, (_, i) => {
        const level = random.integer(0, 2) === 0 ? 150 : 180;
        return level + random.integer(-3, 3) + lost * i;
    });
}

it("memory at two levels does not grow; one MB lost per context does", () => {
    for (let seed = 0; seed < 50; seed++) {
        expect(Math.abs(growthOf(samples(seed, 0)))).toBeLessThan(0.05);
        // A round has two contexts: 2 MB in each of 27 rounds, of about 220.
        expect(growthOf(samples(seed, 2))).toBeGreaterThan(0.15);
    }
});

it("the warm-up does not count, what comes after it does", () => {
    expect(growthOf([100, 150, 200, 200, 200, 200, 200, 200, 200])).toBe(0);
    expect(growthOf([100, 101, 102, 103, 104, 105])).toBeCloseTo(3 / 104, 10);
    expect(growthOf([100])).toBe(0);
});
