/** A whole training run: its phases one after the other, and the files that it leaves behind. */
import {existsSync} from "node:fs";
import {basename} from "node:path";
import {MaraAgent} from "../agent/agent.js";
import {plural} from "../plural.js";
import {inFormat, type Prompt} from "../prompts/prompts.js";
import {labelledByAdvantage} from "./advantage/advantages.js";
import {collectSampled, readSampled, type SampledState} from "./advantage/sampled.js";
import {type Calibration, calibrateOnce, writeCalibration} from "./calibrate.js";
import type {TrainConfig, TrainOptions} from "./options.js";
import {
    type AnnotatedPair,
    groupOf,
    heldOutPairs,
    pairsFromResponses,
    refuseToLearn
} from "./preference/pair-labels.js";
import {
    collectStates,
    type FitMetrics,
    type FitState,
    fitAgent,
    fitPairs,
    type StatesState
} from "./preference/preference.js";
import {type ResponseRow, sampleResponses} from "./preference/responses.js";
import {adviseOn, type TrainSummary} from "./report/advice.js";
import {writeReport} from "./report/report.js";
import {requireScore} from "./run/hope.js";
import type {InputFiles} from "./run/inputs.js";
import {Interruption} from "./run/interruption.js";
import type {ActorTensors, Job, Outcome} from "./run/job.js";
import {agentFile, type RunDirectory} from "./run/run-directory.js";
import {prepare} from "./run/setup.js";
import type {Baselines, SacMetrics, SampleRow} from "./sac/batch.js";
import {Sac} from "./sac/sac.js";
import type {SacJob, SacState} from "./sac/state.js";
import {heldOutOfSac, promptOfEpisode, sampledPrompts, splitPrompts} from "./seeds.js";
import {addStudent} from "./student/after-run.js";

/** What `trainAgent` resolves with. */
export interface TrainResult {
    /** The trained agent; disposing it is the caller's business. After an interruption: the agent so far, if there is one. */
    agent: MaraAgent | undefined;
    /** False if the signal ended the run. */
    completed: boolean;
    /** The configuration that the run was made with. */
    config: TrainConfig;
    /** A summary of the run, and what to do next. */
    summary: TrainSummary;
    /** How the threshold in the agent's file was found; null without a reward, or where too few prompts are held out. */
    calibration: Calibration | null;
    /** The lines of metrics.jsonl. */
    metrics: (SacMetrics | FitMetrics)[];
    paths: {
        runDirectory: string;
        /** Written when the run is complete. */
        agent: string;
        config: string;
        metrics: string;
        /** samples.jsonl of "sac", else responses.jsonl, which a run from given pairs does not write. */
        samples: string;
        report: string;
    };
}

type RunState = {phase: "responses"} | SampledState | StatesState | FitState | SacState;

/**
 * Trains an agent and writes `agent.safetensors`, metrics, samples, checkpoints and a report into `runDirectory`. A run that was
 * interrupted, in whatever way, goes on with `resume: true` and gives bit for bit the same result.
 *
 * @throws MaraError INVALID_ARGUMENT, MODEL_NOT_FOUND, MODEL_UNSUPPORTED, AGENT_WIDTH, RUN_DIRECTORY, RUN_BUSY, RUN_DAMAGED, RUN_CHANGED,
 * REWARD_FAILED where a reward never works, PAIRS_TOO_FEW, LEARNER_DIVERGED, CONTEXT_FAILED, DECODE_FAILED, WRITE_FAILED, QUEUE_* with a `queue`,
 * and those of `loadPrompts`, `loadPairs`, `openReward` and `MaraAgent.load`
 */
