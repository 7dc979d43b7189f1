import type {LlamaContextOptions} from "node-llama-cpp";
import type {MaraAgent} from "../agent/agent.js";
import {invalidArgument} from "../errors.js";

/** How candidates are drawn from the model's next-token distribution (paper §4; the reference implementation's defaults). */
export interface CandidateOptions {
    /** Most candidates per decision. An integer from 1 to 256. Default 40. With 1 nothing is left to decide. */
    topK?: number;
    /** Nucleus, renormalised over the top k. In (0, 1]. Default 0.95. */
    topP?: number;
    /** Drops candidates less probable than `minP` times the top one. In [0, 1]. Default 0: off. */
    minP?: number;
    /** Divides the logits before probabilities are reported; the order of candidates does not depend on it. Above 0. Default 0.8. */
    temperature?: number;
}

/** Which accepted candidate is emitted: the first in order (the paper's), a random one, or the one with the highest accept probability. */
export type Strategy = "first" | "random" | "max-prob";

/** In which order candidates are tried: most probable first; the same with the top one last; least probable first. */
export type Order = "best-first" | "top-last" | "reverse";

/** What can be changed while a context lives, for all of its sequences or for one. */
export interface AlignerSettings {
    /** Judges candidates. Its width must be the model's embedding size. */
    agent: MaraAgent;
    /** Draw of the candidates. Fields left out keep their value. */
    candidates?: CandidateOptions;
    /** Default "first". "random" and "max-prob" evaluate every candidate. */
    strategy?: Strategy;
    /** Default "best-first". */
    order?: Order;
    /** A candidate is accepted iff its accept probability is above this. In [0, 1]: 0 accepts everything, 1 rejects everything. Default 0.5. */
    threshold?: number;
    /** Rank, by probability, of the candidate emitted when none is accepted. Clamped to the last candidate. Default 0. */
    fallbackIndex?: number;
    /** Seed of the "random" strategy: the same seed, sequence number and text give the same choices. Default 0. */
    seed?: number;
    /** Whether decisions are made at all. Default true. */
    enabled?: boolean;
}

export type Mode = "lanes" | "serial";

/** node-llama-cpp's `LlamaContextOptions` and what steers the alignment. */
export interface AlignedContextOptions extends LlamaContextOptions, AlignerSettings {
    /**
     * "lanes": candidates are decoded as batches in spare sequences of a unified KV cache; throws LANES_UNAVAILABLE where
     * node-llama-cpp's memory layout cannot be verified. "serial": stock node-llama-cpp calls only, one candidate a decode.
     * Default "auto": lanes when they can be had, otherwise serial with one warning that says why.
     */
    mode?: "auto" | Mode;
    /** Most candidates decoded beside the main sequences in one batch. Default: topK − 1 on a GPU, at most 15 on a CPU. */
    lanes?: number;
    /**
     * How many candidates are tried together. "auto" learns the cost of batches and the acceptance rates, and minimises the
     * expected time. An array gives the sizes of a decision's first, second, … wave; its last size is repeated. Sizes
     * are cut to the lanes at hand. Changes time, never tokens. Default "auto".
     */
    waves?: "auto" | readonly number[];
}

/** Settings with every default filled in. */
export interface ResolvedSettings {
    readonly agent: MaraAgent;
    readonly topK: number;
    readonly topP: number;
    readonly minP: number;
    readonly temperature: number;
    readonly strategy: Strategy;
    readonly order: Order;
    readonly threshold: number;
    readonly fallbackIndex: number;
    readonly seed: number;
    readonly enabled: boolean;
}

export const maxTopK = 256;

const defaults = {
    topK: 40,
    topP: 0.95,
    minP: 0,
    temperature: 0.8,
    strategy: "first",
    order: "best-first",
    threshold: 0.5,
    fallbackIndex: 0,
    seed: 0,
    enabled: true
} as const;

