/**
 * The whole native surface, typed here and, for the learners, in native-learners.ts. Nothing else in lib/ touches the addon's shape.
 * Native errors arrive as plain errors, most of which begin with a `MaraErrorCode` and a colon; whoever calls the addon passes them
 * through `fromNative`.
 */

import {fileURLToPath} from "node:url";
import {type LoadedAddon, loadAddon} from "./addon/load.js";
import {MaraError, type MaraErrorCode, maraErrorCodes} from "./errors.js";
import type {
    NativeLearner,
    NativeLearnerOptions,
    NativeStudentLabels,
    NativeStudentLearner,
    NativeStudentOptions
} from "./native-learners.js";

export type NativeWeightType = "f32" | "f16" | "bf16" | "int8";

/** A layer's weights as they stand in an agent file, [outputs][inputs]; offset and strides count items. */
export interface NativeMatrix {
    dtype: "F64" | "F32" | "F16" | "BF16";
    /** Need not be aligned. */
    data: Uint8Array;
    offset: number;
    rowStride: number;
    columnStride: number;
}

/** The tensors of an agent file; those of float32 are row-major. Nothing is kept. */
export interface NativeWeights {
    width: number;
    hidden1: number;
    hidden2: number;
    lnWeight: Float32Array;
    lnBias: Float32Array;
    w1: NativeMatrix;
    b1: Float32Array;
    w2: NativeMatrix;
    b2: Float32Array;
    w3: Float32Array;
    b3: Float32Array;
}

export interface NativeAgent {
    /** Accept probabilities of K states; `states` is [K][width] row-major. Blocks the calling thread. */
    score(states: Float32Array): Float32Array;
    /** Scores off the main thread, otherwise like `score`. `states` is copied. */
    scoreAsync(states: Float32Array): Promise<Float32Array>;
    /**
     * This agent and others of its width on the same states, in one kernel call off the main thread: [agents][states]. `logits`: log-odds of accepting.
     * `states` is copied. At most 16 agents.
     */
    judgeAsync(
        states: Float32Array,
        others: readonly NativeAgent[]
    ): Promise<{logits: Float32Array; probabilities: Float32Array}>;
    /**
     * Copies the network to the first CUDA device, where `scoreAsync` and waves then compute; `score` stays on the CPU. Does nothing the second
     * time. Throws CUDA_UNAVAILABLE, CUDA_FAILED.
     */
    useCuda(weights: NativeWeights, options: {dtype: NativeWeightType | "auto"}): void;
    /** The failure of the device, once there was one. The CPU has taken over then. */
    readonly deviceFailure: string | undefined;
    /** `"cuda"` while a device works for the agent, otherwise the CPU's variant. */
    readonly kernel: string;
    readonly dtype: NativeWeightType;
    /** Weights packed for the CPU in bytes. */
    readonly bytes: number;
    readonly disposed: boolean;
    /** Frees the weights once no call uses them. */
    dispose(): void;
}

/** A student's tensors (native/kernel/student.h), row-major float32. */
export interface NativeStudentWeights {
    width: number;
    normWeight: Float32Array;
    normBias: Float32Array;
    hiddenWeight: Float32Array;
    hiddenBias: Float32Array;
    embeddingWeight: Float32Array;
    embeddingBias: Float32Array;
    fc1Weight: Float32Array;
    fc1Bias: Float32Array;
    fc2Weight: Float32Array;
    fc2Bias: Float32Array;
}

/** Predicts an agent's verdicts from the state that candidates were drawn from. */
export interface NativeStudent {
    /** Writes the table's rows of the tokens from `first` on; `embeddings` is [tokens][width] and is copied. Every row is to be written before verdicts are asked for. */
    project(first: number, embeddings: Float32Array): Promise<void>;
    /** Verdicts on candidates, most probable first: [candidates][mu, sigma]. mu is NaN for a state that holds a NaN. */
    judge(state: Float32Array, tokens: Int32Array, logProbabilities: Float32Array): Float32Array;
    readonly kernel: string;
    /** Table and projections in bytes. */
    readonly bytes: number;
}

