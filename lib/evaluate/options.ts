import type {Llama, LlamaModel} from "node-llama-cpp";
import {z} from "zod";
import type {MaraAgent} from "../agent/agent.js";
import {type CandidateOptions, candidateSchema} from "../align/candidate-options.js";
import {type AlignedContextOptions, type Mode, modeSchema, wavesSchema} from "../align/context-options.js";
import type {ModelGuide} from "../align/guides/model-guide.js";
import {type GuideSpec, guideOf, readGuide} from "../align/guides/spec.js";
import {
    type AlignerSettings,
    type CascadeOption,
    cascadeSchema,
    type Order,
    orderSchema,
    resolveSettings,
    type Strategy,
    settingsInForce,
    strategySchema
} from "../align/options.js";
import type {Combine} from "../align/steer/panel.js";
import {invalidArgument} from "../errors.js";
import {type Prompt, type PromptFormat, promptFormats} from "../prompts/prompts.js";
import {type QueueOptions, queueSchema} from "../queue/options.js";
import {type RewardOptions, type RewardSpec, rewardOptionsSchema, rewardSchema} from "../rewards/open.js";
import {check, options} from "../validation/check.js";
import {
    anyText,
    boolean,
    finiteAboveZero,
    func,
    integer,
    llama,
    numberIn,
    oneOf,
    path,
    seed,
    signal
} from "../validation/schemas.js";
import {agentSource, modelFields, modelOf, promptsSource} from "../validation/sources.js";

/** Sampling of "raw-sampled" and "bon:N", whatever the agent was trained with. */
export interface EvaluationSampling {
    /** Above 0. Default 0.8. */
    temperature?: number;
    /** Default 0.95. */
    topP?: number;
    /** Default 40. */
    topK?: number;
}

/** What `evaluate` takes. */
export interface EvaluateOptions {
    /** A .gguf file, or a model that stays the caller's. `modelPath` is another name for it. */
    model?: string | LlamaModel;
    modelPath?: string;
    /** An agent file, or an agent that stays the caller's. */
    agent: string | MaraAgent;
    /** A file for `loadPrompts`, or the prompts; a string among them is a prompt without a system prompt. */
    prompts: string | readonly (Prompt | string)[];
    /** At least one. The first chooses for "bon:N" and judges the threshold dial. */
    rewards: readonly RewardSpec[];
    /** Names, models and folders that the rewards' texts refer to. */
    rewardOptions?: RewardOptions;
    /**
     * The sides that the aligned answers are compared with: "raw" (greedy), "raw-sampled", "bon:N" (the best of N samples by the first
     * reward), "aligner:FILE.gguf" (rewrites the raw answer), "agent:FILE" (another agent), "model:FILE.gguf" (another model
     * with the same agent), "agents:FILE=WEIGHT,FILE=WEIGHT" (several agents by the weighted mean; "agents:all,FILE,FILE" and "agents:any,FILE,FILE"
     * by the other combinations), "grid:N:FILE,FILE" (two agents at N pairs of weights from 1 and 0 to 0 and 1),
     * "guide:GUIDE" (the model with a guide and no agent, greedy; GUIDE is "value:tuned=FILE,base=FILE,weight=1", "contrast:amateur=FILE,weight=0.5"
     * or "guidance:scale=1.5,negativePrompt=TEXT"). Default ["raw"].
     */
    against?: readonly string[];
    /** Longest answer, in tokens. Default 256. */
    maxTokens?: number;
    /** Threshold of the aligned side and of "agent:" and "model:". Default: as each agent was trained, else 0.5. */
    threshold?: number;
    /** The threshold dial: the aligned side also answers at each of these, and is compared with the first of `against`. Default none. */
    thresholds?: readonly number[];
    /** Candidate options of the same sides. Default: as each agent was trained, else as in `createAlignedContext`. */
    candidates?: CandidateOptions;
    /** Default "first". */
    strategy?: Strategy;
    /** Default "best-first". */
    order?: Order;
    /** Rank of the candidate emitted when none is accepted. Default 0. */
    fallbackIndex?: number;
    /** How candidates are evaluated, as in `createAlignedContext`. Default "auto". */
    mode?: "auto" | Mode;
    /** How prompts are put to the models, where they name no format themselves. Default: as the agent was trained (`mara.promptFormat`), else "session". */
    promptFormat?: PromptFormat;
    /** Whether agents' students decide in their place, as in `createAlignedContext`. Default "off": what is measured is the agent. */
    cascade?: CascadeOption;
    /** Wave sizes. They are fixed, so that the tokens that share a batch do not depend on time (see `answerAll`). Default [1, 3, 12]. */
    waves?: readonly number[];
    /** How "raw-sampled" and "bon:N" draw. */
    sampling?: EvaluationSampling;
    /** Seed of everything sampled, from 0 to 2^32 − 1. Default 0. */
    seed?: number;
    /** Prompts answered at a time. The answers depend on it, by rounding. Default 4. */
    sequences?: number;
    /** Threads of the models on the CPU. Default: node-llama-cpp's choice. */
    threads?: number;
    /** Tokens of each sequence. Default: what the longest prompt and answer need. */
    contextSize?: number;
    /** True to measure the perplexity of every answer under `model`. Default true. */
    fluency?: boolean;
    /** Scores that differ by no more than this are ties. Default 0. */
    tieMargin?: number;
    /** The prompt that "aligner:" is given, with {question} and {answer}. Default: the Aligner paper's. */
    alignerTemplate?: string;
    /**
     * Answers and scores are saved here as they come, with result.json and report.html in the end. Answers of the same evaluation
     * that are there already are not made again. Default: nothing is saved.
     */
    runDirectory?: string;
    /** Loads the models. Default: an instance of its own. */
    llama?: Llama;
    /**
     * Workers (`mara worker`) give the answers in place of this process: the same bits, on machines of the same kind. Needs the packages
     * bullmq and ioredis. See docs/queue.md.
     */
    queue?: string | QueueOptions;
    /** Called as the evaluation goes on. Its first failure is told as a warning; none disturbs the evaluation. */
    onProgress?: (progress: EvaluationProgress) => unknown;
    /** Ends the evaluation: it rejects with the signal's reason. */
    signal?: AbortSignal;
}