export async function trainAgent(options: TrainOptions): Promise<TrainResult> {
    const {openRun, close, inputs, ...opened} = await prepare(options);
    let run: RunDirectory | undefined;
    try {
        run = await openRun();
        const job: Job = {...opened, run};
        const outcome = await runPhases(job);
        const paths = {
            runDirectory: run.path,
            agent: run.file(agentFile),
            config: run.file("config.json"),
            metrics: run.file("metrics.jsonl"),
            samples: run.file(job.config.method === "sac" ? "samples.jsonl" : "responses.jsonl"),
            report: run.file("report.html")
        };
        const calibration = outcome.completed ? await calibrated(job, outcome.actor) : undefined;
        let completed = outcome.completed && calibration !== null;
        if (calibration) await writeCalibration(job, calibration);
        const agent =
            outcome.actor === undefined ? undefined : finishedAgent(job, inputs, outcome.actor, calibration?.threshold);
        if (completed && agent !== undefined) {
            if (job.config.student) completed = await addStudent(job, inputs, agent);
            // A run that was complete before keeps its agent with the whole student.
            if (completed || !existsSync(paths.agent)) await agent.save(paths.agent);
        }
        const metrics = await run.rows<SacMetrics | FitMetrics>("metrics");
        const summary = adviseOn(job.config, metrics, {
            responses: await run.rows<ResponseRow>("responses"),
            pairs: job.pairs?.length,
            calibration: calibration ?? undefined
        });
        await writeReport(job, summary, calibration ?? undefined);
        return {agent, completed, config: job.config, metrics, summary, calibration: calibration ?? null, paths};
    } finally {
        await run?.close();
        await close();
    }
}

const runMethod = {sac: runSac, preference: runPreference, advantage: runAdvantage} as const;

async function runPhases(job: Job): Promise<Omit<Outcome, "actor"> & {actor?: ActorTensors}> {
    try {
        return await runMethod[job.config.method](job);
    } catch (error) {
        if (error instanceof Interruption) return {completed: false};
        throw error;
    }
}

async function runSac(job: Job): Promise<Outcome> {
    const {run} = job;
    const state = run.state as RunState | undefined;
    const {checkPrompts, seed} = job.config;
    const {training} = splitPrompts(job.prompts.length, heldOutOfSac(job.config), seed);
    const {heldOut} = splitPrompts(job.prompts.length, checkPrompts, seed);
    const order = promptOfEpisode(training.length, seed);
    const sacJob = {...job, heldOut, promptOf: (episode: number) => training[order(episode)] as number};
    const rewards = await findRewards(sacJob, training.length, state);
    const sac = await Sac.open(sacJob, rewards, state?.phase === "sac" ? state : undefined);
    try {
        const outcome = await sac.train();
        if (outcome.completed) requireScore(await run.rows<SampleRow>("samples"));
        return outcome;
    } finally {
        await sac.close();
    }
}

/** Finds the rewards of the model's own greedy responses before the first rollout, as baselines and to compare with. */
async function findRewards(
    job: SacJob,
    trainingPrompts: number,
    state: RunState | undefined
): Promise<{baselines: Baselines; raw: Baselines}> {
    const {config, prompts, heldOut, promptOf} = job;
    const asBaseline = config.baseline === "raw-response";
    const count = asBaseline ? Math.min(trainingPrompts, config.episodes) : 0;
    // A run that goes on to more episodes than it was started with wants further prompts' rewards, after those that it has.
    const wanted = [...heldOut, ...Array.from({length: count}, (_, episode) => promptOf(episode))];
    const during: RunState = state ?? {phase: "responses"};
    const responses = wanted.length === 0 ? [] : await sampleResponses(job, {wanted, each: 1, temperature: 0}, during);
    const raw = new Map(responses.map(({prompt, score}) => [prompt, score]));
    if (asBaseline) {
        // Without a baseline every episode would be dropped.
        requireScore(responses);
        return {baselines: raw, raw};
    }
    const value = config.baseline === "constant" ? config.baselineValue : 0;
    return {baselines: new Map(prompts.map((_, i) => [i, value])), raw};
}

