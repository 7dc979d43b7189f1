import {inspect} from "node:util";
import type {LlamaContextSequence, Token} from "node-llama-cpp";
import {z} from "zod";
import {MaraError, reasonOf} from "../../errors.js";
import {isPromise, timeoutMs, withinTime} from "../../rewards/time-limit.js";
import {check} from "../../validation/check.js";
import {boolean, finiteAtLeastZero, numberIn, withMethod} from "../../validation/schemas.js";

/** Candidates of one decision that are judged together. */
export interface JudgeBatch {
    /**
     * The hidden state that each candidate leads to, [candidates][width]. Yours to keep: later decodes do not write to it. Empty for a judge that needs
     * no states.
     */
    readonly states: Float32Array;
    /** Numbers per state: the model's embedding size. */
    readonly width: number;
    /** In the order in which they are tried; most probable first for a judge that needs no states. */
    readonly candidates: readonly Token[];
    /** Index in the context at which the candidates would go. */
    readonly position: number;
    readonly sequence: LlamaContextSequence;
    /** The tokens before the answer. */
    readonly prompt: readonly Token[];
    /** What has been generated since; the candidates would follow it. */
    readonly answer: readonly Token[];
}

/** `Judge.judge`, which is enough of a judge where every other field has its default. */
export type JudgeFunction = (batch: JudgeBatch) => ArrayLike<number> | Promise<ArrayLike<number>>;

/**
 * Says *accept* or *reject* for each candidate. A `MaraAgent` is a judge, asked on the decode thread; a judge of your own is asked between
 * decoding and choosing, and may take its time.
 *
 * @example
 * // Accepts what leads to a state with a positive mean.
 * const judge: Judge = {
 *     judge: ({states, width, candidates}) =>
 *         candidates.map((_, i) => {
 *             const state = states.subarray(i * width, (i + 1) * width);
 *             return state.reduce((sum, value) => sum + value, 0) > 0 ? 1 : 0;
 *         })
 * };
 * const {context} = await createAlignedContext(model, {judge});
 */
export interface Judge {
    /**
     * Gives accept probabilities, one for each candidate: numbers in [0, 1]. If it throws, takes longer than `timeoutMs`, or returns anything else,
     * that generation ends with JUDGE_FAILED; the context goes on.
     */
    judge: JudgeFunction;
    /**
     * False for a judge that looks at tokens only. It is asked once about all candidates of a decision, before any is decoded, and nothing is decoded
     * for it. Default true.
     */
    readonly needsStates?: boolean;
    /** Longest time that a promise of `judge` is waited for, in milliseconds. Default 60 000. */
    readonly timeoutMs?: number;
    /** Beside agents: as theirs. Default 1. */
    readonly weight?: number;
    /** A candidate is accepted iff its probability is above this. Default: the aligner's `threshold`, else 0.5. */
    readonly threshold?: number;
}

const fields = z.object({
    needsStates: boolean.optional(),
    timeoutMs: timeoutMs.optional(),
    weight: finiteAtLeastZero.optional(),
    threshold: numberIn(0, 1).optional()
});
const isJudge = withMethod<Judge>("judge", "a function or an object with a method `judge`");

/** The judge as an object. @throws MaraError INVALID_ARGUMENT */
export function asJudge(given: Judge | JudgeFunction): Judge {
    if (typeof given === "function" && (given as Partial<Judge>).judge === undefined) return {judge: given};
    const judge = check(isJudge, given, "judge");
    check(fields, judge, "judge");
    return judge;
}

/** @throws MaraError JUDGE_FAILED */
export async function askJudge(judge: Judge, batch: JudgeBatch): Promise<readonly number[]> {
    const {timeoutMs: limit = 60_000} = judge;
    const late = () => new Error(`it took more than ${limit} ms`);
    let given: unknown[];
    try {
        const verdicts: unknown = judge.judge(batch);
        given = listed(isPromise(verdicts) ? await withinTime(verdicts, limit, late) : verdicts);
    } catch (error) {
        throw new MaraError("JUDGE_FAILED", `The judge threw: ${reasonOf(error)}`, {cause: error});
    }
    const count = batch.candidates.length;
    const wrong = given.findIndex((value) => !(typeof value === "number" && value >= 0 && value <= 1));
    if (given.length === count && wrong < 0) return given as number[];
    const received =
        given.length === count ? inspect(given[wrong], {depth: 0}).slice(0, 100) : `${given.length} values`;
    throw new MaraError(
        "JUDGE_FAILED",
        `Expected ${count} numbers in [0, 1] from the judge, one for each candidate, but received ${received}`
    );
}

/** The items of an array or a typed array; of anything else none. */
function listed(given: unknown): unknown[] {
    if (!Array.isArray(given) && !(ArrayBuffer.isView(given) && !(given instanceof DataView))) return [];
    const list = given as ArrayLike<unknown>;
    // By index, since a typed array whose memory was transferred cannot be iterated.
    return Array.from({length: list.length}, (_, i) => list[i]);
}
