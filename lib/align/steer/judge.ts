import type {LlamaContextSequence, Token} from "node-llama-cpp";
import {MaraError, reasonOf} from "../../errors.js";

/** Candidates of one decision that are judged together. */
export interface JudgeBatch {
    /** The hidden state that each candidate leads to, [candidates][width]. Valid during the call only. */
    readonly states: Float32Array;
    /** Numbers per state: the model's embedding size. */
    readonly width: number;
    /** In the order in which they are tried. */
    readonly candidates: readonly Token[];
    /** Index in the context at which the candidates would go. */
    readonly position: number;
    readonly sequence: LlamaContextSequence;
}

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
     * Gives accept probabilities, one for each candidate: numbers in [0, 1]. If it throws or returns anything else,
     * that generation ends with JUDGE_FAILED; the context goes on.
     */
    judge(batch: JudgeBatch): ArrayLike<number> | Promise<ArrayLike<number>>;
}

/** @throws MaraError JUDGE_FAILED */
export async function askJudge(judge: Judge, batch: JudgeBatch): Promise<ArrayLike<number>> {
    let verdicts: unknown;
    try {
        verdicts = await judge.judge(batch);
    } catch (error) {
        throw new MaraError("JUDGE_FAILED", `The judge threw: ${reasonOf(error)}`, {cause: error});
    }
    const count = batch.candidates.length;
    const isList = Array.isArray(verdicts) || (ArrayBuffer.isView(verdicts) && !(verdicts instanceof DataView));
    const given: unknown[] = isList ? Array.from(verdicts as ArrayLike<unknown>) : [];
    const wrong = given.find((value) => !(typeof value === "number" && value >= 0 && value <= 1));
    if (given.length === count && wrong === undefined) return given as number[];
    const received = given.length === count ? String(wrong) : `${given.length} values`;
    throw new MaraError(
        "JUDGE_FAILED",
        `Expected ${count} numbers in [0, 1] from the judge, one for each candidate, but received ${received}`
    );
}