async function runAdvantage(job: Job): Promise<Outcome> {
    const {config, prompts} = job;
    const state = job.run.state as RunState | undefined;
    const sampled = sampledPrompts(config, prompts.length);
    if (state?.phase !== "fit")
        await collectSampled(job, sampled, state?.phase === "sampled" ? state : {phase: "sampled", done: 0});
    const leftAlone = (prompt: number) => prompts[prompt]?.leaveAlone === true;
    const labelled = labelledByAdvantage(await readSampled(job), config.creditDecay, leftAlone);
    if (labelled.weights.every((weight, i) => weight === 0 || leftAlone(labelled.pairs[i] as number)))
        refuseToLearn(await job.run.rows<ResponseRow>("responses"));
    const isHeldOut = new Uint8Array(prompts.length);
    const asked = sampled.map((i) => prompts[i] as Prompt);
    for (const [i, value] of heldOutPairs(asked, config.heldOut, config.seed).entries())
        isHeldOut[sampled[i] as number] = value;
    const held = {isHeldOut, what: plural(asked.length, "prompt"), leftAlone};
    return await fitAgent(job, labelled, held, state?.phase === "fit" ? state : undefined);
}

async function runPreference(job: Job): Promise<Outcome> {
    const state = job.run.state as RunState | undefined;
    const pairs = job.pairs ?? inFormat(await samplePairs(job, state), job.config.promptFormat);
    if (state?.phase !== "fit")
        await collectStates(job, pairs, state?.phase === "states" ? state : {phase: "states", done: 0});
    return await fitPairs(job, pairs, state?.phase === "fit" ? state : undefined);
}

/** Best against worst of the model's own responses, kept as pairs.jsonl. */
async function samplePairs(job: Job, state: RunState | undefined): Promise<readonly AnnotatedPair[]> {
    const {config, run, prompts} = job;
    if (state !== undefined && state.phase !== "responses") return await run.rows<AnnotatedPair>("pairs");
    const wanted = sampledPrompts(config, prompts.length);
    const sampling = {wanted, each: config.pairsFromModel, temperature: config.sampleTemperature};
    const rows = await sampleResponses(job, sampling, {phase: "responses"});
    const pairs = pairsFromResponses(rows, prompts);
    if (pairs.length === 0) refuseToLearn(rows);
    await run.append("pairs", pairs);
    await run.commit({phase: "states", done: 0} satisfies StatesState);
    return pairs;
}

/** Indexes of the prompts that the agent did not learn from. */
async function heldOutPrompts({config, prompts, run}: Job): Promise<number[]> {
    if (config.method === "sac") return splitPrompts(prompts.length, heldOutOfSac(config), config.seed).heldOut;
    const learnt =
        config.method === "preference"
            ? await run.rows<AnnotatedPair>("pairs")
            : sampledPrompts(config, prompts.length).map((i) => prompts[i] as Prompt);
    const isHeldOut = heldOutPairs(learnt, config.heldOut, config.seed);
    const held = new Set(learnt.filter((_, i) => isHeldOut[i] === 1).map(groupOf));
    return [...prompts.entries()].flatMap(([i, prompt]) =>
        held.has(groupOf(prompt)) && prompt.leaveAlone !== true ? [i] : []
    );
}

/** Null where the signal ended it: the run begins it anew when it is taken up. */
async function calibrated(job: Job, actor: ActorTensors | undefined): Promise<Calibration | undefined | null> {
    if (actor === undefined || job.prompts.length === 0) return undefined;
    const held = await heldOutPrompts(job);
    try {
        return await calibrateOnce(job, actor, held);
    } catch (error) {
        if (error instanceof Interruption) return null;
        throw error;
    }
}

/** Metadata without dates or places: the same run gives the same file. */
function finishedAgent(
    {config, model}: Job,
    inputs: InputFiles,
    actor: ActorTensors,
    threshold?: number | null
): MaraAgent {
    return MaraAgent.fromTensors(actor, {
        metadata: {
            "mara.method": config.method,
            "mara.model": model.filename ?? basename(inputs.model?.path ?? ""),
            "mara.model.sha256": inputs.model?.sha256 ?? "",
            ...(config.reward === null ? {} : {"mara.reward": config.reward}),
            "mara.seed": String(config.seed),
            ...(threshold == null ? {} : {"mara.threshold": String(threshold)}),
            "mara.candidates": JSON.stringify(config.candidates),
            ...(config.promptFormat === "session" ? {} : {"mara.promptFormat": config.promptFormat})
        }
    });
}