const candidateKeys = ["topK", "topP", "minP", "temperature"];
const settingKeys = ["agent", "strategy", "order", "threshold", "fallbackIndex", "seed", "enabled"];

/** Splits aligner settings from the options that belong to node-llama-cpp or to the mode. */
export function pickSettings(options: AlignedContextOptions): {
    settings: AlignerSettings;
    others: AlignedContextOptions;
} {
    const isSetting = (key: string) => key === "candidates" || settingKeys.includes(key);
    const pick = (wanted: boolean) =>
        Object.fromEntries(Object.entries(options).filter(([key]) => isSetting(key) === wanted));
    return {
        settings: pick(true) as unknown as AlignerSettings,
        others: pick(false) as unknown as AlignedContextOptions
    };
}

/** `later` laid over `earlier`, both unchecked; fields that are undefined say nothing. */
export function mergeSettings(
    {candidates: first, ...earlier}: Partial<AlignerSettings>,
    {candidates: second, ...later}: Partial<AlignerSettings>
): Partial<AlignerSettings> {
    const given = (change: object | undefined) =>
        Object.fromEntries(Object.entries(change ?? {}).filter(([, value]) => value !== undefined));
    return {...earlier, ...given(later), candidates: {...first, ...given(second)}};
}

/**
 * Checks `change` and lays it over `base`.
 * @throws MaraError INVALID_ARGUMENT
 */
export function resolveSettings(change: Partial<AlignerSettings>, base?: ResolvedSettings): ResolvedSettings {
    const {candidates = {}, ...rest} = change;
    if (typeof candidates !== "object" || candidates === null)
        throw invalidArgument("candidates", "an object", candidates);
    requireKnown("candidates", candidates, candidateKeys);
    requireKnown("the aligner's settings", rest, settingKeys);
    const given = Object.entries({...candidates, ...rest}).filter(([, value]) => value !== undefined);
    const resolved = {...defaults, ...base, ...Object.fromEntries(given)} as ResolvedSettings;

    requireInteger("candidates.topK", resolved.topK, 1, maxTopK);
    if (typeof resolved.topP !== "number" || !(resolved.topP > 0 && resolved.topP <= 1))
        throw invalidArgument("candidates.topP", "a number in (0, 1]", resolved.topP);
    requireNumber("candidates.minP", resolved.minP, 0, 1);
    if (!(Number.isFinite(resolved.temperature) && resolved.temperature > 0))
        throw invalidArgument("candidates.temperature", "a finite number above 0", resolved.temperature);
    requireOneOf("strategy", resolved.strategy, ["first", "random", "max-prob"]);
    requireOneOf("order", resolved.order, ["best-first", "top-last", "reverse"]);
    requireNumber("threshold", resolved.threshold, 0, 1);
    requireInteger("fallbackIndex", resolved.fallbackIndex, 0, Number.MAX_SAFE_INTEGER);
    requireInteger("seed", resolved.seed, 0, 2 ** 32 - 1);
    if (typeof resolved.enabled !== "boolean") throw invalidArgument("enabled", "a boolean", resolved.enabled);
    return resolved;
}

export function requireInteger(name: string, value: unknown, least: number, most: number): void {
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return;
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
    throw invalidArgument(name, `an integer ${range}`, value);
}

export function requireOneOf(name: string, value: unknown, allowed: readonly string[]): void {
    if (allowed.includes(value as string)) return;
    throw invalidArgument(name, `one of ${allowed.map((item) => JSON.stringify(item)).join(", ")}`, value);
}

export function requireNumber(name: string, value: unknown, least: number, most: number): void {
    if (typeof value === "number" && value >= least && value <= most) return;
    throw invalidArgument(name, `a number in [${least}, ${most}]`, value);
}

function requireKnown(name: string, value: object, known: readonly string[]): void {
    const unknown = Object.keys(value).find((key) => !known.includes(key));
    if (unknown !== undefined) throw invalidArgument(name, `only ${known.join(", ")}`, unknown);
}
