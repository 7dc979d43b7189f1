/** The output of commands at 60, 80 and 120 columns. */
import {spawn} from "node:child_process";
import {once} from "node:events";
import stringWidth from "string-width";
import {describe, expect, it} from "vitest";
import {EvalProgress, evaluationLines} from "../../lib/cli/eval-view.js";
import {cutTo, fittingTable, painter} from "../../lib/cli/format.js";
import {WordWrap} from "../../lib/cli/word-wrap.js";
import type {EvaluationResult} from "../../lib/index.js";
import {hasDemo, hasTerminal, needsDemo, root} from "./helpers.js";

const widths = [60, 80, 120];
const estimate = {value: 0.5, interval95: [0.4123, 0.5877]};
const side = (name: string) => ({
    name,
    rewards: [{mean: 1.2345, interval95: null, failed: 0}],
    words: {value: 41.23},
    distinct2: 0.9123,
    repetition: {value: 0.0123},
    perplexity: {value: 12.34},
    decodesPerToken: 1.234
});
const pair = (other: string) => ({
    other,
    reward: 0,
    wins: 12,
    ties: 3,
    losses: 5,
    preferenceRate: estimate,
    difference: estimate
});
const result = {
    config: {
        rewards: ["2*readability - profanity"],
        prompts: 20,
        fluency: true,
        threshold: 0.5,
        aligned: {candidates: {topK: 40, topP: 0.95, minP: 0, temperature: 0.8}}
    },
    pairs: [pair("raw"), pair("raw-sampled")],
    aligned: side("aligned"),
    others: [side("raw"), side("raw-sampled")],
    dial: [0.1, 0.5].map((threshold) => ({threshold, pair: pair("raw"), side: side("aligned")})),
    timing: {}
} as unknown as EvaluationResult;

describe("The tables of mara eval", () => {
    it.each(widths)("are no wider than %i columns, and lose no figure", (width) => {
        const lines = evaluationLines(result, undefined, {color: false, width});
        for (const line of lines) expect(stringWidth(line), line).toBeLessThanOrEqual(width);
        const text = lines.join("\n");
        for (const figure of ["raw-sampled", "41.2 to", "0.9123", "12.34", "1.2 %", "50.0 %"])
            expect(text).toContain(figure);
    });

    it("turn columns into rows where that makes them fit, and else become blocks", () => {
        const paint = painter(false);
        const rows = [
            ["raw", "1", "2"],
            ["sampled", "3", "4"]
        ];
        const at = (width: number) => fittingTable(["side", "words", "repetition"], rows, [], {paint, width});
        expect(at(40)).toEqual(["  side      words   repetition", "  raw       1       2", "  sampled   3       4"]);
        expect(at(29)).toEqual([
            "  side         raw   sampled",
            "  words          1         3",
            "  repetition     2         4"
        ]);
        expect(at(20)).toEqual([
            "  side raw",
            "    words       1",
            "    repetition  2",
            "",
            "  side sampled",
            "    words       3",
            "    repetition  4"
        ]);
    });
});

describe("The progress of mara eval", () => {
    it("says how much time is left by the speed since it began", () => {
        let now = 0;
        const progress = new EvalProgress(() => now);
        const answers = (done: number, sidesDone = 0) =>
            progress.text({side: "aligned", phase: "answers", done, total: 100, sidesDone, sides: 2});
        expect(answers(50)).toBe("aligned (1 of 2)  answers 50 of 100");
        now = 60_000;
        // 21.25 % of all in a minute, of which 36.25 % remain.
        expect(answers(0, 1).endsWith("answers 0 of 100  2 min left")).toBe(true);
    });

    it("is cut by columns, not by characters", () => {
        expect(cutTo("日本語のテキスト", 9)).toBe("日本語の…");
        expect(cutTo("short", 9)).toBe("short");
    });
});

describe("A chat's answer", () => {
    it.each(widths)("is wrapped by words at %i columns, however it arrives", (width) => {
        const text = `${"Breakfast is served from seven until ten in the room beside the desk, as ever. ".repeat(4)}\n\n  - one\n  - two`;
        const wrapped = (size: number) => {
            let shown = "";
            const wrap = new WordWrap(width, (added) => (shown += added));
            for (let i = 0; i < text.length; i += size) wrap.add(text.slice(i, i + size));
            wrap.end();
            return shown;
        };
        const lines = wrapped(1).split("\n");
        for (const line of lines) expect(line.length).toBeLessThanOrEqual(width);
        expect(wrapped(3)).toBe(wrapped(1));
        expect(lines.slice(-2)).toEqual(["  - one", "  - two"]);
        expect(lines.join(" ").split(/\s+/)).toEqual(text.split(/\s+/));
        expect(lines[0]?.length).toBeGreaterThan(width - 12);
    });

    it.skipIf(!hasDemo || !hasTerminal)(
        `is wrapped on a terminal, where /threshold says what it did${needsDemo} (needs script and a pseudo-terminal)`,
        async () => {
            const chat = `${process.execPath} --import tsx lib/cli/mara.ts chat --gpu off --threads 1`;
            const child = spawn("script", ["-qec", `stty cols 60; ${chat}`, "/dev/null"], {cwd: root});
            let shown = "";
            child.stdout.setEncoding("utf8").on("data", (text: string) => (shown += text));
            const lines = ["/threshold 0.7", "/align off", "/align on", "I lost my key in the garden.", "/exit"];
            child.stdin.write(`${lines.join("\n")}\n`);
            await once(child, "close");
            expect(shown).toContain("above 0.7.");
            expect(shown).toMatch(/without the agent.*The agent decides\./s);
            const answer = (shown.split("The agent decides.\r\n").at(-1) ?? "").split("\r\n");
            expect(answer.length).toBeGreaterThan(2);
            for (const line of answer) expect(stringWidth(line), line).toBeLessThanOrEqual(60);
        }
    );
});
