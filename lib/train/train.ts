/** A whole training run: its phases one after the other, and what it leaves behind. */
import {basename} from "node:path";
import {MaraAgent} from "../agent/agent.js";
import type {Inputs} from "./inputs.js";
import {Interruption} from "./interruption.js";
import type {ActorTensors, Job, Outcome} from "./job.js";
import type {TrainOptions} from "./options.js";
import {type Pair, pairsFromResponses} from "./pair-labels.js";
import {collectStates, type FitMetrics, type FitState, fitAgent, type StatesState} from "./preference.js";
import {promptOfEpisode} from "./random.js";
import {writeReport} from "./report.js";
import {sampleResponses} from "./responses.js";
import type {RunDirectory} from "./run-directory.js";
import {Sac, type SacState} from "./sac.js";
import type {Baselines, SacMetrics} from "./sac-batch.js";
import {prepare} from "./setup.js";

export interface TrainResult {
    /** The trained agent; disposing it is the caller's business. After an interruption: the agent so far, if there is one. */
    agent: MaraAgent | undefined;
    /** False if the signal ended the run. */
    completed: boolean;
    /** The lines of metrics.jsonl. */
    metrics: (SacMetrics | FitMetrics)[];
    paths: {
        runDirectory: string;
        /** Written when the run is complete. */
        agent: string;
        config: string;
        metrics: string;
        samples: string;
        report: string;
    };
}

type RunState = {phase: "responses"} | StatesState | FitState | SacState;

/**
 * Trains an agent and writes `agent.safetensors`, metrics, samples, checkpoints and a report into `runDirectory`. A run that was
 * interrupted, in whatever way, goes on with `resume: true` and gives bit for bit what it would have given.
 *
 * @throws MaraError INVALID_ARGUMENT, MODEL_NOT_FOUND, MODEL_UNSUPPORTED, RUN_DIRECTORY, RUN_DAMAGED, RUN_CHANGED, REWARD_FAILED where
 * a reward never works, PAIRS_TOO_FEW, LEARNER_DIVERGED, WRITE_FAILED, and those of `loadPrompts`, `loadPairs`, `openReward` and
 * `MaraAgent.load`
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
            agent: run.file("agent.safetensors"),
            config: run.file("config.json"),
            metrics: run.file("metrics.jsonl"),
            samples: run.file(job.config.method === "sac" ? "samples.jsonl" : "responses.jsonl"),
            report: run.file("report.html")
        };
        const agent = outcome.actor === undefined ? undefined : finishedAgent(job, inputs, outcome.actor);
        if (outcome.completed) await agent?.save(paths.agent);
        await writeReport(job);
        const metrics = await run.rows<SacMetrics | FitMetrics>("metrics");
        return {agent, completed: outcome.completed, metrics, paths};
    } finally {
        await run?.close();
        await close();
    }
}

async function runPhases(job: Job): Promise<Omit<Outcome, "actor"> & {actor?: ActorTensors}> {
    try {
        return await (job.config.method === "sac" ? runSac(job) : runPreference(job));
    } catch (error) {
        if (error instanceof Interruption) return {completed: false};
        throw error;
    }
}

async function runSac(job: Job): Promise<Outcome> {
    const {run} = job;
    const state = run.state as RunState | undefined;
    const baselines = await findBaselines(job, state);
    const sac = await Sac.open(job, baselines, state?.phase === "sac" ? state : undefined);
    try {
        return await sac.train();
    } finally {
        await sac.close();
    }
}

/** The rewards of the model's own greedy responses are found before the first rollout. */
async function findBaselines(job: Job, state: RunState | undefined): Promise<Baselines> {
    const {config, prompts} = job;
    if (config.baseline !== "raw-response") {
        const value = config.baseline === "constant" ? config.baselineValue : 0;
        return new Map(prompts.map((_, i) => [i, value]));
    }
    const promptOf = promptOfEpisode(prompts.length, config.seed);
    const count = Math.min(prompts.length, config.episodes);
    const wanted = Array.from({length: count}, (_, episode) => promptOf(episode));
    // A run that goes on to more episodes than it was started with wants further ones.
    const during: RunState = state ?? {phase: "responses"};
    const responses = await sampleResponses(job, {wanted, each: 1, temperature: 0}, during);
    return new Map(responses.map(({prompt, score}) => [prompt, score]));
}

async function runPreference(job: Job): Promise<Outcome> {
    const state = job.run.state as RunState | undefined;
    const pairs = job.pairs ?? (await samplePairs(job, state));
    if (state?.phase !== "fit")
        await collectStates(job, pairs, state?.phase === "states" ? state : {phase: "states", done: 0});
    return await fitAgent(job, pairs, state?.phase === "fit" ? state : undefined);
}

/** Best against worst of the model's own responses, kept as pairs.jsonl. */
async function samplePairs(job: Job, state: RunState | undefined): Promise<readonly Pair[]> {
    const {config, run, prompts} = job;
    if (state !== undefined && state.phase !== "responses") return await run.rows<Pair>("pairs");
    const wanted = [...prompts.keys()];
    const sampling = {wanted, each: config.pairsFromModel, temperature: config.sampleTemperature};
    const rows = await sampleResponses(job, sampling, {phase: "responses"});
    const pairs = pairsFromResponses(rows, prompts);
    await run.append("pairs", pairs);
    await run.commit({phase: "states", done: 0} satisfies StatesState);
    return pairs;
}

/** Metadata without dates or places: the same run gives the same file. */
function finishedAgent({config, model}: Job, inputs: Inputs, actor: ActorTensors): MaraAgent {
    return MaraAgent.fromTensors(actor, {
        metadata: {
            "mara.method": config.method,
            "mara.model": model.filename ?? basename(inputs.model?.path ?? ""),
            "mara.model.sha256": inputs.model?.sha256 ?? "",
            ...(config.reward === null ? {} : {"mara.reward": config.reward}),
            "mara.seed": String(config.seed),
            "mara.candidates": JSON.stringify(config.candidates)
        }
    });
}
