import {reportDeviceFailure} from "../../agent/device.js";
import {entrySize, type NativeJudge, type NativeLaneContext, noFork, noPlaceFree} from "../../native.js";
import {
    type Backend,
    type BatchToken,
    type DecodeOutcome,
    decodeError,
    type HeldRow,
    type WaveOutcome,
    type WaveToken
} from "./backend.js";
import {Change} from "./change.js";
import {apartFromPrompts, independentBatches, tiledFrom} from "./independent-batches.js";

/**
 * `process.exit` runs no cleanup hook of the environment, but it runs the destructors of llama.cpp's static objects. No decode may run by then.
 * The references are weak, so that a forgotten context can still be collected.
 */
const open = new Set<WeakRef<NativeLaneContext>>();
process.on("exit", () => {
    for (const reference of open) reference.deref()?.close();
});

export interface LanesBackendOptions {
    sequences: number;
    lanes: number;
    /** Cells that lanes add to the context. */
    extraCells: number;
    batchSize: number;
    /** True if attention computes long batches in tiles, as it does on CPUs (`independentBatches`). */
    tiled: boolean;
    /** Tokens are decoded by themselves (`batches: "alone"`). */
    alone: boolean;
    /** Tokens that a layer with a sliding window attends to, or 0. */
    window: number;
    /** True for recurrent and hybrid models. */
    recurrent: boolean;
}

/** Candidates as batches in lanes, through the attached llama.cpp context. Lane n is sequence `sequences + n`. */
export class LanesBackend implements Backend {
    readonly mode = "lanes";
    readonly judgesBatches = true;
    readonly judgesRuns: boolean;
    readonly lanes: number;
    readonly extraCells: number;
    readonly waveSize: number;
    readonly window: number;
    readonly recurrent: boolean;
    /** The number of the first sequence behind the lanes, where some were asked for (`LanesRequest.prompts`). */
    readonly firstFurther: number;
    readonly #native: NativeLaneContext;
    readonly #reference: WeakRef<NativeLaneContext>;
    readonly #sequences: number;
    readonly #tiled: boolean;
    readonly #alone: boolean;
    /** A row was withdrawn, so that there is a place for another. */
    readonly #withdrawal = new Change();
    /** The context has gone, and with it every cell: what is still asked of them is left to node-llama-cpp's own answer. */
    #closed = false;
    #keepsStates = false;

    constructor(native: NativeLaneContext, options: LanesBackendOptions) {
        const {sequences, lanes, extraCells, batchSize, tiled, alone, window, recurrent} = options;
        this.#native = native;
        this.#reference = new WeakRef(native);
        open.add(this.#reference);
        this.#sequences = sequences;
        this.#tiled = tiled;
        this.#alone = alone;
        this.lanes = lanes;
        this.extraCells = extraCells;
        this.window = window;
        this.recurrent = recurrent;
        this.firstFurther = sequences + lanes;
        // When another sequence's batch lets the texts be written anew, each keeps the window of its last token only.
        this.judgesRuns = !recurrent && !alone && (window === 0 || sequences === 1);
        this.waveSize = tiled ? Math.min(batchSize, tiledFrom - 1) : batchSize;
    }

    async decode(tokens: readonly BatchToken[]): Promise<DecodeOutcome> {
        const rows = new Array<HeldRow | undefined>(tokens.length);
        // Where each sequence's decoded tokens begin.
        const begins = new Map<number, number>();
        let decodeMs = 0;
        try {
            for (const part of this.#batchesOf(tokens)) {
                const own = part.map((index) => tokens[index] as BatchToken);
                decodeMs += await this.#decodePart(own);
                for (const {sequence, position} of own) if (!begins.has(sequence)) begins.set(sequence, position);
                for (const [i, index] of part.entries()) if (tokens[index]?.output) rows[index] = this.hold(i);
            }
        } catch (error) {
            for (const row of rows) row?.free();
            // node-llama-cpp takes the whole batch for not decoded.
            for (const [sequence, position] of [...begins].reverse()) this.remove(sequence, position);
            throw error;
        }
        return {decodeMs, rows};
    }

    async #decodePart(tokens: readonly BatchToken[]): Promise<number> {
        const entries = new Int32Array(tokens.length * entrySize);
        for (const [i, {token, position, sequence, output}] of tokens.entries())
            entries.set([token, position, sequence, noFork, -1, Number(output)], i * entrySize);
        const {status, decodeMs} = await this.#native.decode(entries);
        if (status !== 0) throw decodeError(status);
        return decodeMs;
    }

