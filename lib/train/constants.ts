/** The numbers of a training run in one table: defaults, ranges and what they mean. Checks, command line and docs come from it. */

export interface Constant {
    readonly byDefault: number;
    /** The value that the authors' script runs with (`preset: "paper"`), where it differs. */
    readonly paper?: number;
    /** The value for a run of some hundred episodes on a CPU (`preset: "small"`), where it differs. */
    readonly small?: number;
    /** The value with `method: "advantage"`, where it differs. */
    readonly advantage?: number;
    readonly integer?: boolean;
    readonly min: number;
    readonly max: number;
    /** True if `min` itself is left out. */
    readonly above?: boolean;
    readonly help: string;
}

const count = {integer: true, min: 1, max: 1e9} as const;
const rate = {min: 0, above: true, max: 1} as const;

/** Constants of every run. */
const general = {
    seed: {byDefault: 0, integer: true, min: 0, max: 2 ** 32 - 1, help: "seed of everything drawn"},
    sequences: {...count, byDefault: 8, max: 256, help: "prompts answered side by side"},
    maxTokens: {...count, byDefault: 128, paper: 512, small: 48, max: 1e6, help: "longest response, in tokens"},
    hidden1: {...count, byDefault: 1024, small: 256, max: 65536, help: "units of the agent's first hidden layer"},
    hidden2: {...count, byDefault: 256, small: 64, max: 65536, help: "units of the agent's second hidden layer"},
    rewardTimeout: {byDefault: 60, min: 0, above: true, max: 86400, help: "seconds that a reward may take"},
    calibrationPrompts: {
        byDefault: 48,
        integer: true,
        min: 0,
        max: 1000,
        help: "held-out prompts, at most, on which the threshold is found; below 8 it is not"
    },
    rewardRetries: {byDefault: 2, integer: true, min: 0, max: 100, help: "further tries of a reward that failed"}
} as const;

/** Constants of `method: "sac"`. */
const sac = {
    episodes: {...count, byDefault: 10_000, paper: 21_000, small: 600, help: "responses to learn from"},
    gamma: {...rate, byDefault: 0.99, help: "discount per accepted token"},
    tau: {...rate, byDefault: 0.005, help: "share of the critics that their targets take over"},
    targetEvery: {...count, byDefault: 10, max: 1e6, help: "updates after which the targets move"},
    criticLossScale: {
        byDefault: 1,
        paper: 0.5,
        min: 0,
        above: true,
        max: 1e6,
        help: "factor of the critics' mean squared error"
    },
    learningRate: {...rate, byDefault: 3e-4, help: "Adam's, of actor, critics and temperature"},
    initialAlpha: {byDefault: 0.01, min: 0, above: true, max: 100, help: "entropy temperature at the start"},
    targetEntropy: {byDefault: 0.6 * Math.LN2, min: 0, max: Math.LN2, help: "entropy that the temperature aims at"},
    gradientClip: {byDefault: 0.5, min: 0, above: true, max: 1e6, help: "largest norm of a gradient"},
    batchSize: {...count, byDefault: 1024, small: 256, max: 65536, help: "transitions of an update"},
    replayCapacity: {...count, byDefault: 1_000_000, small: 200_000, help: "transitions kept"},
    learnAfter: {
        ...count,
        byDefault: 65_536,
        paper: 65_537,
        small: 1024,
        help: "transitions collected before the first update"
    },
    updatesPerEpisode: {...count, byDefault: 10, small: 20, max: 10_000, help: "updates for every episode"},
    klCoefficient: {
        byDefault: 0.1,
        min: 0,
        max: 1e6,
        help: "weight of the penalty for leaving the model's distribution"
    },
    rewardScale: {byDefault: 1, min: 0, above: true, max: 1e6, help: "factor of the reward"},
    baselineValue: {byDefault: 0, min: -1e9, max: 1e9, help: 'what baseline "constant" takes off the reward'},
    episodesPerBatch: {...count, byDefault: 16, paper: 7, max: 4096, help: "episodes rolled out by the same agent"},
    batchesAhead: {
        ...count,
        byDefault: 1,
        max: 64,
        help: "batches rolled out before the agent has learnt from the one before them"
    },
    fallbackIndex: {
        byDefault: 0,
        integer: true,
        min: 0,
        max: 255,
        help: "rank of the candidate emitted when none is accepted"
    },
    checkpointEvery: {...count, byDefault: 64, help: "episodes between checkpoints"},
    checkPrompts: {
        byDefault: 8,
        integer: true,
        min: 0,
        max: 1000,
        help: "held-out prompts, at most, that are answered greedily every so often"
    },
    checkEvery: {...count, byDefault: 128, help: "episodes between these answers"}
} as const;

/** Constants of `method: "preference"` alone. */
const preference = {
    pairsFromModel: {
        byDefault: 8,
        integer: true,
        min: 2,
        max: 256,
        help: "responses sampled for each prompt where no pairs are given"
    },
    weightDecay: {
        byDefault: 0.97,
        min: 0,
        above: true,
        max: 1,
        help: "a token's weight relative to the one before it, from where the two responses part"
    },
    weightFloor: {byDefault: 0.2, min: 0, max: 1, help: "least weight of a token behind that place"}
} as const;

/** Constants of `method: "preference"` and `"advantage"`: of their samples and of the fit. */
const fit = {
    samplePrompts: {...count, byDefault: 1_000_000, help: "most prompts for which responses are sampled"},
    sampleTemperature: {byDefault: 1, min: 0, above: true, max: 10, help: "temperature of the sampled responses"},
    epochs: {...count, byDefault: 20, max: 10_000, help: "most passes over what is learnt from"},
    patience: {
        ...count,
        byDefault: 3,
        max: 10_000,
        help: "epochs without improvement on what is held out before it stops"
    },
    heldOut: {byDefault: 0.1, min: 0, above: true, max: 0.9, help: "share of the prompts held out"},
    fitBatchSize: {...count, byDefault: 256, max: 65536, help: "tokens of a minibatch"},
    fitLearningRate: {...rate, byDefault: 3e-4, advantage: 1e-3, help: "Adam's"},
    acceptBias: {
        byDefault: 1,
        min: 0,
        above: true,
        max: 100,
        help: "weight of all accept labels over that of all reject labels"
    }
} as const;

/** Constants of `method: "advantage"` alone. */
const advantage = {
    samplesPerPrompt: {...count, byDefault: 8, max: 256, help: "responses sampled for each prompt"},
    creditDecay: {
        byDefault: 0.8,
        min: 0,
        max: 1,
        help: "credit of a token for what the next one earns, relative to what it earns itself"
    }
} as const;

export const constants: Readonly<Record<ConstantName, Constant>> = {
    ...general,
    ...sac,
    ...preference,
    ...fit,
    ...advantage
};
export const constantsOf = {general, sac, preference, fit, advantage} as const;
export type ConstantName =
    | keyof typeof general
    | keyof typeof sac
    | keyof typeof preference
    | keyof typeof fit
    | keyof typeof advantage;
export type Constants = Record<ConstantName, number>;
export const constantNames = Object.keys(constants) as ConstantName[];
