/** The options of a training run, checked and with every default filled in. */
import type {Llama, LlamaModel} from "node-llama-cpp";
import {z} from "zod";
import type {MaraAgent} from "../agent/agent.js";
import {type CandidateOptions, candidateSchema} from "../align/candidate-options.js";
import {type Order, orderSchema, resolveSettings, type Strategy, strategySchema} from "../align/options.js";
import {invalidArgument, MaraError} from "../errors.js";
import {type PreferencePair, type Prompt, promptFormats} from "../prompts/prompts.js";
import {type QueueOptions, queueSchema} from "../queue/options.js";
import {rewardSchema} from "../rewards/open.js";
import type {Reward, RewardFunction} from "../rewards/reward.js";
import {check, options} from "../validation/check.js";
import {boolean, func, integer, llama, oneOf, path, signal} from "../validation/schemas.js";
import {agentSource, modelFields, modelOf, pairsSource, promptsSource} from "../validation/sources.js";
import {type ConstantName, type Constants, constantNames, constants} from "./constants.js";
import {type Method, methodOf, methods, requireOwnOptions} from "./methods.js";
import {
    alphaLosses,
    baselines,
    type Choices,
    choiceNames,
    choicesOf,
    type Preset,
    penalties,
    presets,
    probabilitySets
} from "./presets.js";
import type {TrainProgress} from "./run/progress.js";

/** What `trainAgent` takes. docs/training.md has every number, with its default. */
export interface TrainOptions extends Partial<Constants>, Partial<Choices> {
    /** A GGUF file, which is then loaded and unloaded here, or a loaded model, which stays the caller's. */
    model?: string | LlamaModel;
    /** Another name for `model`, for a file. */
    modelPath?: string;
    /** With a file: the node-llama-cpp instance to load it with. Default: one of its own, on the CPU or GPU it picks. */
    llama?: Llama;
    /** A JSON or JSON Lines file, or the prompts themselves, of which strings have no system prompt. Not needed where `pairs` are given. */
    prompts?: string | readonly (Prompt | string)[];
    /** A reward by name (see docs/rewards.md) or a function. Not needed where `pairs` are given. */
    reward?: string | RewardFunction | Reward;
    /** Folder for everything that the run writes; made if it is not there. */
    runDirectory: string;
    /** Goes on with the run in `runDirectory`; options left out are those it was started with. */
    resume?: boolean;
    /**
     * `"sac"`: reinforcement learning on rollouts, the paper's. `"preference"`: offline, from pairs. `"advantage"`: from the model's own
     * responses, by what each token earned. Default: `"preference"` where pairs are given, else the method that an option given belongs to,
     * else `"sac"` with `preset: "paper"` or a `warmStart`, else `"advantage"`. A new run refuses options that its method does not have.
     */
    method?: Method;
    /**
     * Where options left out come from: values of this package, what the authors' script runs, or values for some hundred episodes on a CPU.
     * Default: what fits the hardware, "small" where the model runs on a CPU, else "default". Progress and summary say which it is.
     */
    preset?: Preset;
    /** An agent to start from: a file, the directory of a run, or the agent. Its hidden sizes win. */
    warmStart?: string | MaraAgent;
    /** Pairs for `method: "preference"`, or a file of them. Default: sampled from the model and ranked by the reward. */
    pairs?: string | readonly PreferencePair[];
    /** As in `createAlignedContext`. */
    candidates?: CandidateOptions;
    /** In which order episodes try the candidates. Default "best-first". */
    order?: Order;
    /** Which accepted candidate is taken where held-out prompts are answered; episodes take the first. Default "first". */
    strategy?: Strategy;
    /**
     * True if the agent gets a student in the end, which predicts its verdicts: fitted to the finished agent's verdicts on up to 4000
     * decisions that are generated for it. Default true. See `trainStudent`.
     */
    student?: boolean;
    /** Threads of the model and of the learner, each. Default: node-llama-cpp's choice for the model, the machine's for the learner, at most 8. */
    threads?: number;
    /** The question for `reward: "judge:…"`. */
    judgeQuestion?: string;
    /**
     * Workers (`mara worker`) make the responses, and read pairs, in place of this process, which learns. The outcome is the same, bit for bit, on
     * machines of the same kind. Needs the packages bullmq and ioredis. See docs/queue.md.
     */
    queue?: string | QueueOptions;
    /** Called as the run goes on. Its first failure is told as a warning; none disturbs the run. */
    onProgress?: (progress: TrainProgress) => unknown;
    /** Ends the run early: a checkpoint is written and the promise resolves with `completed: false`. */
    signal?: AbortSignal;
}