/** The parameters that node-llama-cpp asked of its native context, to be compared with its memory. */
export interface NativeExpectedParams {
    contextSize: number;
    batchSize: number;
    sequences: number;
    swaFull: boolean;
    /** The model is recurrent or hybrid, so each sequence needs another that keeps its state. */
    recurrent: boolean;
    noPerf: boolean;
}

/**
 * Numbers per entry in the flat arrays below: token, position, sequence, forkFrom (a sequence or `noFork`), judge (or -1),
 * output (0 or 1).
 */
export const entrySize = 6;
export const noFork = -1;

/** `present` gives this while every place for a row is taken by others. */
export const noPlaceFree = -2;

/** Agents of one width that look at the same states, in one kernel call; at most `maxJudging`. */
export type NativeJudge = readonly NativeAgent[];
export const maxJudging = 16;

export interface NativeDecodeResult {
    /** llama_decode's: 0 ok, 1 no KV slot, others fatal. */
    status: number;
    decodeMs: number;
}

export interface NativeWaveResult extends NativeDecodeResult {
    /** Most agents that looked at one entry. */
    agents: number;
    /** [entries][agents], log-odds of accepting; NaN where no agent looked. */
    logits: Float32Array;
    /** The same as probabilities. */
    probabilities: Float32Array;
    kernelMs: number;
}

/** llama.cpp's context behind a node-llama-cpp context, with spare sequences ("lanes") for candidates. */
export interface NativeLaneContext {
    /**
     * After `init()`: verifies what was created and starts the decode thread. `separableWaves`, `separable`: short batches of candidates, and all, may be
     * decoded token by token where that takes less time, unless `batches` says how. `window`: the tokens that a layer with a sliding window attends to, or 0. Throws
     * LANES_UNAVAILABLE.
     */
    attach(
        tiled: boolean,
        separableWaves: boolean,
        separable: boolean,
        batches: "auto" | "whole" | "alone"
    ): {width: number; batchSize: number; window: number};
    /** A batch of which nothing is judged. */
    decode(entries: Int32Array): Promise<NativeDecodeResult>;
    /** Forks lanes, decodes with hidden states, judges. */
    wave(entries: Int32Array, judges: readonly NativeJudge[], threads: number): Promise<NativeWaveResult>;
    /** Gives up the cells of `sequence` at positions in [start, end); -1 for an open end. */
    remove(sequence: number, start: number, end: number): void;
    /** Makes the lane's cell at `position` the sequence's own, in place of what the sequence held there. */
    adopt(sequence: number, position: number, lane: number): void;
    /** Empties every lane that the last wave forked. */
    release(): void;
    /** Gives the cells of `source` at positions in [start, end) to `target` as well; -1 for an open end. */
    share(source: number, target: number, start: number, end: number): void;
    /** The caller is about to put an earlier state in the place of the sequence's, and to free its cells from `start` on. */
    restoring(sequence: number, start: number): void;
    /** The caller is about to shift the sequence's positions in [start, end) by `delta`; -1 for an open end. */
    shift(sequence: number, start: number, end: number, delta: number): void;
    /** The caller is about to read a sequence's state, or to write one of at most `cells` cells. */
    prepareState(cells: number): void;
    /** The caller has loaded the sequence, which was empty. */
    loaded(sequence: number): void;
    /** The caller changes the weights by adapters, so that only waves stay separable. */
    adapt(): void;
    /** Hidden states of the last wave's first `count` entries, [count][width]; before the next decode. */
    states(count: number): Float32Array;
    /** Holds the row of logits of the last decode's entry at `index`. Gives the row's number, or -1 if there are no logits. */
    hold(index: number): number;
    free(row: number): void;
    /** The row's largest logits, largest first. */
    top(row: number, count: number): {tokens: Int32Array; logits: Float32Array};
    /** The index at which node-llama-cpp's sampler finds the row until `withdraw`; `noPlaceFree`, or -1 if there are no logits. */
    present(row: number): number;
    withdraw(row: number): void;
    /** A copy of the row's logits, [vocabulary]. */
    logits(row: number): Float32Array;
    setLogits(row: number, logits: Float32Array): void;
    /** Whether rows are held with the hidden states that their logits come from, from now on. */
    keepStates(wanted: boolean): void;
    /** A copy of the row's hidden state; undefined for a row that is held without one. */
    state(row: number): Float32Array | undefined;
    /** `NativeStudent.judge` on the row's hidden state; undefined for a row that is held without one. */
    predict(
        row: number,
        student: NativeStudent,
        tokens: Int32Array,
        logProbabilities: Float32Array
    ): Float32Array | undefined;
    /** Joins the decode thread; to be called before the context is disposed. */
    close(): void;
}

