/**
 * `npx tsx bench/distribute/choices.ts [seeds]`: what two choices of a queue cost in reward, on the demo's model and reward: batches that are
 * rolled out ahead, and hidden states in half precision. Prints what the agent gains over the model, seed by seed, on held-out prompts that are answered greedily at threshold 0.5.
 */
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {dirname, join} from "node:path";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {demoModelPath} from "../../lib/demo/files.js";
import {loadPrompts, type SacMetrics, trainAgent} from "../../lib/index.js";
import {QueueWorker} from "../../lib/queue/worker.js";
import {startRedis} from "./processes.js";

const seeds = Array.from({length: Number(process.argv[2] ?? 3)}, (_, i) => i + 1);
const folder = mkdtempSync(join(tmpdir(), "mara-choices-"));
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: demoModelPath});
const redis = await startRedis();
const worker = await QueueWorker.open({queue: redis.url, models: dirname(demoModelPath), llama, threads: 1});
const prompts = (await loadPrompts("demo")).slice(0, 240);
const base = {
    ...{model, prompts, reward: "demo", preset: "small" as const, episodes: 200, episodesPerBatch: 16},
    ...{
        checkPrompts: 24,
        checkEvery: 200,
        baseline: "constant" as const,
        calibrationPrompts: 0,
        student: false,
        threads: 1
    }
} as const;
const choices = [
    {name: "1 batch ahead, f32", options: {}},
    {name: "2 batches ahead", options: {batchesAhead: 2}},
    {name: "4 batches ahead", options: {batchesAhead: 4}},
    {name: "1 batch ahead, f16", options: {queue: {url: redis.url, states: "f16"}}}
] as const;
for (const {name, options} of choices) {
    const rewards: number[] = [];
    for (const seed of seeds) {
        const runDirectory = join(folder, `${name}-${seed}`);
        const {metrics, agent} = await trainAgent({...base, ...options, seed, runDirectory});
        agent?.dispose();
        const {greedy} = metrics.at(-1) as SacMetrics;
        // Which prompts are held out depends on the seed.
        rewards.push(greedy === null ? Number.NaN : greedy.reward - greedy.raw);
    }
    console.log(`| ${name} | ${rewards.map((gain) => gain.toFixed(2)).join(", ")} |`);
}
await worker.close();
redis.stop();
await llama.dispose();
rmSync(folder, {recursive: true});
