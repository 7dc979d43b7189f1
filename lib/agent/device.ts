/** Where an agent computes: the CPU, or a CUDA device with the CPU behind it. */
import {MaraError} from "../errors.js";
import {
    fromNative,
    loadedAddon,
    type NativeAgent,
    type NativeWeights,
    type NativeWeightType,
    native
} from "../native.js";

/** See `MaraAgentOptions.device`. */
export type AgentDevice = "auto" | "cpu" | "cuda";

export const agentDevices = ["auto", "cpu", "cuda"] as const;

/** True if the loaded addon has the CUDA kernel and a device answers it. */
export function hasCudaDevice(): boolean {
    return native().cudaDevices().length > 0;
}

/**
 * Copies the weights to the CUDA device, where waves and `scoreAsync` then compute.
 * @throws MaraError CUDA_UNAVAILABLE, CUDA_FAILED
 */
export function moveToCuda(handle: NativeAgent, weights: NativeWeights, dtype: NativeWeightType | "auto"): void {
    try {
        handle.useCuda(weights, {dtype});
    } catch (error) {
        const problem = fromNative(error);
        if (!(problem instanceof MaraError) || problem.code !== "CUDA_UNAVAILABLE") throw problem;
        // Where a CUDA build is there but no device answers, the loader has taken the CPU's file instead.
        const unused = loadedAddon().failures.find(({cuda}) => cuda);
        const reason =
            unused === undefined
                ? `${problem.message}. Build it with \`npm run build:cuda\` in a clone`
                : `${unused.path}: ${unused.reason}. Check the driver with nvidia-smi`;
        throw new MaraError("CUDA_UNAVAILABLE", `${reason}, or ask for device "auto" or "cpu".`, {cause: error});
    }
}

const reported = new WeakSet<NativeAgent>();

/** Warns once per agent that its device failed. The CPU has answered in its place and goes on doing so. */
export function reportDeviceFailure(handle: NativeAgent): void {
    if (handle.deviceFailure === undefined || reported.has(handle)) return;
    reported.add(handle);
    process.emitWarning(
        `The agent goes on computing on the CPU, because its CUDA device failed: ${handle.deviceFailure}`,
        {
            type: "MaraWarning",
            code: "CUDA_FAILED"
        }
    );
}

const warned = new Set<string>();

/** Warns once per reason that an agent stays on the CPU although a CUDA device is there. */
export function reportNotMoved(error: unknown): void {
    const message = `The agent computes on the CPU: ${(error as Error).message}`;
    if (warned.has(message)) return;
    warned.add(message);
    process.emitWarning(message, {type: "MaraWarning", code: error instanceof MaraError ? error.code : "CUDA_FAILED"});
}
