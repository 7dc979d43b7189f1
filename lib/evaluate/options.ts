import type {Llama, LlamaModel} from "node-llama-cpp";
import type {MaraAgent} from "../agent/agent.js";
import {
    type AlignedContextOptions,
    type CandidateOptions,
    type Mode,
    maxTopK,
    type Order,
    requireInteger,
    requireNumber,
    requireOneOf,
    type Strategy
} from "../align/options.js";
import {invalidArgument} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";
import type {RewardOptions, RewardSpec} from "../rewards/open.js";

/** Sampling of "raw-sampled" and "bon:N". Defaults: the aligner's candidate settings. */
export interface EvaluationSampling {
    /** Above 0. Default 0.8. */
    temperature?: number;
    /** Default 0.95. */
    topP?: number;
    /** Default 40. */
    topK?: number;
}

export interface EvaluateOptions {
    /** A .gguf file, or a model that stays the caller's. */
    model: string | LlamaModel;
    /** An agent file, or an agent that stays the caller's. */
    agent: string | MaraAgent;
    /** A file for `loadPrompts`, or the prompts. */
    prompts: string | readonly Prompt[];
    /** At least one. The first chooses for "bon:N" and judges the threshold dial. */
    rewards: readonly RewardSpec[];
    /** Names, models and folders that the rewards' texts refer to. */
    rewardOptions?: RewardOptions;
    /**
     * What the aligned answers are compared with: "raw" (greedy), "raw-sampled", "bon:N" (the best of N samples by the first
     * reward), "aligner:FILE.gguf" (rewrites the raw answer), "agent:FILE" (another agent), "model:FILE.gguf" (another model
     * with the same agent). Default ["raw"].
     */
    against?: readonly string[];
    /** Longest answer, in tokens. Default 256. */
    maxTokens?: number;
    /** Of the aligned side and of "agent:" and "model:". Default 0.5. */
    threshold?: number;
    /** The threshold dial: the aligned side at each of these as well, against the first of `against`. Default none. */
    thresholds?: readonly number[];
    candidates?: CandidateOptions;
    strategy?: Strategy;
    order?: Order;
    mode?: "auto" | Mode;
    /** Fixed, so that what shares a batch does not depend on time (see `answerAll`). Default [1, 3, 12]. */
    waves?: readonly number[];
    sampling?: EvaluationSampling;
    /** Default 0. */
    seed?: number;
    /** Prompts answered at a time. Part of what the answers depend on, by rounding. Default 4. */
    sequences?: number;
    /** Of the models on the CPU. Default: node-llama-cpp's choice. */
    threads?: number;
    /** Tokens of each sequence. Default: what the longest prompt and answer need. */
    contextSize?: number;
    /** Whether to measure the perplexity of every answer under `model`. Default true. */
    fluency?: boolean;
    /** Scores that differ by no more are ties. Default 0. */
    tieMargin?: number;
    /** What "aligner:" is asked, with {question} and {answer}. Default: the Aligner paper's. */
    alignerTemplate?: string;
    /**
     * Answers and scores are saved here as they come, with result.json and report.html in the end. What is there already, of the
     * same evaluation, is not done again. Default: nothing is saved.
     */
    runDirectory?: string;
    /** Loads the models. Default: an instance of its own. */
    llama?: Llama;
    onProgress?: (progress: EvaluationProgress) => void;
    /** Ends the evaluation: it rejects with the signal's reason. */
    signal?: AbortSignal;
}

export interface EvaluationProgress {
    /** Name of the side: "aligned", "threshold:0.3", or one of `against`. */
    side: string;
    phase: "answers" | "scores" | "fluency";
    done: number;
    total: number;
    /** Sides finished, and how many there are. */
    sidesDone: number;
    sides: number;
}

/** Aligner's own (Ji et al., NeurIPS 2024, and the reference implementation of MARA). */
export const alignerTemplate =
    "BEGINNING OF CONVERSATION: USER: Edit the following Question-Answer pair to make it more helpful and harmless: " +
    "{question} | {answer} ASSISTANT:";

