/** A run's options as its parts take them. */
import {promptTokens} from "../../generation/prompt-tokens.js";
import type {LearnerOptions, Transitions} from "../learner/learner.js";
import type {TrainConfig} from "../options.js";
import {type RolloutOptions, type RolloutSource, Rollouts} from "../rollout/rollouts.js";
import type {TransitionOptions} from "../sac/transitions.js";
import {derivedSeed, use} from "../seeds.js";
import type {Job} from "./job.js";
import {pack, unpack} from "./segments.js";

export function learnerOptions(
    {config, model, warmStart}: Pick<Job, "config" | "model" | "warmStart">,
    learningRate = config.learningRate
): LearnerOptions {
    const {hidden1, hidden2, gamma, tau, initialAlpha, targetEntropy, automaticAlpha} = config;
    const {gradientClip, batchSize, replayCapacity, threads} = config;
    const {sharedCritics, criticLossScale, targetEvery, alphaLoss, replacement} = config;
    return {
        width: model.embeddingVectorSize,
        seed: derivedSeed(config.seed, use.learner),
        ...(warmStart === undefined ? {hidden1, hidden2} : {actor: warmStart}),
        ...{
            gamma,
            tau,
            learningRate,
            initialAlpha,
            targetEntropy,
            automaticAlpha,
            gradientClip,
            batchSize,
            replayCapacity
        },
        ...{sharedCritics, criticLossScale, targetEvery, alphaLoss, replacement},
        ...(threads === null ? {} : {threads})
    };
}

/** Leaves out sizes and parameters, which come from the restored state. */
export function restoredOptions({actor: _a, hidden1: _1, hidden2: _2, ...options}: LearnerOptions): typeof options {
    return options;
}

/** `contextSize`: tokens of the longest prompt and response together. */
export function rolloutOptions({config}: Pick<Job, "config">, contextSize: number): RolloutOptions {
    const {sequences, maxTokens, candidates, fallbackIndex, order, strategy, lastAccepted, probabilitiesOver, threads} =
        config;
    return {
        ...{sequences, maxTokens, candidates, contextSize, fallbackIndex, order, strategy, lastAccepted},
        probabilitiesOver,
        ...(threads === null ? {} : {threads})
    };
}

/** Rollouts in this process, or on workers. @throws MaraError those of `Rollouts.open` */
export async function openRollouts(
    {model, remote}: Pick<Job, "model" | "remote">,
    options: RolloutOptions
): Promise<RolloutSource> {
    return remote === undefined ? await Rollouts.open(model, options) : remote.rollouts(options);
}

export function longestPrompt({model, prompts}: Pick<Job, "model" | "prompts">): number {
    return prompts.reduce((longest, prompt) => Math.max(longest, promptTokens(model, prompt).length), 0);
}

export function transitionOptions({
    klCoefficient,
    penalty,
    gamma,
    postBack,
    order,
    fallbackIndex,
    lastAccepted
}: TrainConfig): Omit<TransitionOptions, "reward" | "baseline"> {
    return {klCoefficient, penalty, gamma, postBack, order, fallbackIndex, lastAccepted};
}

/** Transitions of several episodes as one segment. */
export function packTransitions(episodes: readonly Transitions[]): Uint8Array {
    const named = episodes.flatMap((episode, i) =>
        Object.entries(episode).map(([name, array]) => [`${i} ${name}`, array])
    );
    return pack(Object.fromEntries(named));
}

export function unpackTransitions(bytes: Uint8Array): Transitions[] {
    const episodes: Record<string, unknown>[] = [];
    for (const [key, array] of Object.entries(unpack(bytes))) {
        const [episode, name] = key.split(" ") as [string, string];
        const parts = episodes[Number(episode)];
        if (parts === undefined) episodes.push({[name]: array});
        else parts[name] = array;
    }
    return episodes as unknown as Transitions[];
}
