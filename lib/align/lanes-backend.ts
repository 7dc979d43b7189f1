import {entrySize, type NativeAgent, type NativeLaneContext, noFork, sharedWithForks} from "../native.js";
import {type Backend, type BatchToken, decodeError, type WaveOutcome, type WaveToken} from "./backend.js";

/** Candidates as batches in lanes, through the attached llama.cpp context. Lane n is sequence `sequences + n`. */
export class LanesBackend implements Backend {
    readonly mode = "lanes";
    readonly judgesBatches = true;
    readonly lanes: number;
    readonly batchSize: number;
    readonly #native: NativeLaneContext;
    readonly #sequences: number;

    constructor(native: NativeLaneContext, options: {sequences: number; lanes: number; batchSize: number}) {
        this.#native = native;
        this.#sequences = options.sequences;
        this.lanes = options.lanes;
        this.batchSize = options.batchSize;
    }

    async decode(tokens: readonly BatchToken[]): Promise<{decodeMs: number}> {
        const entries = new Int32Array(tokens.length * entrySize);
        tokens.forEach(({token, position, sequence, output}, i) => {
            entries.set([token, position, sequence, noFork, -1, Number(output)], i * entrySize);
        });
        const {status, decodeMs} = await this.#native.decode(entries);
        if (status !== 0) throw decodeError(status);
        return {decodeMs};
    }

    async wave(tokens: readonly WaveToken[], threads: number): Promise<WaveOutcome> {
        const entries = new Int32Array(tokens.length * entrySize);
        const agents: NativeAgent[] = [];
        tokens.forEach(({token, position, sequence, lane, shared, agent}, i) => {
            const target = lane === undefined ? sequence : this.#sequences + lane;
            const source = lane === undefined ? (shared ? sharedWithForks : noFork) : sequence;
            if (agent !== undefined && !agents.includes(agent)) agents.push(agent);
            const network = agent === undefined ? -1 : agents.indexOf(agent);
            entries.set([token, position, target, source, network, 1], i * entrySize);
        });
        const {status, probabilities, decodeMs, kernelMs} = await this.#native.wave(entries, agents, threads);
        if (status > 1 || status < 0) throw decodeError(status);
        return {fits: status === 0, probabilities, decodeMs, kernelMs};
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

    close(): void {
        this.#native.close();
    }
}