const choiceSchemas = {
    baseline: oneOf(baselines),
    penalty: oneOf(penalties),
    postBack: boolean,
    automaticAlpha: boolean,
    sharedCritics: boolean,
    alphaLoss: oneOf(alphaLosses),
    replacement: boolean,
    probabilitiesOver: oneOf(probabilitySets),
    lastAccepted: boolean,
    promptFormat: oneOf(promptFormats)
} satisfies Record<keyof Choices, z.ZodType>;

/** The settings that decide the outcome, and nothing else: plain data for config.json. */
export const configSchema = z.object({
    ...(Object.fromEntries(constantNames.map((name) => [name, z.number()])) as Record<ConstantName, z.ZodNumber>),
    /** Runs of earlier releases had no choice. */
    batchesAhead: z.number().default(1),
    method: z.enum(methods),
    preset: z.enum(presets),
    order: orderSchema,
    strategy: strategySchema,
    candidates: z.object({topK: z.number(), topP: z.number(), minP: z.number(), temperature: z.number()}),
    ...choiceSchemas,
    /** Runs of sac of earlier releases held out `checkPrompts` alone, and go on with the prompts that they began with. */
    holdsOutForCalibration: z.boolean().default(false),
    /** Runs of earlier releases made none. */
    student: z.boolean().default(false),
    threads: z.number().nullable(),
    judgeQuestion: z.string().nullable(),
    /** The reward's name; null without one. */
    reward: z.string().nullable(),
    /** True if the reward can be opened by that name, so that it need not be given again. */
    rewardByName: z.boolean()
});
/** The options of a run with every default filled in, as config.json holds them. */
export type TrainConfig = z.infer<typeof configSchema>;

const constantSchemas = Object.fromEntries(constantNames.map((name) => [name, constantSchema(name).optional()]));

const schema = options({
    ...(constantSchemas as Record<ConstantName, z.ZodOptional<z.ZodNumber>>),
    ...modelFields,
    llama: llama.optional(),
    prompts: promptsSource("a file or an array that is not empty").optional(),
    reward: rewardSchema.optional(),
    runDirectory: path(),
    resume: boolean.optional(),
    method: oneOf(methods).optional(),
    preset: oneOf(presets).optional(),
    warmStart: agentSource.optional(),
    pairs: pairsSource("a file or an array that is not empty").optional(),
    candidates: candidateSchema.optional(),
    ...z.object(choiceSchemas).partial().shape,
    order: orderSchema.optional(),
    strategy: strategySchema.optional(),
    student: boolean.optional(),
    threads: integer(1, 256).optional(),
    judgeQuestion: z.string("a string").optional(),
    queue: queueSchema.optional(),
    onProgress: func().optional(),
    signal: signal.optional()
});

/** Checks what is given, and nothing else. @throws MaraError INVALID_ARGUMENT */
export function checkOptions(given: TrainOptions): void {
    const {model, modelPath, resume} = check(schema, given, "options", "");
    if (model !== undefined || modelPath !== undefined) modelOf({model, modelPath});
    else if (!resume) throw invalidArgument("model", "a GGUF file or a loaded model", undefined);
}

/** Bounds that concern several options, or files, of a run that is begun. @throws MaraError INVALID_ARGUMENT */
export function checkTogether(options: TrainOptions, config: TrainConfig): void {
    const {prompts, reward, pairs} = options;
    if (config.method !== "preference" && pairs !== undefined)
        throw invalidArgument(
            "pairs",
            `no pairs with method "${config.method}" (train with "preference", then give that run as warmStart)`,
            pairs
        );
    if (pairs === undefined) {
        if (prompts === undefined) throw invalidArgument("prompts", "a file or an array of prompts", prompts);
        if (reward === undefined) throw invalidArgument("reward", "a reward's name or a function", reward);
    }
    if (config.batchSize > config.replayCapacity)
        throw invalidArgument("batchSize", `at most the replayCapacity of ${config.replayCapacity}`, config.batchSize);
    if (config.learnAfter > config.replayCapacity)
        throw invalidArgument(
            "learnAfter",
            `at most the replayCapacity of ${config.replayCapacity}`,
            config.learnAfter
        );
}

