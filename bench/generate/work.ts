import type {Spread} from "../harness/statistics.js";

export type GenerateMode = "plain" | "lanes" | "serial";

/** The specification that a generate worker is started with. */
export interface GenerateWork {
    task: "generate";
    modelPath: string;
    mode: GenerateMode;
    /** Path of the agent; for the aligned modes. */
    agentPath?: string;
    sequences: number;
    /** node-llama-cpp's `InputLookupTokenPredictor` on every sequence. */
    predictor: boolean;
    /** Prompts of which a text that goes on copies (`copyingPrompt`). */
    copying: boolean;
    /** Tokens that each sequence generates. */
    tokens: number;
    contextSize: number;
    threads: number;
    /** Tokens of the long prompt; 0: prefill is not measured. */
    prefillTokens: number;
}

export interface MemoryUse {
    /** Resident memory, and the part of it that no file backs (the model is mapped), in bytes. */
    rss: number;
    anonymous: number;
}

export interface GenerateResult {
    tokensPerSecond: number;
    /** Processor time of the process per generated token. */
    processorMs: number;
    decodesPerToken: number;
    /** `batches[n]`: decodes of n tokens, per generated token. */
    batches: Record<number, number>;
    /** Share of the decisions that emitted the top candidate by acceptance. */
    topAcceptance: number | null;
    /** Milliseconds per token, as the aligner counts them. */
    time: {decode: number; kernel: number; rest: number} | null;
    prefillTokensPerSecond: number | null;
    memory: {model: MemoryUse; ready: MemoryUse; end: MemoryUse};
    /** Known sizes in bytes. */
    sizes: {packed: number; loaded: number; laneCells: number; laneRows: number};
    /** The first sequence's prompt. */
    prompt: number[];
    /** The tokens generated, per sequence. */
    texts: number[][];
}

/** Builds agents that accept the top candidate at given rates. */
export interface CalibrateWork {
    task: "calibrate";
    modelPath: string;
    rates: readonly number[];
    /** Where to write the agents, as `<rate>.safetensors`. */
    folder: string;
    tokens: number;
    contextSize: number;
    threads: number;
}

/** Measures what a decode costs by batch size, on a stock context. */
export interface CostsWork {
    task: "costs";
    modelPath: string;
    sizes: readonly number[];
    /** Tokens in the cache. */
    depth: number;
    repetitions: number;
    contextSize: number;
    threads: number;
}

/** Milliseconds by batch size. */
export type Costs = Record<number, Spread>;

/** One per sequence. */
export const prompts = [
    "The guest house at the harbour has seven rooms, and the largest of them",
    "Once upon a time, in a village at the foot of a mountain, there lived",
    "To make good bread you need flour, water, salt and time. First",
    "The history of the steam engine begins with",
    "Dear Sir or Madam, I am writing to you because my parcel",
    "A computer program is a sequence of instructions that",
    "In spring the river rises, and the people who live near it",
    "Three things are important when you learn a language:"
] as const;

/** A text three times over, the last time begun only. */
export const copyingPrompt = (() => {
    const text =
        "The harbour has a guest house with seven rooms. The largest of them looks out over the water, and costs eighty a night. " +
        "Breakfast is from seven to ten. Guests may leave their boats at the pier, and the keeper, whose name is Anna, has the keys. " +
        "In winter the house is closed, except for the week before the new year.\n\n";
    return `${text}${text}${text.slice(0, 40)}`;
})();