/** What `onProgress` of an evaluation is told. */
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

/** Aligner's own template (Ji et al., NeurIPS 2024, and the reference implementation of MARA). */
export const alignerTemplate =
    "BEGINNING OF CONVERSATION: USER: Edit the following Question-Answer pair to make it more helpful and harmless: " +
    "{question} | {answer} ASSISTANT:";

/** Options with every default filled in, for one agent. */
export interface EvaluationSettings {
    against: Opponent[];
    maxTokens: number;
    threshold: number;
    thresholds: number[];
    aligned: Required<
        Pick<AlignedContextOptions, "strategy" | "order" | "fallbackIndex" | "mode" | "waves" | "cascade">
    > & {
        candidates: Required<CandidateOptions>;
    };
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
    | {kind: "agents"; name: string; combine: Combine; agents: {path: string; weight: number}[]}
    | {kind: "raw" | "raw-sampled"; name: string}
    | {kind: "bon"; name: string; samples: number}
    | {kind: "aligner" | "agent" | "model"; name: string; path: string}
    | {kind: "guide"; name: string; spec: GuideSpec; guide: ModelGuide};

const schema = options({
    ...modelFields,
    agent: agentSource,
    prompts: promptsSource("a file or at least one prompt"),
    rewards: z.array(rewardSchema, "at least one reward").min(1, "at least one reward"),
    rewardOptions: rewardOptionsSchema.optional(),
    against: z.array(z.string("a text"), "at least one").min(1, "at least one").default(["raw"]),
    maxTokens: integer(1, 1_000_000).default(256),
    threshold: numberIn(0, 1).optional(),
    thresholds: z.array(numberIn(0, 1), "an array of numbers in [0, 1]").default([]),
    candidates: candidateSchema.optional(),
    strategy: strategySchema.default("first"),
    order: orderSchema.default("best-first"),
    fallbackIndex: integer(0).default(0),
    mode: modeSchema.default("auto"),
    promptFormat: oneOf(promptFormats).optional(),
    cascade: cascadeSchema.default("off"),
    waves: wavesSchema.default([1, 3, 12]),
    sampling: options({
        temperature: finiteAboveZero.default(0.8),
        topP: numberIn(0, 1).default(0.95),
        topK: integer(1).default(40)
    }).prefault({}),
    seed: seed.default(0),
    sequences: integer(1, 256).default(4),
    threads: integer(1, 1024).optional(),
    contextSize: integer(8, 100_000_000).optional(),
    fluency: boolean.default(true),
    tieMargin: z.number("a finite number from 0").min(0, "a finite number from 0").default(0),
    alignerTemplate: anyText.includes("{answer}", {error: "a text with {answer}"}).default(alignerTemplate),
    runDirectory: path().optional(),
    llama: llama.optional(),
    queue: queueSchema.optional(),
    onProgress: func<(progress: EvaluationProgress) => unknown>().optional(),
    signal: signal.optional()
});

/** @throws MaraError INVALID_ARGUMENT */
export function resolveOptions(given: EvaluateOptions): {
    model: string | LlamaModel;
    options: EvaluateOptions;
    settingsFor: (agent: MaraAgent) => EvaluationSettings;
} {
    const checked = check(schema, given, "options", "");
    const model = modelOf(checked);
    const {strategy, order, fallbackIndex, mode, waves, cascade} = checked;
    const givenSettings = {
        candidates: checked.candidates ?? {},
        threshold: checked.threshold
    } as Partial<AlignerSettings>;
    const {maxTokens, sampling, seed, sequences, threads, contextSize, fluency, tieMargin} = checked;
    const settings = {
        against: [...new Set(checked.against.flatMap(inGrid))].map(parseOpponent),
        maxTokens,
        thresholds: [...new Set(checked.thresholds)].sort((a, b) => a - b),
        sampling,
        seed,
        sequences,
        threads,
        contextSize,
        fluency,
        tieMargin,
        alignerTemplate: checked.alignerTemplate
    };
    const settingsFor = (agent: MaraAgent): EvaluationSettings => {
        const {threshold, candidates} = settingsInForce(resolveSettings({...givenSettings, agent}));
        return {...settings, threshold, aligned: {candidates, strategy, order, fallbackIndex, mode, waves, cascade}};
    };
    return {model, settingsFor, options: {...checked, prompts: given.prompts} as EvaluateOptions};
}

function parseOpponent(name: string): Opponent {
    const [kind, ...rest] = String(name).split(":");
    const argument = rest.join(":");
    if ((kind === "raw" || kind === "raw-sampled") && rest.length === 0) return {kind, name};
    if (kind === "bon" && /^[1-9]\d{0,3}$/.test(argument)) return {kind, name, samples: Number(argument)};
    if (kind === "guide") {
        const spec = readGuide(argument, `against ${JSON.stringify(name)}`);
        return {kind, name, spec, guide: guideOf(spec)};
    }
    if ((kind === "aligner" || kind === "agent" || kind === "model") && argument !== "")
        return {kind, name, path: argument};
    const agents = kind === "agents" ? parseAgents(argument) : undefined;
    if (agents !== undefined) return {kind: "agents", name, ...agents};
    const known =
        "raw, raw-sampled, bon:N, aligner:FILE.gguf, agent:FILE, model:FILE.gguf, agents:FILE=WEIGHT,FILE=WEIGHT, grid:N:FILE,FILE or guide:GUIDE";
    throw invalidArgument("against", known, name);
}

/** The sides that "grid:N:FILE,FILE" stands for, or the name itself. */
function inGrid(name: string): string[] {
    const [, count, first, second] = /^grid:(\d{1,2}):([^,]+),([^,]+)$/.exec(name) ?? [];
    if (Number(count) < 2 || first === undefined) return [name];
    return Array.from({length: Number(count)}, (_, i) => {
        const weight = Number((1 - i / (Number(count) - 1)).toFixed(4));
        return `agents:${first}=${weight},${second}=${Number((1 - weight).toFixed(4))}`;
    });
}

/** "FILE=WEIGHT,FILE" with or without "all," or "any," before it; undefined if it is not of this form. */
function parseAgents(text: string): {combine: Combine; agents: {path: string; weight: number}[]} | undefined {
    const [first, ...rest] = text.split(",");
    const combine = first === "all" || first === "any" ? first : "weighted";
    const agents = (combine === "weighted" ? [first ?? "", ...rest] : rest).map((one) => {
        const [, path, weight = "1"] = /^(.+?)(?:=(\d+(?:\.\d+)?))?$/.exec(one) ?? [];
        return {path: path ?? "", weight: Number(weight)};
    });
    const isSound =
        agents.length >= 1 && agents.every(({path}) => path !== "") && agents.some(({weight}) => weight > 0);
    return isSound ? {combine, agents} : undefined;
}
