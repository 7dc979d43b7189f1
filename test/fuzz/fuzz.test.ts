import {describe, expect, test} from "vitest";
import {fuzz} from "./fuzz.js";
import {fuzzTargets} from "./target.js";

/** All targets together stay within two minutes. */
const secondsForAll = 60;
const secondsEach = 8;

const targets = await fuzzTargets();

// `npm run fuzz -- --minutes N` goes on for longer. The seed of a failure is in its message, with the input.
describe("fuzzed inputs are refused or work", () => {
    for (const target of targets) {
        test(target.name, async () => {
            const seconds = Math.min(secondsEach, secondsForAll / targets.length);
            const report = await fuzz(target, {seconds, seed: Math.floor(Math.random() * 2 ** 31)});
            expect(report.runs).toBeGreaterThan(20);
            expect(report.kinds).toBeGreaterThan(1);
        });
    }
});
