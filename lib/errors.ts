import {visible} from "./visible.js";

/**
 * Every way in which this package can refuse or fail, with a stable code.
 * A test checks the table in docs/errors.md against this object.
 */
export const maraErrorCodes = {
    INVALID_ARGUMENT: "An option or argument is outside its documented range.",
    AGENT_NOT_FOUND: "The agent file does not exist or cannot be read.",
    AGENT_FORMAT:
        "The agent file is neither a readable .safetensors nor a readable .pth file, or it is a value network.",
    AGENT_UNSAFE_PICKLE:
        "The .pth file asks for an opcode or a global that a state dict does not need. Nothing of it was executed.",
    AGENT_TENSORS: "A tensor of the agent is missing, unknown, of a wrong shape or dtype, or holds NaN or Inf.",
    AGENT_DISPOSED: "The agent was disposed and is used again.",
    AGENT_WIDTH: "The agent's width differs from the model's embedding size, or from the states it is given.",
    MODEL_NOT_FOUND: "The model file does not exist.",
    MODEL_UNSUPPORTED:
        "The model cannot be loaded, its file's header reaches beyond the file, or cannot be aligned: it does not generate, or llama.cpp does not give its hidden states.",
    UNSUPPORTED_VERSION: "The installed node-llama-cpp lacks an internal part that alignment stands on.",
    LANES_UNAVAILABLE: "Lanes were asked for, and node-llama-cpp's memory layout or version could not be verified.",
    LANES_LIMIT: "More lanes than llama.cpp or the batch size allows.",
    NATIVE_ADDON: "The native addon is missing or cannot be loaded.",
    CUDA_UNAVAILABLE:
        "CUDA was asked for, and this machine has no CUDA build of the addon, no driver or no device that answers.",
    CUDA_FAILED: "A CUDA call failed, or the CUDA kernel does not take this agent on this device.",
    CONTEXT_FAILED: "node-llama-cpp could not create a context: no memory, or options that do not go together.",
    JUDGE_FAILED:
        "A judge of the caller's own threw, took too long, or did not give one probability for each candidate.",
    GUIDE_FAILED: "A guide threw, took too long, left no token or a logit that is no number, or its model is disposed.",
    VALUE_NETWORK:
        "A file is no value network, or one for a model of another width; or there is too little to train one on.",
    GUIDE_VOCABULARY: "The model of a guide has a vocabulary that does not fit that of the guided model.",
    DECODE_FAILED: "llama.cpp refused a decode.",
    SEQUENCE_CHANGED: "A sequence was cleared, cut or loaded while a token of it waited to be decoded.",
    ALIGNER_DISPOSED: "The aligner was disposed and is used again.",
    PROMPTS_NOT_FOUND: "The file of prompts or pairs does not exist, is no regular file, or cannot be read.",
    PROMPTS_FORMAT: "A line or an item of a file of prompts or pairs is not what it should be; the message names it.",
    REWARD_SPEC: "The text that specifies a reward cannot be understood; the message points at the place.",
    REWARD_LOAD: "A file that a reward needs is missing or does not fit: a module, a model, a score head.",
    REWARD_FAILED: "A reward threw, took longer than it may, or returned no finite score, or one beyond ±1e30.",
    LEARNER_STATE: "The saved state of a learner is damaged or belongs to a learner of other sizes.",
    LEARNER_EMPTY: "A learner was asked to update before it was given transitions.",
    LEARNER_DIVERGED: "A gradient is not finite: the learning rate or the rewards are too large.",
    LEARNER_BUSY: "A learner's parameters were asked for while it updates.",
    LEARNER_DISPOSED: "The learner was disposed and is used again, or was disposed before it had finished.",
    RUN_DIRECTORY: "The directory of a training run is not empty, or there is no run in it to go on with.",
    RUN_BUSY: "Another process, or another call of this one, is at work in the run's directory.",
    RUN_CHANGED: "A run cannot go on: an option, the model or another input differs from what it was started with.",
    RUN_DAMAGED: "A file of a run is missing or is not as it was written.",
    PAIRS_TOO_FEW:
        "There are too few prompts or pairs to learn from some and hold out others, or their responses are all worth the same.",
    MEASURE_TIMEOUT: "The model or the reward is too slow to measure in a minute how long a training run takes.",
    STUDENT_TOO_FEW: "There are too few prompts or decisions to train a student from some and hold out others.",
    SERVER_LISTEN: "The server cannot listen on its address: the port is in use, or the host is not this machine's.",
    QUEUE_MISSING:
        "A queue was asked for, and the optional packages that it needs are not installed; the message names them.",
    QUEUE_CONNECTION: "Redis does not answer at the queue's address, or refuses the password.",
    QUEUE_JOB: "A job failed on every worker that tried it, or a result is not what was asked for.",
    WRITE_FAILED: "A file could not be written. The previous file, if any, is untouched."
} as const;

/** The code of a `MaraError`: a key of `maraErrorCodes`. */
export type MaraErrorCode = keyof typeof maraErrorCodes;

/** The one error class of this package. `code` is stable across versions; `message` names the value and the fix. */
export class MaraError extends Error {
    readonly code: MaraErrorCode;

    constructor(code: MaraErrorCode, message: string, options?: ErrorOptions) {
        // Messages quote from files, and an uncaught one goes to a terminal as it is.
        super(visible(message, {lines: true}), options);
        this.name = "MaraError";
        this.code = code;
    }
}

/** The invalid-argument error in the one wording used everywhere; `hint` follows what was received. */
export function invalidArgument(name: string, expected: string, received: unknown, hint = ""): MaraError {
    const message = `Expected ${expected} for ${name} but received ${describe(received)}${hint}`;
    return new MaraError("INVALID_ARGUMENT", message);
}

/** The reason in words, from anything that was thrown. */
export function reasonOf(error: unknown): string {
    try {
        return error instanceof Error ? error.message : String(error);
    } catch {
        return "it threw what cannot be shown";
    }
}

export function agentDisposed(): MaraError {
    return new MaraError("AGENT_DISPOSED", "The agent is disposed. Load it again.");
}

/** node-llama-cpp's own errors say neither whose they are nor what to do. */
export function decodeFailure(error: unknown): MaraError {
    if (error instanceof MaraError) return error;
    return new MaraError("DECODE_FAILED", `The context could not answer: ${reasonOf(error)}`, {cause: error});
}

/** Longest text shown of a received value, in characters. */
const longestShown = 100;

function describe(value: unknown): string {
    if (typeof value === "string")
        return JSON.stringify(value.length > longestShown ? `${value.slice(0, longestShown)}…` : value);
    if (typeof value === "function") return "a function";
    if (typeof value === "bigint") return `${String(value).slice(0, longestShown)}n`;
    if (value === null || typeof value !== "object") return String(value);
    try {
        const name = String(value.constructor?.name ?? "object").slice(0, longestShown);
        return ArrayBuffer.isView(value)
            ? `${name}(${(value as unknown as {length?: number}).length ?? value.byteLength})`
            : name;
    } catch {
        // A proxy or a getter of the caller's threw.
        return "object";
    }
}