export interface NativeAddon {
    /** Verifies the layout of an AddonContext and patches its parameters; between its construction and `init()`. */
    LaneContext: new (
        addonContext: object,
        addonModel: object,
        expected: NativeExpectedParams,
        lanes: number,
        extraCells: number
    ) => NativeLaneContext;
    Agent: new (
        weights: NativeWeights,
        options: {dtype: NativeWeightType | "auto"; kernel?: string; threads?: number}
    ) => NativeAgent;
    Student: new (weights: NativeStudentWeights, vocabulary: number, options?: {kernel?: string}) => NativeStudent;
    Learner: new (options: NativeLearnerOptions) => NativeLearner;
    StudentLearner: new (options: NativeStudentOptions, labels: NativeStudentLabels) => NativeStudentLearner;
    /** CUDA devices that answer; empty without a driver or in a build without CUDA. Never throws. */
    cudaDevices(): {name: string; computeCapability: string; memory: number}[];
    /** True if this build holds the CUDA kernel. */
    readonly hasCuda: boolean;
    /**
     * Makes the file if it is not there, and has the operating system lock it for this process alone, until the function that it gives is
     * called or the process ends. Null if it is locked already. Throws WRITE_FAILED.
     */
    lockFile(path: string): (() => void) | null;
    /** Bytes of a row of `width` values of a ggml type that the model has. Throws UNSUPPORTED_VERSION where the loaded library cannot be asked. */
    rowBytes(addonModel: object, type: number, width: number): number;
    /**
     * Rows of a tensor of the model that `addonModel` has loaded as float32, [rows][width]; `bytes` holds the rows as they stand in the file, of the
     * given ggml type. Throws UNSUPPORTED_VERSION where the loaded library cannot be asked, INVALID_ARGUMENT.
     */
    dequantise(addonModel: object, type: number, bytes: Uint8Array, width: number): Float32Array;
    /** Kernel variants that this build has and this machine can run, best first. */
    kernels(): string[];
}

let loaded: LoadedAddon<NativeAddon> | undefined;

/**
 * The addon, loaded at first use.
 * @throws MaraError NATIVE_ADDON
 */
export function native(): NativeAddon {
    return loadedAddon().addon;
}

/**
 * The addon, with the file that it came from and the files that failed before it.
 * @throws MaraError NATIVE_ADDON
 */
export function loadedAddon(): LoadedAddon<NativeAddon> {
    try {
        loaded ??= loadAddon(fileURLToPath(new URL("..", import.meta.url)));
    } catch (error) {
        throw new MaraError("NATIVE_ADDON", (error as Error).message, {cause: error});
    }
    return loaded;
}

/** Turns an error thrown by the addon ("CODE: text") into a MaraError; others are returned as they are. */
export function fromNative(error: unknown): unknown {
    if (!(error instanceof Error)) return error;
    const match = /^([A-Z_]+): ([\s\S]*)$/.exec(error.message);
    const code = match?.[1];
    if (code === undefined || !(code in maraErrorCodes)) return error;
    return new MaraError(code as MaraErrorCode, match?.[2] ?? "", {cause: error});
}