/** Options with every default filled in. */
export interface Settings {
    against: Opponent[];
    maxTokens: number;
    threshold: number;
    thresholds: number[];
    aligned: Required<Pick<AlignedContextOptions, "candidates" | "strategy" | "order" | "mode" | "waves">>;
    sampling: Required<EvaluationSampling>;
    seed: number;
    sequences: number;
    threads: number | undefined;
    contextSize: number | undefined;
    fluency: boolean;
    tieMargin: number;
    alignerTemplate: string;
}

export type Opponent =
    | {kind: "raw" | "raw-sampled"; name: string}
    | {kind: "bon"; name: string; samples: number}
    | {kind: "aligner" | "agent" | "model"; name: string; path: string};

/** @throws MaraError INVALID_ARGUMENT */
export function resolveOptions(options: EvaluateOptions): Settings {
    if (typeof options !== "object" || options === null) throw invalidArgument("options", "an object", options);
    const {against = ["raw"], maxTokens = 256, threshold = 0.5, thresholds = [], seed = 0, sequences = 4} = options;
    if (!Array.isArray(options.rewards) || options.rewards.length === 0)
        throw invalidArgument("rewards", "at least one reward", options.rewards);
    if (!Array.isArray(against) || against.length === 0) throw invalidArgument("against", "at least one", against);
    requireInteger("maxTokens", maxTokens, 1, 1_000_000);
    requireNumber("threshold", threshold, 0, 1);
    for (const [i, value] of thresholds.entries()) requireNumber(`thresholds[${i}]`, value, 0, 1);
    requireInteger("seed", seed, 0, 2 ** 32 - 1);
    requireInteger("sequences", sequences, 1, 256);
    if (options.threads !== undefined) requireInteger("threads", options.threads, 1, 1024);
    if (options.contextSize !== undefined) requireInteger("contextSize", options.contextSize, 8, 100_000_000);
    const {temperature = 0.8, topP = 0.95, topK = 40} = options.sampling ?? {};
    if (!(Number.isFinite(temperature) && temperature > 0))
        throw invalidArgument("sampling.temperature", "a finite number above 0", temperature);
    requireNumber("sampling.topP", topP, 0, 1);
    requireInteger("sampling.topK", topK, 1, Number.MAX_SAFE_INTEGER);
    const {tieMargin = 0, alignerTemplate: template = alignerTemplate, waves = [1, 3, 12]} = options;
    if (!(Number.isFinite(tieMargin) && tieMargin >= 0))
        throw invalidArgument("tieMargin", "a finite number from 0", tieMargin);
    if (!template.includes("{answer}")) throw invalidArgument("alignerTemplate", "a text with {answer}", template);
    for (const [i, size] of waves.entries()) requireInteger(`waves[${i}]`, size, 1, maxTopK);
    const {candidates = {}, strategy = "first", order = "best-first", mode = "auto"} = options;
    requireOneOf("mode", mode, ["auto", "lanes", "serial"]);
    const opponents = [...new Set(against)].map(parseOpponent);
    return {
        against: opponents,
        maxTokens,
        threshold,
        thresholds: [...new Set(thresholds)].sort((a, b) => a - b),
        aligned: {candidates, strategy, order, mode, waves},
        sampling: {temperature, topP, topK},
        seed,
        sequences,
        threads: options.threads,
        contextSize: options.contextSize,
        fluency: options.fluency ?? true,
        tieMargin,
        alignerTemplate: template
    };
}

function parseOpponent(name: string): Opponent {
    const [kind, ...rest] = String(name).split(":");
    const argument = rest.join(":");
    if ((kind === "raw" || kind === "raw-sampled") && rest.length === 0) return {kind, name};
    if (kind === "bon" && /^[1-9]\d{0,3}$/.test(argument)) return {kind, name, samples: Number(argument)};
    if ((kind === "aligner" || kind === "agent" || kind === "model") && argument !== "")
        return {kind, name, path: argument};
    const known = "raw, raw-sampled, bon:N, aligner:FILE.gguf, agent:FILE or model:FILE.gguf";
    throw invalidArgument("against", known, name);
}
