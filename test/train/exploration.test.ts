import {expect, it} from "vitest";
import {uniformStream} from "../../lib/random.js";
import {deciding, exploring} from "../../lib/train/rollout/exploration.js";

const candidates = (count: number) => Array.from({length: count}, (_, token) => ({token, probability: 1 / count}));

const usual = {order: "best-first", strategy: "first", fallbackIndex: 0, lastAccepted: false} as const;
const accept = [0.3, 0.5, 0, 1, 0.9];

it("An exploring decision accepts each candidate with its accept probability", () => {
    const emitted = [0, 0, 0, 0, 0];
    const runs = 40_000;
    for (let seed = 0; seed < runs; seed++) {
        const exploration = exploring(candidates(accept.length), usual, uniformStream(seed));
        for (const probability of accept) exploration.enter([probability]);
        expect(exploration.accepted).toBe(true);
        emitted[exploration.chosen as number] = (emitted[exploration.chosen as number] as number) + 1;
    }
    // 0.3; 0.7 · 0.5; never; 0.7 · 0.5 · 1; nothing is left.
    for (const [rank, expected] of [0.3, 0.35, 0, 0.35, 0].entries()) {
        const deviation = Math.sqrt((expected * (1 - expected)) / runs);
        expect(Math.abs((emitted[rank] as number) / runs - expected), `rank ${rank}`).toBeLessThanOrEqual(
            4 * deviation
        );
    }
});

it("An exploring decision emits the fallback when nothing was accepted", () => {
    for (const [fallbackRank, chosen] of [
        [0, 0],
        [1, 1],
        [9, 2]
    ] as const) {
        const exploration = exploring(candidates(3), {...usual, fallbackIndex: fallbackRank}, uniformStream(1));
        for (let i = 0; i < 3; i++) {
            expect(exploration.chosen).toBeUndefined();
            exploration.enter([0]);
        }
        expect([exploration.chosen, exploration.accepted]).toEqual([chosen, false]);
    }
    const only = exploring(candidates(1), usual, uniformStream(1));
    expect([only.chosen, only.accepted]).toEqual([0, false]);
});

it("An exploring decision takes the last candidate where the authors' does", () => {
    const last = exploring(candidates(3), {...usual, lastAccepted: true}, uniformStream(1));
    last.enter([0, 0]);
    expect(last.chosen).toBeUndefined();
    last.enter([0]);
    expect([last.chosen, last.accepted]).toEqual([2, true]);
    expect(exploring(candidates(1), {...usual, lastAccepted: true}, uniformStream(1)).chosen).toBe(0);
});

it.each([
    ["best-first", [0, 1, 2], 1],
    ["top-last", [1, 2, 0], 0],
    ["reverse", [2, 1, 0], 1]
] as const)(
    "An exploring decision tries candidates in the order %s and falls back on a rank",
    (order, tokens, fallback) => {
        const decision = exploring(candidates(3), {...usual, order, fallbackIndex: 1}, uniformStream(1));
        expect(decision.candidates.map(({token}) => token)).toEqual(tokens);
        decision.enter([0, 0, 0]);
        expect([decision.chosen, decision.accepted]).toEqual([fallback, false]);
    }
);

it("A decision at a threshold follows the strategy", () => {
    const chosen = (strategy: "first" | "max-prob" | "random", seed = 1) => {
        const decision = deciding(candidates(4), {...usual, strategy}, 0.5, uniformStream(seed));
        decision.enter([0.2, 0.6, 0.9, 0.8]);
        return decision.chosen;
    };
    expect([chosen("first"), chosen("max-prob")]).toEqual([1, 2]);
    const drawn = new Set(Array.from({length: 50}, (_, seed) => chosen("random", seed)));
    expect([...drawn].sort()).toEqual([1, 2, 3]);
});

it("A stream of uniform numbers depends on its seed, and float32 holds its values", () => {
    const values = (seed: number) => {
        const uniform = uniformStream(seed);
        return Array.from({length: 1000}, uniform);
    };
    expect(values(5)).toEqual(values(5));
    expect(values(6)).not.toEqual(values(5));
    for (const value of values(7)) {
        expect(Math.fround(value)).toBe(value);
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThan(1);
    }
});