function constantSchema(name: ConstantName): z.ZodNumber {
    const {integer, min, max, above} = constants[name];
    const expected = rangeOf(name);
    const number = integer ? z.int(expected) : z.number(expected);
    return (above ? number.gt(min, expected) : number.min(min, expected)).max(max, expected);
}

/** "an integer from 1 to 100", "a number in (0, 1]". */
export function rangeOf(name: ConstantName): string {
    const {integer, min, max, above} = constants[name];
    return integer ? `an integer from ${min} to ${max}` : `a number in ${above ? "(" : "["}${min}, ${max}]`;
}

/** The preset that fits the hardware of a model. */
export function fittingPreset({gpu}: Llama): Preset {
    return gpu === false ? "small" : "default";
}

/**
 * The configuration of a new run. `fitting`: the preset where the options name none.
 * @throws MaraError INVALID_ARGUMENT, also for an option that the run's method does not have
 */
export function resolveConfig(options: TrainOptions, fitting: Preset = "default"): TrainConfig {
    const config = fillIn(options, fitting);
    requireOwnOptions(options, config.method);
    return config;
}

function fillIn(options: TrainOptions, fitting: Preset): TrainConfig {
    checkOptions(options);
    const {method = methodOf(options), preset = fitting, order = "best-first", strategy = "first", reward} = options;
    const values = constantNames.map((name) => [name, options[name] ?? defaultOf(name, preset, method)] as const);
    const byDefault = choicesOf(preset);
    const choices = choiceNames.map((name) => [name, options[name] ?? byDefault[name]] as const);
    const {topK, topP, minP, temperature} = resolveSettings({
        candidates: {
            ...(preset === "small" ? {topK: 10} : {}),
            // A decisive agent goes far down the list for a good word; improbable ones would cost fluency.
            ...(method === "advantage" ? {minP: 0.1} : {}),
            ...options.candidates
        }
    });
    return {
        ...(Object.fromEntries(values) as Constants),
        method,
        preset,
        candidates: {topK, topP, minP, temperature},
        ...(Object.fromEntries(choices) as unknown as Choices),
        order,
        strategy,
        holdsOutForCalibration: true,
        student: options.student ?? true,
        threads: options.threads ?? null,
        judgeQuestion: options.judgeQuestion ?? null,
        reward: reward === undefined ? null : rewardName(reward),
        rewardByName: typeof reward === "string"
    };
}

function defaultOf(name: ConstantName, preset: Preset, method: Method): number {
    const constant = constants[name];
    const ofMethod = method === "advantage" ? constant.advantage : undefined;
    return (preset === "default" ? undefined : constant[preset]) ?? ofMethod ?? constant.byDefault;
}

function rewardName(reward: string | RewardFunction | Reward): string {
    return typeof reward === "string" ? reward : reward.name || "function";
}

/** Options that may differ when a run is taken up again: they change how far or how fast the run goes. */
const mayChange = new Set<string>(["threads", "episodes", "checkpointEvery", "rewardTimeout"]);

/**
 * The configuration to go on with: that of the run, with what may be changed.
 * @throws MaraError RUN_CHANGED naming the first option that differs
 */
export function resumeConfig(options: TrainOptions, saved: TrainConfig): TrainConfig {
    checkOptions(options);
    const config = {...saved} as Record<string, unknown>;
    const given = fillIn(options, saved.preset) as unknown as Record<string, unknown>;
    for (const key of Object.keys(saved)) {
        const option = (options as unknown as Record<string, unknown>)[key];
        if (option === undefined || key === "rewardByName") continue;
        const value = key === "candidates" ? {...saved.candidates, ...(option as object)} : given[key];
        if (JSON.stringify(value) === JSON.stringify(config[key])) continue;
        if (!mayChange.has(key))
            throw new MaraError(
                "RUN_CHANGED",
                `The run was started with ${key} ${JSON.stringify(config[key])} and cannot go on with ${JSON.stringify(value)}. ` +
                    "Leave the option out, or start a new run in another directory."
            );
        config[key] = value;
    }
    return config as unknown as TrainConfig;
}
