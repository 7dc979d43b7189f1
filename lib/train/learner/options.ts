/** Options of a learner, their defaults and checks. */
import {availableParallelism} from "node:os";
import {z} from "zod";
import type {AgentTensor} from "../../agent/agent.js";
import type {NativeLearnerOptions} from "../../native-learners.js";
import {check} from "../../validation/check.js";
import {boolean, finiteAboveZero, oneOf} from "../../validation/schemas.js";
import {constants} from "../constants.js";
import {type AlphaLoss, alphaLosses, choicesOf} from "../presets.js";

export interface LearnerOptions {
    /** Embedding size D of the language model. */
    width: number;
    /** Seeds initial weights and sampling: a whole number from 0 to 2^53 − 1. Default 0. */
    seed?: number;
    /** Size of the first hidden layer. Default: that of `actor`, else 1024. */
    hidden1?: number;
    /** Size of the second hidden layer. Default: that of `actor`, else a quarter of `hidden1`. */
    hidden2?: number;
    /** The actor to start from, as `MaraAgent.tensors()` gives it. Default: random weights. Critics are random in any case. */
    actor?: Readonly<Record<string, AgentTensor>>;
    /** Discount of the next state's value, 0 to 1. Default 0.99. */
    gamma?: number;
    /** How far the targets move towards the critics whenever they move, 0 to 1. Default 0.005. */
    tau?: number;
    /** Adam's learning rate for actor, critics and α. Default 3e-4. */
    learningRate?: number;
    /** For the actor alone. Default: `learningRate`. */
    actorLearningRate?: number;
    /** For the critics alone. Default: `learningRate`. */
    criticLearningRate?: number;
    /** For log α alone. Default: `learningRate`. */
    alphaLearningRate?: number;
    /** Temperature α at the beginning, above 0. Default 0.01. */
    initialAlpha?: number;
    /** Entropy in nats that α is steered by. Default 0.6 · log 2. */
    targetEntropy?: number;
    /** True if α is learnt. Default true. */
    automaticAlpha?: boolean;
    /** Largest norm of a network's gradient; a longer one is shortened to it. `Infinity` shortens none. Default 0.5. */
    gradientClip?: number;
    /** Transitions per update. Default 1024. */
    batchSize?: number;
    /** Transitions kept; older ones are forgotten. Memory grows with their number. Default 1 000 000. */
    replayCapacity?: number;
    /** True if both critics share one LayerNorm, and the norm of both gradients together is clipped. Default false. */
    sharedCritics?: boolean;
    /** Factor of a critic's mean squared error, above 0. It matters where gradients are clipped. Default 1. */
    criticLossScale?: number;
    /** Updates after which the targets move. Default 10. */
    targetEvery?: number;
    /** What log α descends: log α · (H − H*) or α · (H − H*), with the policy's entropy H. Default "log-alpha". */
    alphaLoss?: AlphaLoss;
    /** False: no transition twice in a batch, which is then at most as large as the replay. Default true. */
    replacement?: boolean;
    /** Threads of an update, 1 to 256; results do not depend on it. Default: the machine's, at most 8. */
    threads?: number;
}

/** The hidden sizes of the actor given, if any. */
interface Sizes {
    hidden1: number;
    hidden2: number;
}

/** @throws MaraError INVALID_ARGUMENT */
export function resolveLearnerOptions(options: LearnerOptions, given?: Sizes): NativeLearnerOptions {
    const hidden1 = options.hidden1 ?? given?.hidden1 ?? constants.hidden1.byDefault;
    const hidden2 = options.hidden2 ?? given?.hidden2 ?? Math.max(1, Math.floor(hidden1 / 4));
    const defaults = choicesOf("default");
    const {alphaLoss = defaults.alphaLoss} = options;
    const learningRate = options.learningRate ?? constants.learningRate.byDefault;
    const resolved: NativeLearnerOptions = {
        width: options.width,
        hidden1,
        hidden2,
        seed: options.seed ?? constants.seed.byDefault,
        gamma: options.gamma ?? constants.gamma.byDefault,
        tau: options.tau ?? constants.tau.byDefault,
        actorLearningRate: options.actorLearningRate ?? learningRate,
        criticLearningRate: options.criticLearningRate ?? learningRate,
        alphaLearningRate: options.alphaLearningRate ?? learningRate,
        initialAlpha: options.initialAlpha ?? constants.initialAlpha.byDefault,
        targetEntropy: options.targetEntropy ?? constants.targetEntropy.byDefault,
        automaticAlpha: options.automaticAlpha ?? true,
        gradientClip: options.gradientClip ?? constants.gradientClip.byDefault,
        batchSize: options.batchSize ?? constants.batchSize.byDefault,
        replayCapacity: options.replayCapacity ?? constants.replayCapacity.byDefault,
        sharedCritics: options.sharedCritics ?? defaults.sharedCritics,
        criticLossScale: options.criticLossScale ?? constants.criticLossScale.byDefault,
        targetEvery: options.targetEvery ?? constants.targetEvery.byDefault,
        linearAlphaLoss: alphaLoss === "alpha",
        replacement: options.replacement ?? defaults.replacement,
        threads: options.threads ?? Math.min(8, availableParallelism())
    };
    check(schema, {...resolved, learningRate, alphaLoss}, "options");
    return resolved;
}

function whole(min: number, max: number) {
    const expected = `a whole number from ${min} to ${max}`;
    return z.int(expected).min(min, expected).max(max, expected);
}

/** A number from 0 to 1. */
export const share = z.number("a number from 0 to 1").min(0, "a number from 0 to 1").max(1, "a number from 0 to 1");

const schema = z.object({
    learningRate: share,
    width: whole(1, 65536),
    hidden1: whole(1, 65536),
    hidden2: whole(1, 65536),
    seed: whole(0, Number.MAX_SAFE_INTEGER),
    gamma: share,
    tau: share,
    actorLearningRate: share,
    criticLearningRate: share,
    alphaLearningRate: share,
    initialAlpha: finiteAboveZero,
    targetEntropy: z.number("a finite number"),
    gradientClip: z.union([z.literal(Number.POSITIVE_INFINITY), finiteAboveZero], "a number above 0"),
    automaticAlpha: boolean,
    batchSize: whole(1, 2 ** 20),
    replayCapacity: whole(1, 2 ** 31 - 1),
    sharedCritics: boolean,
    criticLossScale: finiteAboveZero,
    targetEvery: whole(1, 1e6),
    alphaLoss: oneOf(alphaLosses),
    linearAlphaLoss: boolean,
    replacement: boolean,
    threads: whole(1, 256)
} satisfies Record<keyof NativeLearnerOptions | "learningRate" | "alphaLoss", z.ZodType>);
