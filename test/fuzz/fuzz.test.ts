import {describe, expect, test} from "vitest";
import {fuzz} from "./fuzz.js";
import {fuzzTargets} from "./target.js";

/** All targets together. */
const secondsForAll = 120;
/** The same inputs each time, so that a gate which passes goes on passing; `npm run fuzz` takes others. */
const seed = 1;

const targets = await fuzzTargets();

// `npm run fuzz -- --minutes N` goes on for longer. The seed of a failure is in its message, with the input.
describe("fuzzed inputs are refused or work", () => {
    for (const target of targets) {
        test(target.name, async () => {
            const report = await fuzz(target, {seconds: secondsForAll / targets.length, seed});
            expect(report.runs).toBeGreaterThan(20);
            expect(report.kinds).toBeGreaterThan(1);
        });
    }
});
