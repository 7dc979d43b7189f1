/** What it costs to share the work, and how far it goes. */
import {hasRedis} from "../../test/queue/redis.js";
import {modelName} from "../generate/contenders.js";
import {nodeWorker, runProcess} from "../harness/process.js";
import type {BenchOptions, Suite, SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";
import {benchFile} from "../harness/tools.js";
import type {LearnerWork, UpdatesResult} from "../train/learner.js";
import {type JobCost, measureJobs, measureRollouts, type RolloutCost} from "./measure.js";
import {type Costs, saturatesAt, simulate} from "./simulate.js";

export const distributeSuite: Suite = {title: "Work shared among machines", run};

/** Assumed, not measured: one gigabit a second into the coordinator, at nine tenths. */
const network = 1.125e8;
/** `mara train` makes that many by default. */
const updatesPerEpisode = 10;
const episodesPerJob = 8;

async function run({quick, threads, log}: BenchOptions): Promise<SuiteResult> {
    const result: SuiteResult = {tables: [], panels: [], columns: 2, targets: [], notes: [], skipped: {}, data: {}};
    if (!hasRedis) {
        result.skipped.everything = "there is no redis-server";
        return result;
    }
    log("jobs that do next to nothing");
    const jobs = await measureJobs(quick ? 100 : 1000);
    addJobs(jobs, result);
    const data: unknown[] = [];
    for (const modelPath of [benchFile("../demo/model.gguf"), process.env.MARA_TEST_MODEL]) {
        if (modelPath === undefined) {
            result.skipped["the test model"] = "MARA_TEST_MODEL is not set";
            continue;
        }
        const name = modelName(modelPath);
        log(`rollouts of ${name}`);
        const shape = {threads, episodes: quick ? 16 : 64, tokens: quick ? 16 : 48, workers: [1, 2]};
        const rollouts = await measureRollouts(modelPath, shape);
        log(`updates for ${name}`);
        const work: LearnerWork = {
            ...{width: rollouts.width, batch: 1024, rows: 8192, threads, warmUp: 2},
            seconds: quick ? 2 : 10
        };
        const {updatesPerSecond} = await runProcess<UpdatesResult>(nodeWorker("train/worker.ts", work));
        addRollouts(name, rollouts, updatesPerSecond, result);
        const costs: Costs = {
            workerTokensPerSecond: rollouts.tokensPerSecond[1] as number,
            tokensPerEpisode: rollouts.tokensPerEpisode,
            bytesPerToken: rollouts.bytesPerToken.f32,
            redis: {job: jobs.redis, byte: rollouts.secondsPerByte.redis},
            network,
            coordinator: {job: jobs.coordinator, byte: rollouts.secondsPerByte.decode},
            updatesPerSecond,
            updatesPerEpisode
        };
        addModel(name, costs, result);
        data.push({rollouts, updatesPerSecond});
    }
    result.data = {jobs, models: data};
    return result;
}

const ms = (seconds: number) => `${short(1000 * seconds)} ms`;

function addJobs(cost: JobCost, {tables}: SuiteResult): void {
    tables.push({
        title: `A job that does next to nothing (${cost.jobs} of them, one worker)`,
        columns: ["", "processor time", "jobs/s at most"],
        rows: [
            ["Redis", ms(cost.redis), short(1 / cost.redis)],
            ["worker", ms(cost.worker), short(1 / cost.worker)],
            ["coordinator", ms(cost.coordinator), short(1 / cost.coordinator)],
            ["seen", "", short(cost.jobsPerSecond)]
        ]
    });
}

function addRollouts(name: string, cost: RolloutCost, updatesPerSecond: number, {tables}: SuiteResult): void {
    const {bytesPerToken, rawBytesPerToken, secondsPerByte, tokensPerSecond, width} = cost;
    const perMegabyte = (seconds: number) => ms(1e6 * seconds);
    tables.push({
        title: `${name}, width ${width}: rollouts with 8 sequences, top-k 10`,
        columns: ["", ""],
        rows: [
            ...Object.entries(tokensPerSecond).map(([workers, rate]) => [`tokens/s, workers: ${workers}`, short(rate)]),
            ["bytes per token, states uncompressed", short(rawBytesPerToken)],
            ["bytes per token, f32", short(bytesPerToken.f32)],
            ["bytes per token, f16", short(bytesPerToken.f16)],
            ["bytes per token, no states", short(bytesPerToken.none)],
            ["worker's processor time for a megabyte", perMegabyte(secondsPerByte.encode)],
            ["Redis's", perMegabyte(secondsPerByte.redis)],
            ["coordinator's", perMegabyte(secondsPerByte.decode)],
            ["learner's updates/s", short(updatesPerSecond)]
        ]
    });
}

function addModel(name: string, costs: Costs, {tables}: SuiteResult): void {
    const rows = (learning: boolean) =>
        [1, 2, 8, 64, 1000].map((workers) => {
            const {episodesPerSecond, busy} = simulate(learning ? costs : {...costs, updatesPerEpisode: 0}, {
                workers,
                // Each worker has two jobs of every batch.
                episodesPerBatch: 2 * episodesPerJob * workers,
                episodesPerJob,
                ahead: 1,
                batches: 20
            });
            const share = (value: number) => `${Math.round(100 * value)} %`;
            const {workers: own, redis, network: line, coordinator, learner} = busy;
            return [String(workers), short(episodesPerSecond), ...[own, redis, line, coordinator, learner].map(share)];
        });
    const columns = ["workers", "episodes/s", "workers busy", "Redis", "network", "coordinator", "learner"];
    tables.push({title: `${name}: sac, modelled`, columns, rows: rows(true)});
    tables.push({title: `${name}: the same without learning, modelled`, columns, rows: rows(false)});
    tables.push({
        title: `${name}: workers at which each is busy all the time, by the same figures`,
        columns: ["", "workers"],
        rows: Object.entries(saturatesAt(costs, episodesPerJob)).map(([who, count]) => [who, short(count)])
    });
}
