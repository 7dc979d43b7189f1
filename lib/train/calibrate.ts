/** Finds the threshold that a trained agent is best used with, on prompts that it did not learn from. */
import {createHash} from "node:crypto";
import {MaraAgent} from "../agent/agent.js";
import {writeWhole} from "../agent/agent-file.js";
import {repetition, wordsOf} from "../evaluate/text-metrics.js";
import type {Prompt} from "../prompts/prompts.js";
import {svgLines} from "../report/svg.js";
import type {ScoredResponse} from "../rewards/reward.js";
import type {Trajectory} from "./rollout/rollouts.js";
import {unlessAborted} from "./run/interruption.js";
import {type ActorTensors, actorBytes, type Job, scoreOrReason} from "./run/job.js";
import {longestPrompt, openRollouts, rolloutOptions} from "./run/parts.js";
import {Phase} from "./run/progress.js";

/** How the aligned answers are at one threshold. */
export interface CalibrationPoint {
    threshold: number;
    /** Mean reward of the greedy answers. */
    reward: number;
    /** Standard error of the mean difference to the model's own answers. */
    standardError: number;
    /** Share of a text's 4-grams that stood in it before, less that of the model's own answer to the same prompt. */
    repetition: {excess: number; standardError: number};
    /** Share of the decisions that emitted the candidate tried first. */
    firstChoice: number;
}

/** How an agent's threshold was found on held-out prompts. */
export interface Calibration {
    /** Prompts whose rewards are known at every threshold. */
    prompts: number;
    /** By threshold. The first is 0, which is the model's own answers. */
    points: CalibrationPoint[];
    /** The threshold to use; null where none gained anything without more repetition. */
    threshold: number | null;
}

/** Fewer prompts than this say nothing about a threshold. */
export const minCalibrationPrompts = 8;

/**
 * Thresholds at which about these shares of the model's first choices would be rejected in its own answers. So they suit unsure agents as
 * well as decisive ones.
 */
const rejected = [0.2, 0.35, 0.5, 0.65, 0.8, 0.9];
/** With 0, at which the model's own answers are. */
export const calibrationThresholds = 1 + rejected.length;

/**
 * Answers the prompts greedily at each threshold. Chosen is the one with the highest mean reward among those whose answers do not repeat
 * themselves more than the model's own do, by more than one standard error.
 *
 * @param held indexes of prompts; fewer than 8 give undefined
 * @throws Interruption
 */
async function calibrate(job: Job, actor: ActorTensors, held: readonly number[]): Promise<Calibration | undefined> {
    const {config, prompts, signal} = job;
    const asked = held.slice(0, config.calibrationPrompts).map((index) => prompts[index] as Prompt);
    if (job.reward === undefined || asked.length < minCalibrationPrompts) return undefined;
    const total = asked.length * (1 + rejected.length);
    const phase = new Phase("calibration", {total, from: 0, job});
    const rollouts = await openRollouts(job, rolloutOptions(job, longestPrompt(job) + config.maxTokens + 1));
    const agent = MaraAgent.fromTensors(actor, {
        dtype: "f32",
        ...(config.threads === null ? {} : {threads: config.threads})
    });
    let done = 0;
    const answer = async (threshold: number) => {
        const answers: Trajectory[] = [];
        const scored: Promise<ScoredResponse | string>[] = [];
        const enter = (trajectory: Trajectory, i: number) => {
            answers[i] = trajectory;
            scored[i] = scoreOrReason(job, trajectory.prompt, trajectory.text);
            phase.tell(++done);
        };
        const seeds = asked.map(() => 0);
        const run = rollouts.run(agent, asked, seeds, enter, {threshold, ...(signal === undefined ? {} : {signal})});
        // Every reader of the agent must have ended before it is freed.
        await run.catch((error) => unlessAborted(Promise.reject(error), signal));
        const scores = await unlessAborted(Promise.all(scored), signal);
        return {
            threshold,
            decisions: answers.flatMap(({decisions}) => decisions),
            repetitions: answers.map(({text}) => repetition(wordsOf(text)) ?? 0),
            scores: scores.map((score) => (typeof score === "string" ? undefined : score.score))
        };
    };
    try {
        const own = await answer(0);
        const accepted = Float32Array.from(
            own.decisions,
            ({acceptProbabilities}) => acceptProbabilities[0] as number
        ).sort();
        const thresholds = rejected.map((share) => round(accepted[Math.floor(share * accepted.length)] ?? 0.5));
        const sides = [own];
        for (const threshold of new Set(thresholds)) if (threshold > 0) sides.push(await answer(threshold));
        return chosenFrom(sides);
    } finally {
        agent.dispose();
        await rollouts.close();
    }
}

