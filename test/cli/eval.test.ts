import {existsSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {describe, expect, it} from "vitest";
import {expectFailure, hasDemo, mara, needsDemo, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const prompts = join(folder, "prompts.jsonl");
writeFileSync(
    prompts,
    ["Where is the sauna?", "How do I reset the alarm?"].map((prompt) => `${JSON.stringify({prompt})}\n`).join("")
);
const given = ["eval", "--threads", "1", "--gpu", "off", "--prompts", prompts, "--max-tokens", "24"];

describe.skipIf(!hasDemo)(`mara eval with the demo's pair${needsDemo}`, () => {
    it("prints tables, and leaves result, report and dial in the run's folder", async () => {
        const run = join(folder, "run");
        const rewards = ["--reward", "length", "--reward", "2*readability"];
        const args = [...given, ...rewards, "--thresholds", "0.2,0.8", "--run", run];
        const text = await succeed(args);
        expect(text).toMatch(/Which answer is preferred, over 2 prompts\n/);
        expect(text).toMatch(/^ {2}raw +length +\d +\d +\d +\d+\.0 % +[+-]?\d+\.\d +\S+ to \S+$/m);
        expect(text).toMatch(/The threshold dial\n/);
        expect(text).toContain(join(run, "report.html"));
        for (const file of ["result.json", "report.html", "dial.svg"]) expect(existsSync(join(run, file))).toBe(true);

        // Everything is there already, so this is quick and says the same.
        const printed = JSON.parse(await succeed([...args, "--json"]));
        expect(printed).toEqual(JSON.parse(readFileSync(join(run, "result.json"), "utf8")));
        expect(printed.config).toMatchObject({against: ["raw"], rewards: ["length", "2*readability"], maxTokens: 24});
        expect(printed.dial).toHaveLength(2);

        expectFailure(
            await mara([...args, "--seed", "4"]),
            /^The answers in .*aligned\.jsonl were made with seed 0, not 4\. .*\(RUN_CHANGED\)$/
        );
    });

    it("refuses what it cannot do", async () => {
        expectFailure(
            await mara([...given, "--reward", "kindness", "--limit", "1"]),
            /there is no reward kindness.*\(REWARD_SPEC\)$/
        );
        expectFailure(
            await mara([...given, "--reward", "length", "--against", "best"]),
            /for against but received "best" \(INVALID_ARGUMENT\)$/
        );
        expectFailure(
            await mara([...given, "--reward", "length", "-a", "missing.safetensors", "-a", "demo"]),
            /one agent here, since missing\.safetensors is named already, for --agent but received "demo" \(INVALID_ARGUMENT\)$/
        );
        expectFailure(
            await mara(["eval", "--reward", "length", "--prompts", join(folder, "none.jsonl")]),
            /\(PROMPTS_NOT_FOUND\)$/
        );
    });
});

describe("mara eval", () => {
    it("needs prompts and a reward", async () => {
        expectFailure(await mara(["eval", "--reward", "length"]), /--prompts <file>' not specified\. Try --help\.$/);
        expectFailure(await mara(["eval", "--prompts", prompts]), /--reward <spec>' not specified\. Try --help\.$/);
    });
});
