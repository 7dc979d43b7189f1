import {join} from "node:path";
import {describe, expect, it} from "vitest";
import type {ContestResult} from "../../lib/demo/contest.js";
import type {EvaluationResult} from "../../lib/evaluate/result.js";
import {hasDemo, mara, needsDemo, succeed, temporaryFolder} from "../cli/helpers.js";

describe.skipIf(!hasDemo)(`an agent for the demo's model, made by mara train${needsDemo}`, () => {
    it("meets the demo's target on held-out prompts", {timeout: 1_200_000}, async () => {
        const out = join(temporaryFolder(), "run");
        const files = ["--model", "demo/model.gguf", "--pairs", "demo/prompts/pairs.jsonl", "--out", out];
        const settings = [
            "--method",
            "preference",
            "--preset",
            "small",
            "--seed",
            "1",
            "--threads",
            "1",
            "--gpu",
            "off"
        ];
        const {code, stderr} = await mara(["train", ...files, ...settings]);
        expect(code, stderr).toBe(0);
        const agent = join(out, "agent.safetensors");

        // 100 of the prompts in demo/prompts/held-out.jsonl, which the pairs share no request of one guest with.
        const contest: ContestResult = JSON.parse(
            await succeed(["demo", "--json", "--prompts", "100", "--agent", agent])
        );
        expect(contest.prompts).toBe(100);
        expect(contest.alignedPreferred.rate).toBeGreaterThanOrEqual(0.7);
        expect(contest.rawPreferred.rate).toBeLessThanOrEqual(0.05);
        expect(contest.aligned.meanScore - contest.raw.meanScore).toBeGreaterThan(2);

        // The demo is now given as files, as any other model would be.
        const evaluated = ["--agent", agent, "--prompts", "demo/prompts/held-out.jsonl", "--limit", "60"];
        const scored = ["--reward", "module:demo/reward.mjs", "--max-tokens", "96", "--threads", "1", "--gpu", "off"];
        const {pairs}: EvaluationResult = JSON.parse(await succeed(["eval", "--json", ...evaluated, ...scored]));
        expect(pairs).toHaveLength(1);
        expect(pairs[0]).toMatchObject({other: "raw", prompts: 60});
        expect(pairs[0]?.wins).toBeGreaterThanOrEqual(0.7 * 60);
        expect(pairs[0]?.losses).toBeLessThanOrEqual(0.05 * 60);
    });
});
