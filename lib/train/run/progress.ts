/** Reports how far a run is. */
import {notify} from "../../validation/notify.js";
import type {TrainConfig} from "../options.js";
import type {Job} from "./job.js";

/**
 * `responses`: of the model itself, to learn from or as a baseline. `states`: of pairs or demonstrations. `fit`: epochs. `rollouts`: episodes. `calibration`:
 * answers at each threshold. `decisions`: for the student. `student`: epochs of its fit.
 */
export type TrainPhase = "responses" | "states" | "fit" | "rollouts" | "calibration" | "decisions" | "student";

/** What `onProgress` of a run is told. */
export interface TrainProgress {
    phase: TrainPhase;
    /** Where the run's constants come from; chosen by the hardware if no option named it. Null from `trainStudent` and `trainValue`. */
    preset: TrainConfig["preset"] | null;
    /** Responses, pairs, demonstrations, epochs, episodes or decisions done, including those of before the run was taken up again. */
    done: number;
    /** How many of them there will be, at most. */
    total: number;
    /** Tokens generated in this phase since it began or was taken up again, those of responses under way included. 0 where none are. */
    tokens: number;
    /** Seconds since this phase began or was taken up again. */
    seconds: number;
    /** Seconds that are left. Null while they cannot be estimated. */
    secondsLeft: number | null;
    /** Mean reward of the latest episodes, without the baseline taken off. Null where there is none. */
    reward: number | null;
    /** Mean penalty of the latest episodes' decisions. */
    kl: number | null;
    /** Share accepted of the candidates that the latest episodes tried; in `fit`, the share of held-out tokens labelled right. */
    acceptanceRate: number | null;
    /** In `rollouts`: the latest answers to the held-out prompts. */
    greedy: GreedyCheck | null;
    /** In `fit`: the held-out pairs. */
    heldOut: HeldOutPairs | null;
    /** Episodes or responses left out because their reward failed. */
    dropped: number;
    /** Workers that have the model; null without a queue. */
    workers: number | null;
}

/** Mean rewards of greedy answers to held-out prompts, by the agent at threshold 0.5 and by the model alone. */
export interface GreedyCheck {
    /** Number of prompts whose rewards are known. */
    prompts: number;
    /** Of the agent's answers. */
    reward: number;
    /** Of the model's own. */
    raw: number;
    /** By the agent that rolls out in place of this one because of `batchesAhead`; null where that is 1. */
    behind: number | null;
}

/** Held-out pairs that the agent tells apart. */
export interface HeldOutPairs {
    pairs: number;
    /** Pairs whose chosen response the agent of the latest epoch accepts more of. */
    toldApart: number;
    /** The epoch whose agent is the best so far. */
    keptEpoch: number;
}

type Latest = Partial<Pick<TrainProgress, "reward" | "kl" | "acceptanceRate" | "greedy" | "heldOut" | "dropped">>;

/** Who is told, and what of the run. */
interface Told extends Pick<Job, "listener"> {
    remote?: Pick<NonNullable<Job["remote"]>, "workers"> | undefined;
    config: Pick<TrainProgress, "preset">;
}

/** Milliseconds between two reports of tokens. */
const tokensEvery = 1000;

/** Counts one phase and tells a listener. */
export class Phase {
    readonly #phase: TrainPhase;
    readonly #total: number;
    readonly #from: number;
    readonly #start = performance.now();
    #done: number;
    #tokens = 0;
    #latest: Latest = {};
    #toldTokensAt = Number.NEGATIVE_INFINITY;
    readonly #job: Told;

    /** `from` were done before. */
    constructor(phase: TrainPhase, {total, from, job}: {total: number; from: number; job: Told}) {
        this.#phase = phase;
        this.#total = total;
        this.#from = from;
        this.#job = job;
        this.#done = from;
        this.#tell();
    }

    tell(done: number, latest: Latest = {}): void {
        this.#done = done;
        this.#latest = latest;
        this.#tell();
    }

    /** Counts further tokens. Tells of the first at once, so that a run shows a sign of life before its first response is complete. */
    generated(tokens: number): void {
        this.#tokens += tokens;
        const now = performance.now();
        if (now - this.#toldTokensAt < tokensEvery) return;
        this.#toldTokensAt = now;
        this.#tell();
    }

    #tell(): void {
        const {
            reward = null,
            kl = null,
            acceptanceRate = null,
            greedy = null,
            heldOut = null,
            dropped = 0
        } = this.#latest;
        const done = this.#done;
        const seconds = this.seconds;
        const worked = done - this.#from;
        const secondsLeft = worked === 0 ? null : (seconds / worked) * (this.#total - done);
        const latest = {reward, kl, acceptanceRate, greedy, heldOut, dropped};
        notify(this.#job.listener, "onProgress", {
            phase: this.#phase,
            preset: this.#job.config.preset,
            done,
            total: this.#total,
            tokens: this.#tokens,
            seconds,
            secondsLeft,
            ...latest,
            workers: this.#job.remote?.workers ?? null
        });
    }

    get seconds(): number {
        return (performance.now() - this.#start) / 1000;
    }
}

/** Mean over the latest `size` values that were added. */
export class LatestMean {
    readonly #values: number[] = [];
    readonly #size: number;

    constructor(size: number) {
        this.#size = size;
    }

    add(value: number): void {
        this.#values.push(value);
        if (this.#values.length > this.#size) this.#values.shift();
    }

    get value(): number | null {
        if (this.#values.length === 0) return null;
        return this.#values.reduce((sum, value) => sum + value, 0) / this.#values.length;
    }
}
