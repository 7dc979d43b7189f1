import {reportDeviceFailure} from "../../agent/device.js";
import {
    entrySize,
    type NativeAgent,
    type NativeDecodeResult,
    type NativeLaneContext,
    noFork,
    sharedWithForks
} from "../../native.js";
import type {TopLogits} from "../decide/top-logits.js";
import {
    type Backend,
    type BatchToken,
    type DecodeOutcome,
    decodeError,
    type WaveOutcome,
    type WaveToken
} from "./backend.js";

/**
 * `process.exit` runs none of the environment's cleanup hooks, but the destructors of llama.cpp's static objects: by then no decode may run.
 * Weakly held, so that a forgotten context can still be collected.
 */
const open = new Set<WeakRef<NativeLaneContext>>();
process.on("exit", () => {
    for (const reference of open) reference.deref()?.close();
});

/** Candidates as batches in lanes, through the attached llama.cpp context. Lane n is sequence `sequences + n`. */
export class LanesBackend implements Backend {
    readonly mode = "lanes";
    readonly judgesBatches = true;
    readonly lanes: number;
    readonly batchSize: number;
    readonly #native: NativeLaneContext;
    readonly #reference: WeakRef<NativeLaneContext>;
    readonly #sequences: number;

    constructor(native: NativeLaneContext, options: {sequences: number; lanes: number; batchSize: number}) {
        this.#native = native;
        this.#reference = new WeakRef(native);
        open.add(this.#reference);
        this.#sequences = options.sequences;
        this.lanes = options.lanes;
        this.batchSize = options.batchSize;
    }

    async decode(tokens: readonly BatchToken[]): Promise<DecodeOutcome> {
        const entries = new Int32Array(tokens.length * entrySize);
        tokens.forEach(({token, position, sequence, output, top = 0}, i) => {
            entries.set([token, position, sequence, noFork, -1, Number(output), top], i * entrySize);
        });
        const outcome = await this.#native.decode(entries);
        if (outcome.status !== 0) throw decodeError(outcome.status);
        return {decodeMs: outcome.decodeMs, tops: topsOf(outcome)};
    }

    async wave(tokens: readonly WaveToken[], threads: number): Promise<WaveOutcome> {
        const entries = new Int32Array(tokens.length * entrySize);
        const thresholds = Float32Array.from(tokens, ({threshold = 0}) => threshold);
        const agents: NativeAgent[] = [];
        tokens.forEach(({token, position, sequence, lane, shared, agent, top = 0}, i) => {
            const target = lane === undefined ? sequence : this.#sequences + lane;
            const source = lane === undefined ? (shared ? sharedWithForks : noFork) : sequence;
            if (agent !== undefined && !agents.includes(agent)) agents.push(agent);
            const network = agent === undefined ? -1 : agents.indexOf(agent);
            entries.set([token, position, target, source, network, 1, top], i * entrySize);
        });
        const outcome = await this.#native.wave(entries, thresholds, agents, threads);
        const {status, probabilities, decodeMs, kernelMs} = outcome;
        if (status > 1 || status < 0) throw decodeError(status);
        for (const agent of agents) reportDeviceFailure(agent);
        return {fits: status === 0, probabilities, tops: topsOf(outcome), decodeMs, kernelMs};
    }

    takeBack(sequence: number, position: number): void {
        this.#native.takeBack(sequence, position);
    }

    adopt(sequence: number, position: number, lane: number): void {
        this.#native.adopt(sequence, position, this.#sequences + lane);
    }

    release(): void {
        this.#native.release();
    }

    states(count: number): Float32Array {
        return this.#native.states(count);
    }

    /** Gives the sequence's cells at positions in [start, end) to the lane as well. */
    shareWithLane(sequence: number, lane: number, start: number, end: number): void {
        this.#native.share(sequence, this.#sequences + lane, start, end);
    }

    /** Gives the lane's cells at positions below `end` to the sequence as well. */
    shareFromLane(lane: number, sequence: number, end: number): void {
        this.#native.share(this.#sequences + lane, sequence, 0, end);
    }

    /** Empties a lane that waves do not use. */
    emptyLane(lane: number): void {
        this.#native.takeBack(this.#sequences + lane, 0);
    }

    close(): void {
        open.delete(this.#reference);
        this.#native.close();
    }
}

function topsOf({topCounts, topTokens, topLogits}: NativeDecodeResult): (TopLogits | undefined)[] {
    let from = 0;
    return Array.from(topCounts, (count) => {
        const to = from + count;
        const top =
            count === 0 ? undefined : {tokens: topTokens.subarray(from, to), logits: topLogits.subarray(from, to)};
        from = to;
        return top;
    });
}
