/** The presets of a training run, and what each chooses besides the constants. docs/training.md compares them. */

import type {PromptFormat} from "../prompts/prompts.js";

/** "default": values of this package; "paper": what the authors' script runs; "small": the default's for some hundred episodes on a CPU. */
export const presets = ["default", "paper", "small"] as const;
export type Preset = (typeof presets)[number];

export const baselines = ["none", "constant", "raw-response"] as const;
export const penalties = ["kl", "abs", "mse", "full", "divergence"] as const;
export const alphaLosses = ["log-alpha", "alpha"] as const;
export type AlphaLoss = (typeof alphaLosses)[number];
export const probabilitySets = ["candidates", "vocabulary"] as const;

export interface Choices {
    /** What is taken off the reward. Default "raw-response"; of "paper" "constant". */
    baseline: (typeof baselines)[number];
    /** How leaving the model's distribution is counted. Default "kl". */
    penalty: (typeof penalties)[number];
    /** True if every accepted token gets the reward, discounted. Default true. */
    postBack: boolean;
    /** True if the entropy temperature α is learnt. Default true. */
    automaticAlpha: boolean;
    /** True for critics that share one LayerNorm and are clipped together. Default false; of "paper" true. */
    sharedCritics: boolean;
    /** What log α descends: log α · (H − H*), or α · (H − H*). Default "log-alpha"; of "paper" "alpha". */
    alphaLoss: AlphaLoss;
    /** True if a batch may hold a transition twice. Default true; of "paper" false. */
    replacement: boolean;
    /** What the penalty's log-probabilities of the model are normalised over. Default "candidates"; of "paper" "vocabulary". */
    probabilitiesOver: (typeof probabilitySets)[number];
    /** True if episodes accept the candidate tried last when they reach it. Default false; of "paper" true. */
    lastAccepted: boolean;
    /** How prompts are put to the model, where they name no format themselves. Default "session"; of "paper" "template". */
    promptFormat: PromptFormat;
}

const byDefault: Choices = {
    baseline: "raw-response",
    penalty: "kl",
    postBack: true,
    automaticAlpha: true,
    sharedCritics: false,
    alphaLoss: "log-alpha",
    replacement: true,
    probabilitiesOver: "candidates",
    lastAccepted: false,
    promptFormat: "session"
};

const paper: Choices = {
    ...byDefault,
    baseline: "constant",
    sharedCritics: true,
    alphaLoss: "alpha",
    replacement: false,
    probabilitiesOver: "vocabulary",
    lastAccepted: true,
    promptFormat: "template"
};

export function choicesOf(preset: Preset): Readonly<Choices> {
    return preset === "paper" ? paper : byDefault;
}

export const choiceNames = Object.keys(byDefault) as (keyof Choices)[];
