/**
 * The whole native surface, typed in one place. Nothing else in lib/ touches the addon's shape.
 * Native errors arrive as plain errors whose message starts with a `MaraErrorCode` and a colon; `native()` users
 * pass them through `fromNative`.
 */
import {createRequire} from "node:module";
import {fileURLToPath} from "node:url";
import {MaraError, type MaraErrorCode, maraErrorCodes} from "./errors.js";

export type NativeWeightType = "f32" | "f16" | "bf16" | "int8";

/** Row-major float32 tensors as they stand in an agent file. */
export interface NativeWeights {
    width: number;
    hidden1: number;
    hidden2: number;
    lnWeight: Float32Array;
    lnBias: Float32Array;
    w1: Float32Array;
    b1: Float32Array;
    w2: Float32Array;
    b2: Float32Array;
    w3: Float32Array;
    b3: Float32Array;
}

export interface NativeAgent {
    /** Accept probabilities of K states; `states` is [K][width] row-major. Blocks the calling thread. */
    score(states: Float32Array): Float32Array;
    /** The same off the main thread. `states` must not be written to before the promise settles. */
    scoreAsync(states: Float32Array): Promise<Float32Array>;
    readonly kernel: string;
    readonly dtype: NativeWeightType;
    /** Packed weights in bytes. */
    readonly bytes: number;
    /** Frees the weights once no call uses them. */
    dispose(): void;
}

export interface NativeAddon {
    Agent: new (
        weights: NativeWeights,
        options: {dtype: NativeWeightType | "auto"; kernel?: string; threads?: number}
    ) => NativeAgent;
    /** Kernel variants that this build has and this machine can run, best first. */
    kernels(): string[];
}

let addon: NativeAddon | undefined;

/**
 * The addon, loaded at first use.
 * @throws MaraError NATIVE_ADDON
 */
export function native(): NativeAddon {
    if (addon === undefined) {
        const root = fileURLToPath(new URL("..", import.meta.url));
        try {
            addon = createRequire(import.meta.url)("node-gyp-build")(root) as NativeAddon;
        } catch (error) {
            throw new MaraError(
                "NATIVE_ADDON",
                `The native addon of node-llama-mara could not be loaded (${(error as Error).message.split("\n")[0]}). ` +
                    "Run `npm rebuild node-llama-mara`; without a prebuilt file that needs a C++20 compiler, make and python3.",
                {cause: error}
            );
        }
    }
    return addon;
}

/** Turns an error thrown by the addon ("CODE: text") into a MaraError; others are returned as they are. */
export function fromNative(error: unknown): unknown {
    if (!(error instanceof Error)) return error;
    const match = /^([A-Z_]+): ([\s\S]*)$/.exec(error.message);
    const code = match?.[1];
    if (code === undefined || !(code in maraErrorCodes)) return error;
    return new MaraError(code as MaraErrorCode, match?.[2] ?? "", {cause: error});
}
