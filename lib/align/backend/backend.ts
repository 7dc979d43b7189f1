import type {NativeJudge, NativeStudent} from "../../native.js";
import type {Mode} from "../context-options.js";
import type {TopLogits} from "../decide/top-logits.js";

/** A token and where it stands. */
export interface PlacedToken {
    readonly sequence: number;
    readonly position: number;
    readonly token: number;
}

/** A token of a batch. */
export interface BatchToken extends PlacedToken {
    /** Logits wanted. */
    readonly output: boolean;
}

/** A token of a wave: a candidate to be judged, or one that is decoded along. */
export interface WaveToken extends PlacedToken {
    /** Number of the lane to decode it in; undefined: the sequence itself. */
    readonly lane?: number;
    /** The agents that judge the state; undefined: none. */
    readonly judge?: NativeJudge;
}

/** A row of logits that can be sampled from until it is freed, whatever is decoded meanwhile. */
export interface HeldRow {
    /** Its largest logits; undefined where the backend cannot look at them. */
    top(count: number): TopLogits | undefined;
    /**
     * Makes the row known to node-llama-cpp's sampler, until `withdraw`; gives the index at which it is found. Several rows may be known at
     * a time. A row for which there is no place waits until another is withdrawn.
     * Where the logits had to be decoded again, `decodeMs` says how long that took.
     */
    present(): Promise<{index: number; decodeMs?: number}>;
    withdraw(): void;
    /** A copy of its logits, one per token of the vocabulary. Undefined where the backend cannot look at them. */
    logits(): Float32Array | undefined;
    setLogits(logits: Float32Array): void;
    /**
     * The student's verdicts on the row's candidates, most probable first: [candidates][mean logit, standard deviation]. Undefined where the row has no
     * hidden state (`keepStates`).
     */
    predict(student: NativeStudent, tokens: Int32Array, logProbabilities: Float32Array): Float32Array | undefined;
    /** A copy of its hidden state; undefined where it has none (`keepStates`). */
    state(): Float32Array | undefined;
    free(): void;
}

export interface DecodeOutcome {
    decodeMs: number;
    /** Per token of the batch, for those whose logits were wanted. */
    rows: readonly (HeldRow | undefined)[];
}

export interface WaveOutcome {
    /** False if llama.cpp found no room for the batch; no text has changed then. */
    fits: boolean;
    /** Most agents that judged one token. */
    agents: number;
    /** [tokens][agents], log-odds of accepting; NaN where a token was not judged. */
    logits: Float32Array;
    /** The same as probabilities. */
    probabilities: Float32Array;
    decodeMs: number;
    kernelMs: number;
}

/** How batches are decoded and candidates judged. Decodes reject with a plain Error when llama.cpp fails. */
export interface Backend {
    readonly mode: Mode;
    /** Lanes for candidates beside the main sequences. */
    readonly lanes: number;
    /** Cells that the context has beside those that node-llama-cpp asked for. */
    readonly extraCells: number;
    /** Most tokens in one wave. */
    readonly waveSize: number;
    /** Tokens that a layer with a sliding window attends to; 0 where none has one, or node-llama-cpp's own answers are enough. */
    readonly window: number;
    /** True for recurrent and hybrid models: a token changes a state for good, so only a sequence's last batch can be taken back. */
    readonly recurrent: boolean;
    /** True if one wave can judge candidates of several sequences, or several of one. */
    readonly judgesBatches: boolean;
    /** True if one wave can judge tokens that follow each other in a sequence, any of which can be taken back with those behind it. */
    readonly judgesRuns: boolean;
    /** A batch as node-llama-cpp asked for it. */
    decode(tokens: readonly BatchToken[]): Promise<DecodeOutcome>;
    /** Candidates, with hidden states. Tokens not in lanes are written into their sequences. */
    wave(tokens: readonly WaveToken[], threads: number): Promise<WaveOutcome>;
    /** Holds the row of the last wave's token at `index`. To be called before the next decode. */
    hold(index: number, token: PlacedToken): HeldRow;
    /** From the next decode on, rows that end a batch's text have their hidden states. Does nothing where the backend cannot. */
    keepStates(): void;
    /** Hidden states of the last wave's first `count` tokens, [count][width]; only that of the judged candidate where waves judge one. To be called before the next decode. */
    states(count: number): Float32Array;
    /**
     * Gives up the sequence's cells at positions from `start` to before `end`; without an end, to the last. Where sequences have states,
     * changes nothing unless it takes back the last batch, or everything.
     */
    remove(sequence: number, start: number, end?: number): void;
    /** Resolves when all that was given up has left the context. */
    settled(): Promise<void>;
    /** The position from which on the sequence's tokens were given up but have not left the context yet. */
    leavingFrom(sequence: number): number | undefined;
    /** Tells that an earlier state is about to take the place of the sequence's, whose text then ends before `start`. */
    restoring(sequence: number, start: number): void;
    /** Makes the lane's cell at `position` the sequence's own, in place of what it held there. */
    adopt(sequence: number, position: number, lane: number): void;
    /** Empties the lanes that the last wave used. */
    release(): void;
    /** Tells that `target`, which was empty, has been given `source`'s cells. */
    shared(source: number, target: number): void;
    /** Tells that the positions of the sequence's cells from `start` to before `end` are about to change by `delta`. */
    shifting(sequence: number, start: number, end: number, delta: number): void;
    /** Tells that a sequence's state is about to be read, or one of at most `cells` cells to be loaded. */
    preparingState(cells: number): void;
    /** Tells that the sequence, which was empty, has been loaded. */
    loaded(sequence: number): void;
    /** Tells that adapters are about to change the weights. */
    adapting(): void;
    /** Ends the backend's thread; the context is about to go away. */
    close(): void;
}

/** node-llama-cpp's own words for a decode that failed, so that callers see the errors they know. */
export function decodeError(status: number): Error {
    return new Error(
        status === 1
            ? "could not find a KV slot for the batch (try reducing the size of the batch or increase the context)"
            : "Eval has failed"
    );
}
