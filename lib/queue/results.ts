/** What workers give back, checked on arrival: a result decides what is learnt. */
import type {Token} from "node-llama-cpp";
import {z} from "zod";
import {MaraError} from "../errors.js";
import type {StoredBlock} from "../evaluate/side-store.js";
import {storedBlockSchema} from "../evaluate/side-store.js";
import type {ScoredResponse} from "../rewards/reward.js";
import type {ResponseStates} from "../train/rollout/read-states.js";
import type {Draws, Trajectory} from "../train/rollout/trajectory.js";
import {fromHalf} from "./encode.js";

const count = z.int().min(0);
const tokens = z.array(count);
const floats = z.instanceof(Float32Array);
/** As they came, or in half precision. */
const states = z.union([floats, z.instanceof(Uint8Array)]);

const trajectory = z.object({
    text: z.string(),
    tokens,
    tokenSpans: z.array(z.tuple([count, count])),
    ended: z.enum(["eog", "length"]),
    decisions: z.array(
        z.object({
            tokenIndex: count,
            candidates: tokens.min(2),
            logProbabilities: floats,
            vocabularyLogs: floats.optional(),
            acceptProbabilities: floats,
            tried: z.int().min(1),
            chosenRank: count,
            accepted: z.boolean(),
            firstState: count
        })
    ),
    states,
    width: z.int().min(1),
    draws: z
        .object({ranks: z.instanceof(Int32Array), counts: z.instanceof(Int32Array), logProbabilities: floats})
        .optional()
});

/** The trajectories of a job of this many prompts. @throws MaraError QUEUE_JOB */
export function asTrajectories(
    value: unknown,
    {prompts, width, withStates}: {prompts: readonly Trajectory["prompt"][]; width: number; withStates: boolean}
): Trajectory[] {
    const list = checked(z.array(trajectory), value, prompts.length);
    return list.map((one, i) => {
        const rows = asFloats(one.states);
        const needed = one.decisions.reduce((most, {firstState, tried}) => Math.max(most, firstState + tried), 0);
        const consistent =
            one.width === width &&
            (!withStates || (rows.length >= needed * width && rows.length % width === 0)) &&
            one.tokenSpans.length === one.tokens.length &&
            areDraws(one.draws, one.tokens.length) &&
            one.decisions.every(
                ({tokenIndex, candidates, logProbabilities, acceptProbabilities, tried, chosenRank}) =>
                    tokenIndex < one.tokens.length &&
                    logProbabilities.length === candidates.length &&
                    acceptProbabilities.length === candidates.length &&
                    tried <= candidates.length &&
                    chosenRank < candidates.length
            );
        if (!consistent) throw unfit("its lengths do not fit together");
        return {...one, states: rows, prompt: prompts[i]} as Trajectory;
    });
}

/** True if they tell of as many tokens, or are not there. */
function areDraws(draws: Draws | undefined, tokens: number): boolean {
    if (draws === undefined) return true;
    const {ranks, counts, logProbabilities} = draws;
    return (
        ranks.length === tokens &&
        counts.length === tokens &&
        counts.every((count, i) => count >= 1 && (ranks[i] as number) >= 0 && (ranks[i] as number) < count) &&
        counts.reduce((sum, count) => sum + count, 0) === logProbabilities.length
    );
}

/** @throws MaraError QUEUE_JOB */
export function asResponseStates(value: unknown, texts: number, width: number): ResponseStates[] {
    const list = checked(z.array(z.object({tokens: tokens.min(1), states})), value, texts);
    return list.map((one) => {
        const rows = asFloats(one.states);
        if (rows.length !== one.tokens.length * width) throw unfit("its states do not fit its tokens");
        return {tokens: one.tokens as Token[], states: rows};
    });
}

/** @throws MaraError QUEUE_JOB */
export function asBlock(value: unknown, first: number, answers: number): StoredBlock {
    const block = parsed(storedBlockSchema, value);
    if (block.first === first && block.answers.length === answers) return block;
    throw unfit("it is of other answers");
}

const score = z.union([
    z.object({score: z.number(), spans: z.array(z.object({start: count, end: count, score: z.number()}))}),
    z.object({failure: z.string()})
]);

/** Scores, or why there is none. @throws MaraError QUEUE_JOB */
export function asScores(value: unknown, responses: readonly string[]): (ScoredResponse | {failure: string})[] {
    const list = checked(z.array(score), value, responses.length);
    for (const [i, one] of list.entries()) {
        const {length} = responses[i] as string;
        if ("spans" in one && one.spans.some(({start, end}) => start > end || end > length))
            throw unfit("a span is outside of its response");
    }
    return list;
}

function checked<T>(schema: z.ZodType<T[]>, value: unknown, length: number): T[] {
    const list = parsed(schema, value);
    if (list.length === length) return list;
    throw unfit(`it has ${list.length} items, not ${length}`);
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
    const {success, data, error} = schema.safeParse(value);
    if (success) return data;
    const [issue] = error.issues;
    throw unfit(`${issue?.path.join(".")}: ${issue?.message}`);
}

function asFloats(rows: Float32Array | Uint8Array): Float32Array {
    return rows instanceof Float32Array ? rows : fromHalf(rows);
}

function unfit(reason: string): MaraError {
    return new MaraError("QUEUE_JOB", `A worker's result is not what was asked for: ${reason}`);
}
