import type {NativeAgent} from "../../native.js";
import type {TopLogits} from "../decide/top-logits.js";
import type {Mode} from "../options.js";

/** A token of a batch. */
export interface BatchToken {
    sequence: number;
    position: number;
    token: number;
    /** Logits wanted. */
    output: boolean;
    /** How many of its largest logits are wanted. */
    top?: number;
}

export interface DecodeOutcome {
    decodeMs: number;
    /** Per token of the batch, where the backend has them at hand. */
    tops?: readonly (TopLogits | undefined)[];
}

/** A token of a wave: a candidate to be judged, or one whose logits must stay resident. */
export interface WaveToken {
    sequence: number;
    position: number;
    token: number;
    /** Number of the lane to decode it in; undefined: the sequence itself. */
    lane?: number;
    /** Belongs also to every lane that this wave forks from its sequence. */
    shared?: boolean;
    /** Judges the state; undefined: not judged. */
    agent?: NativeAgent;
    /** Rejected if judged and not above this. */
    threshold?: number;
    /** How many of its largest logits are wanted, unless it is rejected. */
    top?: number;
}

export interface WaveOutcome extends DecodeOutcome {
    /** False: llama.cpp found no room for the batch; nothing has changed. */
    fits: boolean;
    /** Per token of the wave; NaN where it was not judged. */
    probabilities: ArrayLike<number>;
    kernelMs: number;
}

/**
 * How batches are decoded and candidates judged. After `decode` and `wave` the logits of the batch's i-th token are at row i.
 * Decodes reject with a plain Error when llama.cpp fails.
 */
export interface Backend {
    readonly mode: Mode;
    /** Lanes for candidates beside the main sequences. */
    readonly lanes: number;
    /** Most tokens in one wave. */
    readonly batchSize: number;
    /** Whether one wave can judge candidates of several sequences, or several of one. */
    readonly judgesBatches: boolean;
    /** A batch as node-llama-cpp asked for it. */
    decode(tokens: readonly BatchToken[]): Promise<DecodeOutcome>;
    /** Candidates and riders, with hidden states. Tokens not in lanes are written into their sequences. */
    wave(tokens: readonly WaveToken[], threads: number): Promise<WaveOutcome>;
    /** Removes the sequence's cells from `position` on. */
    takeBack(sequence: number, position: number): void;
    /** Makes the lane's cell at `position` the sequence's own. */
    adopt(sequence: number, position: number, lane: number): void;
    /** Empties every lane. */
    release(): void;
    /** Hidden states of the last wave's tokens, [count][width]; where waves judge one candidate, of that one. Before the next decode. */
    states(count: number): Float32Array;
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
