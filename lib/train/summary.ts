/** A training run in words, for its report. */
import {basename} from "node:path";
import {plural} from "../plural.js";
import type {Job} from "./job.js";
import type {FitMetrics} from "./preference.js";
import type {SacMetrics} from "./sac-batch.js";

/** Share of the batches that make up "at first" and "in the end". */
const edge = 0.2;

export interface Summary {
    /** What was trained, and on what. */
    what: string;
    outcome: string;
    next: string;
    /** What to type next. */
    command: string;
}

/** What was trained and on what; how it went; what to do next. Plain text. */
export function summarise(job: Job, metrics: readonly unknown[]): Summary {
    const {config, model, prompts, pairs, run} = job;
    const file = basename(model.filename ?? "the model");
    const from =
        pairs === undefined
            ? `${plural(prompts.length, "prompt")}${config.reward === null ? "" : `, by the reward ${config.reward}`}`
            : plural(pairs.length, "pair");
    const how = config.method === "sac" ? "by reinforcement learning (sac)" : "from preference pairs";
    const what = `An agent for ${file} was trained ${how} on ${from}.`;
    const outcome =
        config.method === "sac"
            ? describeEpisodes(metrics as readonly SacMetrics[], config.learnAfter)
            : describeEpochs(metrics as readonly FitMetrics[]);
    const reward = config.reward === null ? "sentiment" : config.reward;
    const next =
        "These figures come from training. What counts is how the agent does on prompts that it has not seen, and at which threshold it does best:";
    const command =
        `mara eval -m ${file} -a ${run.file("agent.safetensors")} --prompts held-out.jsonl --reward ${JSON.stringify(reward)} ` +
        "--thresholds 0.1,0.3,0.5,0.7,0.9";
    return {what, outcome, next, command};
}

function describeEpisodes(metrics: readonly SacMetrics[], learnAfter: number): string {
    const last = metrics.at(-1);
    if (last === undefined) return "No batch of episodes has ended yet.";
    const size = Math.max(1, Math.round(edge * metrics.length));
    const first = meanOf(metrics.slice(0, size), "reward");
    const final = meanOf(metrics.slice(-size), "reward");
    const baseline = meanOf(metrics.slice(-size), "baseline");
    const dropped = last.dropped > 0 ? `, of which ${last.dropped} were dropped because their reward failed` : "";
    const work = `${plural(last.episodes, "episode")}${dropped}, and ${plural(last.updates, "update")}.`;
    if (first === null || final === null) return `${work} No episode has a reward.`;
    const against =
        baseline === null ? "" : `, ${final > baseline ? "above" : "not above"} the baseline of ${figure(baseline)}`;
    const trend =
        last.updates === 0
            ? `Nothing was learnt: fewer transitions were collected than the ${learnAfter} of learnAfter. Run more episodes, or lower it.`
            : "While it learns, the agent also tries what it does not prefer, so that its own answers may be better than these.";
    return `${work} The mean reward was ${figure(first)} at first and ${figure(final)} in the end${against}. ${trend}`;
}

function describeEpochs(metrics: readonly FitMetrics[]): string {
    const [first] = metrics;
    if (first === undefined) return "No epoch has ended yet.";
    const best = metrics.reduce((least, row) => (row.heldOutLoss < least.heldOutLoss ? row : least), first);
    const told = Math.round(best.heldOutPairAccuracy * best.heldOutPairs);
    const tokens = percent(best.heldOutAccuracy);
    return (
        `Of ${plural(metrics.length, "epoch")} the agent of epoch ${best.epoch} is kept, which had the least loss on held-out pairs ` +
        `(${figure(best.heldOutLoss)}). It told ${told} of these ${best.heldOutPairs} pairs apart and labelled ${tokens} of their tokens right; ` +
        "half would be guessing."
    );
}

function meanOf(rows: readonly SacMetrics[], key: "reward" | "baseline"): number | null {
    const values = rows.flatMap((row) => row[key] ?? []);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function figure(value: number): string {
    return String(Number(value.toPrecision(3))).replace("-", "−");
}

function percent(share: number): string {
    return `${(100 * share).toFixed(1)} %`;
}
