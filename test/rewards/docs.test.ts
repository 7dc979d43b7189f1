import {execFileSync} from "node:child_process";
import {mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {afterAll, expect, it} from "vitest";
import {openReward} from "../../lib/index.js";
import {builtInNames} from "../../lib/rewards/built-in.js";
import {parseExpression} from "../../lib/rewards/expression.js";

const root = join(import.meta.dirname, "..", "..");
const text = readFileSync(join(root, "docs", "rewards.md"), "utf8");
const blocks = [...text.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language, code]) => ({
    language,
    code: code as string
}));

mkdirSync(join(root, ".test-models"), {recursive: true});
// Inside the package, so that it can import itself by name.
const folder = mkdtempSync(join(root, ".test-models", "rewards-"));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

it("has a row for every reward", () => {
    const rows = text.split("\n").filter((line) => line.startsWith("| `"));
    const named = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`(\w+)/g)].map(([, name]) => name));
    expect(new Set(named)).toEqual(new Set(builtInNames));
});

it("shows sums that can be parsed", () => {
    const [sums] = blocks.filter(({language}) => language === "text");
    const parsed = sums?.code
        .trim()
        .split("\n")
        .map((line) => parseExpression(line).terms.map(({weight, name}) => [weight, name]));
    expect(parsed).toEqual([
        [
            [2, "sentiment"],
            [-0.5, "profanity"]
        ],
        [
            [2, "sentiment"],
            [2, "readability"],
            [-1, "regex"]
        ],
        [
            [2, "helpful"],
            [-1, "cost"]
        ]
    ]);
});

it("shows a program that runs and a module that is a reward", async () => {
    const [program, module] = blocks.filter(({language}) => language === "js").map(({code}) => code);
    writeFileSync(join(folder, "program.mjs"), program as string);
    expect(execFileSync(process.execPath, [join(folder, "program.mjs")], {encoding: "utf8"})).toBe(
        "{ score: -8, spans: [] }\n"
    );
    writeFileSync(join(folder, "reward.mjs"), module as string);
    const reward = await openReward("module:reward.mjs", {baseDirectory: folder});
    const {score, spans} = await reward.score({prompt: "a", reference: "42"}, "Sorry, it is 42.");
    expect(score).toBeCloseTo(0.9, 12);
    expect(spans).toEqual([{start: 0, end: 5, score: -0.1}]);
});
