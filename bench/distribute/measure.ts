/** What a job, a token and a byte cost each of those who take part. */
import {copyFileSync, mkdirSync} from "node:fs";
import {basename, join} from "node:path";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {MaraAgent} from "../../lib/index.js";
import {Coordinator} from "../../lib/queue/coordinator.js";
import {decodeResult, encodeResult, toHalf} from "../../lib/queue/encode.js";
import {RemoteModel} from "../../lib/queue/remote-model.js";
import {Learner} from "../../lib/train/learner/learner.js";
import type {Trajectory} from "../../lib/train/rollout/rollouts.js";
import {fileInput} from "../../lib/train/run/inputs.js";
import {prompts} from "../generate/work.js";
import {scratchFolder} from "../harness/tools.js";
import {type Started, startRedis, startWorker} from "./processes.js";

/** Seconds of processor time for one job that does next to nothing. */
export interface JobCost {
    jobs: number;
    jobsPerSecond: number;
    redis: number;
    worker: number;
    coordinator: number;
}

export interface RolloutCost {
    model: string;
    width: number;
    /** By the number of workers. */
    tokensPerSecond: Record<number, number>;
    /** As results travel. */
    bytesPerToken: {f32: number; f16: number; none: number};
    /** What the states alone are, uncompressed. */
    rawBytesPerToken: number;
    /** Processor time for each byte that travels. */
    secondsPerByte: {encode: number; decode: number; redis: number};
    tokensPerEpisode: number;
}

const ours = () => {
    const {user, system} = process.cpuUsage();
    return (user + system) / 1e6;
};

export async function measureJobs(jobs: number): Promise<JobCost> {
    const models = join(scratchFolder, "no-models");
    mkdirSync(models, {recursive: true});
    const redis = await startRedis();
    const worker = await startWorker(redis.url, models, 1);
    const coordinator = await Coordinator.open(redis.url);
    try {
        const queue = coordinator.queue({label: "scores", files: [], modules: []});
        const ask = (i: number) =>
            queue.run({
                kind: "score",
                reward: "length",
                files: {},
                timeoutMs: 1000,
                retries: 0,
                items: [{prompt: {prompt: "How long?"}, response: `As long as ${i}.`}]
            });
        await ask(-1);
        const before = {redis: await redis.cpuSeconds(), worker: await worker.cpuSeconds(), ours: ours()};
        const start = performance.now();
        await Promise.all(Array.from({length: jobs}, (_, i) => ask(i)));
        return {
            jobs,
            jobsPerSecond: jobs / ((performance.now() - start) / 1000),
            redis: ((await redis.cpuSeconds()) - before.redis) / jobs,
            worker: ((await worker.cpuSeconds()) - before.worker) / jobs,
            coordinator: (ours() - before.ours) / jobs
        };
    } finally {
        await coordinator.close();
        worker.stop();
        redis.stop();
    }
}

export async function measureRollouts(
    modelPath: string,
    {threads, episodes, tokens, workers}: {threads: number; episodes: number; tokens: number; workers: number[]}
): Promise<RolloutCost> {
    const folder = join(scratchFolder, `models-${basename(modelPath)}`);
    mkdirSync(folder, {recursive: true});
    copyFileSync(modelPath, join(folder, basename(modelPath)));
    const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    const model = await llama.loadModel({modelPath});
    const learner = new Learner({width: model.embeddingVectorSize, threads});
    const agent = MaraAgent.fromTensors(learner.actor(), {dtype: "f32", threads});
    const redis = await startRedis();
    const running: Started[] = [];
    const coordinator = await Coordinator.open(redis.url);
    const tokensPerSecond: Record<number, number> = {};
    let trajectories: Trajectory[] = [];
    let redisSeconds = 0;
    try {
        const {sha256} = await fileInput(modelPath, "MODEL_NOT_FOUND");
        const remote = new RemoteModel(coordinator, {model, sha256, states: "f32"});
        const rollouts = remote.rollouts({
            ...{sequences: 8, maxTokens: tokens, contextSize: 512, threads},
            candidates: {topK: 10, topP: 0.95, minP: 0, temperature: 0.8},
            ...{fallbackIndex: 0, order: "best-first", strategy: "first", lastAccepted: false},
            probabilitiesOver: "candidates"
        });
        let seed = 0;
        const run = async (count: number) => {
            const asked = Array.from({length: count}, (_, i) => ({prompt: prompts[i % prompts.length] as string}));
            trajectories = [];
            const seeds = asked.map(() => seed++);
            await rollouts.run(agent, asked, seeds, (trajectory) => trajectories.push(trajectory));
        };
        for (const count of workers) {
            while (running.length < count) running.push(await startWorker(redis.url, folder, threads));
            // Every worker opens the model before the time counts.
            await run(8 * count);
            const before = await redis.cpuSeconds();
            const start = performance.now();
            await run(episodes);
            const made = trajectories.reduce((sum, {tokens: {length}}) => sum + length, 0);
            tokensPerSecond[count] = made / ((performance.now() - start) / 1000);
            redisSeconds = (await redis.cpuSeconds()) - before;
        }
        return {...(await measureBytes(trajectories, redisSeconds)), model: basename(modelPath), tokensPerSecond};
    } finally {
        await coordinator.close();
        for (const worker of running) worker.stop();
        redis.stop();
        agent.dispose();
        learner.dispose();
        await llama.dispose();
    }
}

async function measureBytes(
    trajectories: readonly Trajectory[],
    redisSeconds: number
): Promise<Omit<RolloutCost, "model" | "tokensPerSecond">> {
    const tokens = trajectories.reduce((sum, {tokens: {length}}) => sum + length, 0);
    const encoded = (states: (one: Float32Array) => unknown) =>
        encodeResult(trajectories.map(({prompt: _, ...one}) => ({...one, states: states(one.states)})));
    const start = ours();
    const f32 = await encoded((states) => states);
    const middle = ours();
    await decodeResult(f32);
    const end = ours();
    return {
        width: trajectories[0]?.width ?? 0,
        bytesPerToken: {
            f32: f32.length / tokens,
            f16: (await encoded(toHalf)).length / tokens,
            none: (await encoded(() => new Float32Array(0))).length / tokens
        },
        rawBytesPerToken: trajectories.reduce((sum, {states}) => sum + states.byteLength, 0) / tokens,
        secondsPerByte: {
            encode: (middle - start) / f32.length,
            decode: (end - middle) / f32.length,
            redis: redisSeconds / f32.length
        },
        tokensPerEpisode: tokens / trajectories.length
    };
}
