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
    baseline: (typeof baselines)[number];
    penalty: (typeof penalties)[number];
    postBack: boolean;
    automaticAlpha: boolean;
    sharedCritics: boolean;
    alphaLoss: AlphaLoss;
    replacement: boolean;
    probabilitiesOver: (typeof probabilitySets)[number];
    lastAccepted: boolean;
    /** How prompts are put to the model, where they name no format themselves. */
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
