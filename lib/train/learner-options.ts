/** Options of a learner, their defaults (the reference implementation's) and checks. */
import {availableParallelism} from "node:os";
import type {AgentTensor} from "../agent/agent.js";
import {invalidArgument} from "../errors.js";
import type {NativeLearnerOptions} from "../native.js";

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
    /** How far the targets move towards the critics at each update, 0 to 1. Default 0.005. */
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
    /** Whether α is learnt. Default true. */
    automaticAlpha?: boolean;
    /** Largest norm of a network's gradient, longer ones are shortened to it; `Infinity` never. Default 0.5. */
    gradientClip?: number;
    /** Transitions per update. Default 1024. */
    batchSize?: number;
    /** Transitions kept; older ones are forgotten. Memory grows with what is held. Default 1 000 000. */
    replayCapacity?: number;
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
    const hidden1 = options.hidden1 ?? given?.hidden1 ?? 1024;
    const hidden2 = options.hidden2 ?? given?.hidden2 ?? Math.max(1, Math.floor(hidden1 / 4));
    const learningRate = options.learningRate ?? 3e-4;
    const resolved: NativeLearnerOptions = {
        width: options.width,
        hidden1,
        hidden2,
        seed: options.seed ?? 0,
        gamma: options.gamma ?? 0.99,
        tau: options.tau ?? 0.005,
        actorLearningRate: options.actorLearningRate ?? learningRate,
        criticLearningRate: options.criticLearningRate ?? learningRate,
        alphaLearningRate: options.alphaLearningRate ?? learningRate,
        initialAlpha: options.initialAlpha ?? 0.01,
        targetEntropy: options.targetEntropy ?? 0.6 * Math.LN2,
        automaticAlpha: options.automaticAlpha ?? true,
        gradientClip: options.gradientClip ?? 0.5,
        batchSize: options.batchSize ?? 1024,
        replayCapacity: options.replayCapacity ?? 1_000_000,
        threads: options.threads ?? Math.min(8, availableParallelism())
    };
    checkNumber("learningRate", learningRate, "a number from 0 to 1", (value) => value >= 0 && value <= 1);
    for (const [name, expected, passes] of checks) checkNumber(name, resolved[name], expected, passes);
    if (typeof resolved.automaticAlpha !== "boolean") {
        throw invalidArgument("options.automaticAlpha", "a boolean", resolved.automaticAlpha);
    }
    return resolved;
}

type Passes = (value: number) => boolean;
type NumberName = Exclude<keyof NativeLearnerOptions, "automaticAlpha">;

const whole = (name: NumberName, low: number, high: number): [NumberName, string, Passes] => [
    name,
    `a whole number from ${low} to ${high}`,
    (value) => Number.isInteger(value) && value >= low && value <= high
];
const share = (name: NumberName): [NumberName, string, Passes] => [
    name,
    "a number from 0 to 1",
    (value) => value >= 0 && value <= 1
];

const checks: [NumberName, string, Passes][] = [
    whole("width", 1, 65536),
    whole("hidden1", 1, 65536),
    whole("hidden2", 1, 65536),
    whole("seed", 0, Number.MAX_SAFE_INTEGER),
    share("gamma"),
    share("tau"),
    share("actorLearningRate"),
    share("criticLearningRate"),
    share("alphaLearningRate"),
    ["initialAlpha", "a finite number above 0", (value) => Number.isFinite(value) && value > 0],
    ["targetEntropy", "a finite number", Number.isFinite],
    ["gradientClip", "a number above 0", (value) => value > 0],
    whole("batchSize", 1, 2 ** 20),
    whole("replayCapacity", 1, 2 ** 31 - 1),
    whole("threads", 1, 256)
];

function checkNumber(name: string, value: unknown, expected: string, passes: Passes): void {
    if (typeof value !== "number" || !passes(value)) throw invalidArgument(`options.${name}`, expected, value);
}