/** `calibrate`, or what it found for this agent when the run was at work before. @throws Interruption, MaraError RUN_DAMAGED, WRITE_FAILED */
export async function calibrateOnce(
    job: Job,
    actor: ActorTensors,
    held: readonly number[]
): Promise<Calibration | undefined> {
    const {run} = job;
    const sha256 = createHash("sha256").update(actorBytes(actor)).digest("hex");
    if (run.hasFile(keptName)) {
        const kept = JSON.parse(Buffer.from(await run.readFile(keptName)).toString()) as Kept;
        if (kept.sha256 === sha256) return kept.calibration;
    }
    const calibration = await calibrate(job, actor, held);
    if (calibration !== undefined) {
        const kept: Kept = {sha256, calibration};
        await run.commit(run.state as object, {[keptName]: Buffer.from(JSON.stringify(kept))});
    }
    return calibration;
}

const keptName = "calibration";

interface Kept {
    /** The hash of the agent that it was found for: a run that is lengthened has another. */
    sha256: string;
    calibration: Calibration;
}

function round(value: number): number {
    return Math.round(value * 1000) / 1000;
}

interface Answered {
    threshold: number;
    decisions: readonly {chosenRank: number}[];
    scores: readonly (number | undefined)[];
    /** Each answer has one, between 0 and 1; an answer of fewer than four words has 0. */
    repetitions: readonly number[];
}

/** Undefined where too few rewards are known. */
function chosenFrom(sides: readonly Answered[]): Calibration | undefined {
    const known = [...(sides[0] as Answered).scores.keys()].filter((i) =>
        sides.every(({scores}) => scores[i] !== undefined)
    );
    if (known.length < minCalibrationPrompts) return undefined;
    const scoreOf = ({scores}: Answered) => known.map((i) => scores[i] as number);
    const own = scoreOf(sides[0] as Answered);
    const points = sides.map((side): CalibrationPoint => {
        const scores = scoreOf(side);
        const excess = known.map((i) => (side.repetitions[i] as number) - (sides[0]?.repetitions[i] as number));
        const {length} = side.decisions;
        return {
            threshold: side.threshold,
            reward: mean(scores),
            standardError: standardError(scores.map((score, i) => score - (own[i] as number))),
            repetition: {
                excess: mean(excess),
                standardError: standardError(excess)
            },
            firstChoice: side.decisions.filter(({chosenRank}) => chosenRank === 0).length / Math.max(1, length)
        };
    });
    const chosen = points
        .filter(({repetition}) => repetition.excess <= repetition.standardError)
        .reduce((max, point) => (point.reward > max.reward ? point : max));
    return {prompts: known.length, points, threshold: chosen.threshold === 0 ? null : chosen.threshold};
}

function mean(values: readonly number[]): number {
    return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function standardError(values: readonly number[]): number {
    const center = mean(values);
    return Math.sqrt(
        values.reduce((sum, value) => sum + (value - center) ** 2, 0) / (values.length - 1) / values.length
    );
}

/** True where some threshold gained something; if none is kept, since the answers repeat themselves more than the model's own. */
export function repeatsWhereItGains(points: readonly CalibrationPoint[]): boolean {
    return points.some(({reward}) => reward > (points[0] as CalibrationPoint).reward);
}

/** Why none of the thresholds is kept. */
export function whyNoThreshold(points: readonly CalibrationPoint[]): string {
    return repeatsWhereItGains(points)
        ? "at every threshold that gains something the answers repeat themselves"
        : "no threshold gained anything";
}

/** The curve as an SVG file. */
export function calibrationSvg({prompts, points, threshold}: Calibration, reward: string): string {
    const format = (value: number) => String(Number(value.toPrecision(3)));
    // The picture has room for fewer words than the summary.
    const none = repeatsWhereItGains(points) ? "none gained without repetition" : whyNoThreshold(points);
    const chosen = threshold === null ? none : `threshold ${threshold} is kept`;
    return svgLines(
        {
            title: "Calibration of the threshold",
            subtitle: `${prompts} prompts that were not learnt from; ${chosen}; bands: ± one standard error`,
            axis: "threshold"
        },
        points.map((point) => String(point.threshold)),
        [
            {
                title: `mean reward (${reward}) of greedy answers`,
                points: points.map(({reward: value, standardError: error}) => ({
                    value,
                    interval: [value - error, value + error]
                })),
                color: "#0b62a8",
                format,
                reference: {value: (points[0] as CalibrationPoint).reward, name: "model"}
            },
            {
                title: "repetition beyond the model's own, % of 4-grams",
                points: points.map(({repetition: {excess, standardError: error}}) => ({
                    value: 100 * excess,
                    interval: [100 * (excess - error), 100 * (excess + error)]
                })),
                color: "#8250df",
                format
            },
            {
                title: "decisions that emit the model's first choice, %",
                points: points.map(({firstChoice}) => ({value: 100 * firstChoice})),
                color: "#b4540a",
                format
            }
        ]
    );
}

/** @throws MaraError WRITE_FAILED */
export async function writeCalibration({run, config}: Job, calibration: Calibration): Promise<void> {
    await writeWhole(run.file("calibration.json"), Buffer.from(`${JSON.stringify(calibration, null, 2)}\n`));
    await writeWhole(run.file("calibration.svg"), Buffer.from(calibrationSvg(calibration, config.reward ?? "reward")));
}
