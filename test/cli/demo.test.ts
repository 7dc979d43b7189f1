import {describe, expect, it} from "vitest";
import type {ContestResult} from "../../lib/demo/contest.js";
import {hasDemo, needsDemo, succeed} from "./helpers.js";

type DemoJson = ContestResult & {threshold: number; seed: number; model: string; agent: string};

async function demoJson(...args: string[]): Promise<DemoJson> {
    return JSON.parse(await succeed(["demo", "--json", ...args]));
}

describe.skipIf(!hasDemo)(`mara demo${needsDemo}`, () => {
    it("prints plausible figures as one object", async () => {
        const result = await demoJson("--prompts", "20", "--seed", "3");
        const {alignedPreferred, rawPreferred, tie, raw, aligned} = result;
        expect(result).toMatchObject({
            prompts: 20,
            threshold: 0.5,
            seed: 3,
            model: "demo",
            agent: "demo",
            mode: "lanes"
        });
        expect(alignedPreferred.count + rawPreferred.count + tie.count).toBe(20);
        for (const {count, rate, interval95} of [alignedPreferred, rawPreferred, tie]) {
            expect(rate).toBe(count / 20);
            expect(interval95[0]).toBeLessThanOrEqual(rate);
            expect(interval95[1]).toBeGreaterThanOrEqual(rate);
        }
        for (const {tokens, seconds, tokensPerSecond, meanScore} of [raw, aligned]) {
            expect(tokens).toBeGreaterThan(20);
            expect(tokensPerSecond).toBeCloseTo(tokens / seconds, 6);
            expect(meanScore).toBeGreaterThan(0);
            expect(meanScore).toBeLessThanOrEqual(10);
        }
        // The token that ends a reply is generated, but never decoded.
        expect(result.decodesPerToken).toBeGreaterThan(0.8);
        // Its student decides, and what it rejects is not decoded.
        expect(result.decodesPerToken).toBeLessThanOrEqual(1);
        expect(result.decidedByStudent).toBeGreaterThan(0.99);
        expect(result.changedPerToken + result.fallbacksPerToken).toBeLessThanOrEqual(result.decisionsPerToken);
    });

    it("gives the same replies in serial mode, and raw ones at threshold 0", async () => {
        const serial = await demoJson("--prompts", "10", "--mode", "serial");
        const lanes = await demoJson("--prompts", "10", "--mode", "lanes");
        expect(serial.aligned).toMatchObject({tokens: lanes.aligned.tokens, meanScore: lanes.aligned.meanScore});
        const open = await demoJson("--prompts", "10", "--threshold", "0");
        expect(open.tie.count).toBe(10);
        expect(open.aligned.tokens).toBe(open.raw.tokens);
    });

    it("meets its target over at least 200 held-out prompts", async () => {
        const {prompts, alignedPreferred, rawPreferred} = await demoJson("--prompts", "200");
        expect(prompts).toBe(200);
        expect(alignedPreferred.rate).toBeGreaterThanOrEqual(0.7);
        expect(rawPreferred.rate).toBeLessThanOrEqual(0.05);
    });

    it("shows people both replies, the legend and the score, with no progress in a pipe", async () => {
        const text = await succeed(["demo", "--prompts", "3", "--show", "2"], {env: {COLUMNS: "90"}});
        expect(text).toContain("[-rejected-]  {+taken from a lower rank+}");
        expect(text.match(/^> /gm)).toHaveLength(2);
        expect(text).toMatch(/^raw +│ aligned$/m);
        expect(text).toMatch(/^ {2}aligned preferred +\d/m);
        expect(text).toMatch(/^ {2}tokens per second +\d+ +\d+$/m);
        expect(text).toContain("of these, before anything was decoded");
        for (const line of text.split("\n").filter((line) => line.includes("│")))
            expect(line.length).toBeLessThanOrEqual(90);
    });
});
