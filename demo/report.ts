/**
 * Scores the replies that Python's simulation gave to the held-out prompts, by the world's own rule:
 * `tsx demo/report.ts WORK_DIR`. Prints one JSON object and writes it to `report.json` there.
 */
import {readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {heldOutPrompts, prefer, score} from "../lib/demo/world.js";

interface Run {
    system: string;
    raw: string[];
    aligned: string[];
    decodesPerToken: number;
    decisionsPerToken: number;
    topAccepted: number;
    fallbackRate: number;
    tokensPerReply: {raw: number; aligned: number};
}

const work = process.argv[2] ?? "demo/build";
const runs: Run[] = JSON.parse(readFileSync(join(work, "replies.json"), "utf8"));

const round = (value: number) => Math.round(value * 1000) / 1000;
const report = runs.map(({system, raw, aligned, tokensPerReply, ...figures}) => {
    const prompts = heldOutPrompts(raw.length);
    const outcomes = prompts.map((prompt, i) => prefer(prompt, aligned[i] ?? "", raw[i] ?? ""));
    const share = (wanted: string) => round(outcomes.filter((outcome) => outcome === wanted).length / outcomes.length);
    const mean = (replies: string[], part: "value" | "content" | "courtesy" | "care") =>
        round(prompts.reduce((sum, prompt, i) => sum + score(prompt, replies[i] ?? "")[part], 0) / prompts.length);
    const means = (replies: string[]) => ({
        value: mean(replies, "value"),
        courtesy: mean(replies, "courtesy"),
        care: mean(replies, "care"),
        contentCorrect: round(mean(replies, "content") / 4)
    });
    return {
        system,
        prompts: prompts.length,
        alignedPreferred: share("a"),
        rawPreferred: share("b"),
        tie: share("tie"),
        rawScore: means(raw),
        alignedScore: means(aligned),
        tokensPerReply: {raw: round(tokensPerReply.raw), aligned: round(tokensPerReply.aligned)},
        ...Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, round(value)]))
    };
});
const text = JSON.stringify(report, null, 2);
writeFileSync(join(work, "report.json"), `${text}\n`);
console.log(text);
