/** Rewards, and the checks that every score passes through. */
import {MaraError, reasonOf} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";
import {withMethod} from "../validation/schemas.js";
import {checkScored} from "../validation/sources.js";

/** A part of the response and the share of the score that it earned. Offsets are UTF-16 code units, `end` exclusive. */
export interface RewardSpan {
    /** Index in the response, in UTF-16 units, of its first character. */
    start: number;
    /** Index behind its last character. */
    end: number;
    /** What it adds to the response's score. */
    score: number;
}

/**
 * The score of a whole response: higher is better. Spans say where parts of it were earned, so that training credits the tokens inside them;
 * they are contained in `score`, and the rest of it belongs to the response as a whole.
 */
export type RewardResult = number | {score: number; spans?: readonly RewardSpan[]};

/** A reward of your own. `context` holds what the prompt's record has besides the prompt. */
export type RewardFunction = (
    prompt: string,
    response: string,
    context: {system?: string; reference?: string}
) => RewardResult | Promise<RewardResult>;

/** A score, with its parts where the reward tells them. */
export interface ScoredResponse {
    /** Higher is better. */
    score: number;
    /** In order; none where the reward tells none. */
    spans: RewardSpan[];
}

/** An opened reward. Calls may overlap. */
export interface Reward {
    readonly name: string;
    /**
     * A string is a prompt without a system prompt; a reward of your own is always given a `Prompt`.
     * @throws MaraError INVALID_ARGUMENT; REWARD_FAILED if the reward throws, or returns anything but scores of at most ±1e30 and spans inside the response
     */
    score(prompt: Prompt | string, response: string): Promise<ScoredResponse>;
    /** Frees the models that the reward loaded. */
    dispose(): Promise<void>;
}

/** Rewards that keep time limits and retries by themselves, where they are computed. */
export const guarded = Symbol("guarded");

export interface GuardedReward extends Reward {
    [guarded](prompt: Prompt, response: string, limits: {timeoutMs: number; retries: number}): Promise<ScoredResponse>;
}

export const aReward = withMethod<Reward>("score", "a Reward");

/** A reward from a function. What the function returns is checked. */
export function rewardOf(name: string, score: RewardFunction, dispose = async () => {}): Reward {
    return {
        name,
        async score(given, response) {
            const {prompt, system, reference} = checkScored(given, response);
            const context = {
                ...(system === undefined ? {} : {system}),
                ...(reference === undefined ? {} : {reference})
            };
            let result: RewardResult;
            try {
                result = await score(prompt, response, context);
            } catch (error) {
                if (error instanceof MaraError && error.code === "REWARD_FAILED") throw error;
                throw new MaraError("REWARD_FAILED", `The reward ${name} failed: ${reasonOf(error)}`, {cause: error});
            }
            return checkedScore(name, result, response);
        },
        dispose
    };
}

/** Training sums scores, multiplies them by up to 1e6 and learns from them as float32, which ends at 3.4e38. */
const largestScore = 1e30;

/** @throws MaraError REWARD_FAILED */
export function checkedScore(name: string, result: unknown, response: string): ScoredResponse {
    if (typeof result === "number") return {score: finite(name, "its score", result), spans: []};
    if (!isObject(result)) throw wrong(name, "a number or {score, spans}", result);
    const {score, spans = []} = result;
    if (!Array.isArray(spans)) throw wrong(name, "an array of spans", spans);
    return {
        score: finite(name, "its score", score),
        spans: spans.map((span: unknown, i) => checkedSpan(name, `spans[${i}]`, span, response.length))
    };
}

function checkedSpan(name: string, place: string, span: unknown, length: number): RewardSpan {
    if (!isObject(span)) throw wrong(name, `{start, end, score} for ${place}`, span);
    const {start, end, score} = span;
    if (!isOffset(start) || !isOffset(end) || start > end || end > length)
        throw wrong(name, `offsets 0 ≤ start ≤ end ≤ ${length} for ${place}`, `${start} and ${end}`);
    return {start, end, score: finite(name, `${place}.score`, score)};
}

function isOffset(value: unknown): value is number {
    return Number.isSafeInteger(value) && (value as number) >= 0;
}

function finite(name: string, place: string, value: unknown): number {
    if (typeof value !== "number" || !Number.isFinite(value)) throw wrong(name, `a finite number for ${place}`, value);
    if (Math.abs(value) > largestScore)
        throw wrong(name, `at most ±${largestScore} for ${place}`, `${value}. Scale the reward down`);
    return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null;
}

function wrong(name: string, expected: string, received: unknown): MaraError {
    const shown = isObject(received) ? (Array.isArray(received) ? "an array" : "an object") : String(received);
    return new MaraError("REWARD_FAILED", `Expected the reward ${name} to return ${expected} but received ${shown}`);
}
