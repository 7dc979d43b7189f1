/** The agents of this folder and the runs of `mara train` that make them. */
import {spawnSync} from "node:child_process";
import {existsSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {fileURLToPath} from "node:url";

export const here = fileURLToPath(new URL(".", import.meta.url));
export const work = join(here, "work");
export const modelPath = process.env.MARA_TEST_MODEL ?? "";
export const reward = "sentiment";
export const secondReward = "readability";
export const maxTokens = 48;

/** What "balanced" is trained for: both rewards of the evaluation. */
const bothRewards = `${reward} + 0.3*${secondReward}`;
/** What "fluent" is trained for besides. */
const unrepeated = `${bothRewards} + 2*repetition`;
/** As the runs of 2026-11-30 were made, but for the average of the weights, which came later. */
const advantage = [
    ...["--method", "advantage", "--preset", "small", "--samples-per-prompt", "4"],
    ...["--min-p", "0.12", "--fit-learning-rate", "0.0003"]
];
const balanced = ["--method", "advantage", "--preset", "small"];
/** Brevity with politeness, without saying the same polite words again. */
const courtesyReward = "module:./docs/results/courtesy.mjs + 5*repetition";
const courtesy = [...balanced, "--no-student"];
/** The options of `mara train` besides model, prompts, reward and folder. */
export const methods = {
    sac: [
        "--method",
        "sac",
        "--preset",
        "small",
        ...["--baseline", "none", "--kl-coefficient", "0.02", "--gamma", "0.97", "--initial-alpha", "0.02"]
    ],
    preference: ["--method", "preference", "--preset", "small", "--pairs-from-model", "3"],
    advantage: [...advantage, "--seed", "1"],
    balanced: [...balanced, "--seed", "1"],
    fluent: [...balanced, "--seed", "1"],
    courtesy: [...courtesy, "--seed", "1"]
} as const;
export const agents = {
    ...methods,
    "advantage-2": [...advantage, "--seed", "2"],
    "advantage-3": [...advantage, "--seed", "3"],
    "balanced-2": [...balanced, "--seed", "2"],
    "balanced-3": [...balanced, "--seed", "3"],
    "fluent-2": [...balanced, "--seed", "2"],
    "fluent-3": [...balanced, "--seed", "3"],
    "courtesy-2": [...courtesy, "--seed", "2"],
    "courtesy-3": [...courtesy, "--seed", "3"]
} as const;
export type AgentName = keyof typeof agents;
/** The same training with several seeds. */
export const seeds = {
    advantage: ["advantage", "advantage-2", "advantage-3"],
    balanced: ["balanced", "balanced-2", "balanced-3"],
    fluent: ["fluent", "fluent-2", "fluent-3"],
    courtesy: ["courtesy", "courtesy-2", "courtesy-3"]
} as const satisfies Record<string, AgentName[]>;
/** The agents that also learn what to leave alone. */
const leaving: string[] = Object.values(seeds).flat();
/** Those that are measured where they were not trained to do anything. */
export const offDomainAgents = [...seeds.advantage, ...seeds.balanced, ...seeds.fluent];
/** Two rewards to measure an agent by: what it was trained for first. */
export function rewardsOf(name: AgentName): [string, string] {
    return isCourtesy(name) ? ["module:./docs/results/courtesy.mjs", reward] : [reward, secondReward];
}

/** The best of four takes longest, and is left out where it was not asked for. */
export function opponentsOf(name: AgentName): readonly string[] {
    return isCourtesy(name) ? ["raw"] : ["raw", "bon:4"];
}

function isCourtesy(name: AgentName): boolean {
    return seeds.courtesy.includes(name as never);
}

export function train(name: AgentName): void {
    const out = join(work, name);
    const prompts = leaving.includes(name) ? withLeaveAlone() : join(here, "prompts", "train.jsonl");
    learn(out, ["--prompts", prompts, "--reward", trainedFor(name), ...agents[name]]);
}

function trainedFor(name: AgentName): string {
    if (isCourtesy(name)) return courtesyReward;
    if (seeds.fluent.includes(name as never)) return unrepeated;
    return seeds.balanced.includes(name as never) ? bothRewards : reward;
}

/** A run of `mara train`, or what is left of it. */
function learn(out: string, options: readonly string[]): void {
    const folder = ["--out", out];
    const start = ["-m", modelPath, ...options];
    const shape = ["--max-tokens", String(maxTokens), "--threads", "1", "--gpu", "off"];
    const begun = existsSync(join(out, "config.json"));
    const args = ["train", ...folder, ...(begun ? ["--resume"] : [...start, ...shape])];
    console.log(`mara ${args.join(" ")}`);
    const {status} = spawnSync(process.execPath, [join(here, "../../dist/cli/mara.js"), ...args], {stdio: "inherit"});
    if (status !== 0) throw new Error(`mara train ended with ${status}`);
}

/** The training prompts and those to leave alone, as one file. */
function withLeaveAlone(): string {
    const texts = ["train.jsonl", "leave-alone.jsonl"].map((name) => readFileSync(join(here, "prompts", name), "utf8"));
    const path = join(work, "train.jsonl");
    writeFileSync(path, texts.join(""));
    return path;
}