    #batchesOf(tokens: readonly BatchToken[]): number[][] {
        const limit = this.#tiled ? tiledFrom : Number.POSITIVE_INFINITY;
        // llama.cpp cuts prompts that share a batch into pieces of one length, and some recurrent layers compute pieces in chunks.
        const batches = independentBatches(tokens, this.recurrent || this.#alone ? 2 : limit, limit);
        return this.#keepsStates ? batches.flatMap((batch) => apartFromPrompts(tokens, batch)) : batches;
    }

    async wave(tokens: readonly WaveToken[], threads: number): Promise<WaveOutcome> {
        const entries = new Int32Array(tokens.length * entrySize);
        const judges: NativeJudge[] = [];
        tokens.forEach(({token, position, sequence, lane, judge}, i) => {
            const [target, source] = lane === undefined ? [sequence, noFork] : [this.#sequences + lane, sequence];
            let index = judge === undefined ? -1 : judges.findIndex((known) => sameAgents(known, judge));
            if (judge !== undefined && index < 0) index = judges.push(judge) - 1;
            entries.set([token, position, target, source, index, 1], i * entrySize);
        });
        const {status, ...outcome} = await this.#native.wave(entries, judges, threads);
        if (status > 1 || status < 0) throw decodeError(status);
        for (const agent of judges.flat()) reportDeviceFailure(agent);
        return {fits: status === 0, ...outcome};
    }

    hold(index: number): HeldRow {
        const native = this.#native;
        const row = native.hold(index);
        if (row < 0) throw decodeError(-1);
        return {
            top: (count) => native.top(row, count),
            present: async () => {
                let index = native.present(row);
                for (; index === noPlaceFree; index = native.present(row)) await this.#withdrawal.next();
                if (index < 0) throw decodeError(-1);
                return {index};
            },
            withdraw: () => {
                native.withdraw(row);
                this.#withdrawal.tell();
            },
            logits: () => native.logits(row),
            setLogits: (logits) => native.setLogits(row, logits),
            predict: (student, tokens, logProbabilities) => native.predict(row, student, tokens, logProbabilities),
            state: () => native.state(row),
            free: () => native.free(row)
        };
    }

    keepStates(): void {
        this.#keepsStates = true;
        this.#native.keepStates(true);
    }

    states(count: number): Float32Array {
        return this.#native.states(count);
    }

    remove(sequence: number, start: number, end = -1): void {
        if (!this.#closed) this.#native.remove(sequence, Math.max(0, start), end);
    }

    async settled(): Promise<void> {}

    leavingFrom(): undefined {}

    restoring(sequence: number, start: number): void {
        if (!this.#closed) this.#native.restoring(sequence, start);
    }

    adopt(sequence: number, position: number, lane: number): void {
        this.#native.adopt(sequence, position, this.#sequences + lane);
    }

    release(): void {
        this.#native.release();
    }

    shared(source: number, target: number): void {
        if (!this.#closed) this.#native.share(source, target, 0, -1);
    }

    shifting(sequence: number, start: number, end: number, delta: number): void {
        if (!this.#closed) this.#native.shift(sequence, start, end, delta);
    }

    preparingState(cells: number): void {
        if (!this.#closed) this.#native.prepareState(cells);
    }

    loaded(sequence: number): void {
        if (!this.#closed) this.#native.loaded(sequence);
    }

    adapting(): void {
        if (!this.#closed) this.#native.adapt();
    }

    /** Gives the sequence's cells at positions below `end` to the lane as well. Waves must not use it then. */
    shareWithLane(sequence: number, lane: number, end: number): void {
        this.#native.share(sequence, this.#sequences + lane, 0, end);
    }

    /** Gives the lane's cells at positions below `end` to the sequence as well. */
    shareFromLane(lane: number, sequence: number, end: number): void {
        this.#native.share(this.#sequences + lane, sequence, 0, end);
    }

    /** Empties a lane that waves do not use. */
    emptyLane(lane: number): void {
        this.#native.remove(this.#sequences + lane, 0, -1);
    }

    close(): void {
        this.#closed = true;
        open.delete(this.#reference);
        this.#native.close();
    }
}

function sameAgents(one: NativeJudge, other: NativeJudge): boolean {
    return one === other || (one.length === other.length && one.every((agent, i) => agent === other[i]));
}
