/**
 * A model of training and evaluation with many workers: jobs, and the four that every job passes one after the other (Redis, the network,
 * the coordinator, and in training the learner), each with the cost that was measured for it. docs/scaling.md has its results.
 */
import {seededRandom} from "../../test/support/random.js";

export interface Costs {
    /** Tokens per second of one worker. */
    workerTokensPerSecond: number;
    tokensPerEpisode: number;
    bytesPerToken: number;
    /** Seconds of Redis for a job, and for a byte. */
    redis: {job: number; byte: number};
    /** Bytes per second into the coordinator. */
    network: number;
    /** Seconds of the coordinator's main thread for a job, and for a byte. */
    coordinator: {job: number; byte: number};
    /** How fast the learner is; Infinity where nothing is learnt. */
    updatesPerSecond: number;
    updatesPerEpisode: number;
}

export interface Setting {
    workers: number;
    episodesPerBatch: number;
    episodesPerJob: number;
    /** Batches rolled out before the one before them is learnt from. */
    ahead: number;
    batches: number;
}

export interface Simulated {
    episodesPerSecond: number;
    /** Share of the time in which each is at work. */
    busy: Record<"workers" | "redis" | "network" | "coordinator" | "learner", number>;
}

/** One after the other, in the order in which they come. */
class Line {
    busy = 0;
    #free = 0;

    pass(at: number, seconds: number): number {
        this.#free = Math.max(this.#free, at) + seconds;
        this.busy += seconds;
        return this.#free;
    }
}

export function simulate(
    costs: Costs,
    {workers, episodesPerBatch, episodesPerJob, ahead, batches}: Setting
): Simulated {
    const {uniform} = seededRandom(1);
    const free = new Float64Array(workers);
    const [redis, network, coordinator, learner] = [new Line(), new Line(), new Line(), new Line()];
    const rolled: number[] = [];
    const learnt: number[] = [];
    let workerBusy = 0;
    for (let batch = 0; batch < batches; batch++) {
        // As in lib/train/sac/sac.ts: a batch begins when the one `ahead` before it is there, and all before that are learnt.
        const begins = Math.max(0, rolled[batch - ahead] ?? 0, learnt[batch - ahead - 1] ?? 0);
        const done: {at: number; bytes: number}[] = [];
        for (let first = 0; first < episodesPerBatch; first += episodesPerJob) {
            const episodes = Math.min(episodesPerJob, episodesPerBatch - first);
            // Responses are of half to one and a half times the mean length.
            const tokens = costs.tokensPerEpisode * episodes * (0.5 + uniform());
            const worker = free.indexOf(Math.min(...free));
            const seconds = tokens / costs.workerTokensPerSecond;
            free[worker] = Math.max(free[worker] as number, begins) + seconds;
            workerBusy += seconds;
            done.push({at: free[worker] as number, bytes: tokens * costs.bytesPerToken});
        }
        let last = begins;
        for (const {at, bytes} of done.sort((a, b) => a.at - b.at)) {
            const stored = redis.pass(at, costs.redis.job + bytes * costs.redis.byte);
            const arrived = network.pass(stored, bytes / costs.network);
            last = coordinator.pass(arrived, costs.coordinator.job + bytes * costs.coordinator.byte);
        }
        rolled.push(last);
        const updates = episodesPerBatch * costs.updatesPerEpisode;
        learnt.push(learner.pass(last, updates / costs.updatesPerSecond));
    }
    const total = learnt.at(-1) as number;
    return {
        episodesPerSecond: (batches * episodesPerBatch) / total,
        busy: {
            workers: workerBusy / total / workers,
            redis: redis.busy / total,
            network: network.busy / total,
            coordinator: coordinator.busy / total,
            learner: learner.busy / total
        }
    };
}

/** Workers that each of them can serve before it is busy all the time. */
export function saturatesAt(
    {workerTokensPerSecond, tokensPerEpisode, bytesPerToken, ...costs}: Costs,
    episodesPerJob: number
): Record<"redis" | "network" | "coordinator" | "learner", number> {
    const episodes = workerTokensPerSecond / tokensPerEpisode;
    const jobs = episodes / episodesPerJob;
    const bytes = workerTokensPerSecond * bytesPerToken;
    return {
        redis: 1 / (jobs * costs.redis.job + bytes * costs.redis.byte),
        network: costs.network / bytes,
        coordinator: 1 / (jobs * costs.coordinator.job + bytes * costs.coordinator.byte),
        learner: costs.updatesPerSecond / (episodes * costs.updatesPerEpisode)
    };
}
