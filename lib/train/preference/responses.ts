/** Scored responses of the model itself: pairs are made from them, and a rollout's reward is measured against them. */
import type {Answer} from "../../generation/answers.js";
import {promptTokens} from "../../generation/prompt-tokens.js";
import type {Prompt} from "../../prompts/prompts.js";
import {withinTime} from "../../rewards/time-limit.js";
import {requireHope} from "../run/hope.js";
import {Interruption, unlessAborted} from "../run/interruption.js";
import {type Job, scoreOrReason} from "../run/job.js";
import {Phase} from "../run/progress.js";
import {derivedSeed, use} from "../seeds.js";
import {openAnswers} from "./open-answers.js";

/** A line of responses.jsonl. */
export interface ResponseRow {
    /** Index of the prompt in the file. */
    prompt: number;
    sample: number;
    response: string;
    tokens: number;
    ended: Answer["ended"];
    /** Null where the reward failed. */
    score: number | null;
    failure?: string;
}

/** Milliseconds that an interrupted run waits for the rewards of responses that are complete. */
const graceMs = 2000;

/**
 * Samples `each` responses to every prompt of `wanted` (indexes). They are appended to responses.jsonl, which already holds those of before
 * an interruption. Rewards of a block are computed while the next is generated, but those of the first block are waited for, so that there is a checkpoint early. `state` is stored in checkpoints meanwhile.
 * @throws Interruption
 * @throws MaraError REWARD_FAILED
 */
export async function sampleResponses(
    job: Job,
    {wanted, each, temperature}: {wanted: readonly number[]; each: number; temperature: number},
    state: object
): Promise<ResponseRow[]> {
    const {config, run, model, signal} = job;
    const total = wanted.length * each;
    const rows = await run.rows<ResponseRow>("responses");
    const begun = rows.length;
    if (begun >= total) return rows;
    const phase = new Phase("responses", {total, from: begun, job});
    const places = Array.from({length: total}, (_, i) => ({
        prompt: wanted[Math.floor(i / each)] as number,
        sample: i % each
    }));
    const longest = Math.max(...wanted.map((i) => promptTokens(model, job.prompts[i] as never).length));
    const {topK, topP, minP} = config.candidates;
    const source = await openAnswers(job, longest + config.maxTokens + 1);
    // Work is taken up again block by block, so an interruption loses the responses under way.
    const size = config.sequences;
    const latest = {dropped: rows.filter(({score}) => score === null).length, reward: null as number | null};
    let generated = begun;
    let scoring: Promise<ResponseRow[]> | undefined;
    const keep = async (scored: readonly ResponseRow[]) => {
        scoring = undefined;
        await run.append("responses", scored);
        await run.commit(state);
        rows.push(...scored);
        const scores = scored.flatMap(({score}) => (score === null ? [] : [score]));
        latest.dropped += scored.length - scores.length;
        if (scores.length > 0) latest.reward = scores.reduce((sum, score) => sum + score, 0) / scores.length;
        // The end is told once, when all rewards are there.
        if (generated < total || rows.length === total) phase.tell(generated, latest);
        requireHope({done: rows.length, failed: latest.dropped, failure: scored.at(-1)?.failure});
    };
    const settle = async () => {
        if (scoring !== undefined) await keep(await unlessAborted(scoring, signal));
    };
    const answerBlock = (first: number) =>
        source.answer(
            places.slice(first, first + size).map(({prompt}) => job.prompts[prompt] as Prompt),
            {
                maxTokens: config.maxTokens,
                firstIndex: first,
                seed: derivedSeed(config.seed, use.samples),
                temperature,
                ...(temperature === 0 ? {} : {topK, topP, minP}),
                // The last one is told with its reward.
                onAnswer: () => ++generated < total && phase.tell(generated, latest),
                onTokens: (count) => phase.generated(count),
                ...(signal === undefined ? {} : {signal})
            }
        );
    const begunBlocks = new Map<number, Promise<Answer[]>>();
    /** The block's answers; as many of the next ones as can be made at the same time are begun with it. */
    const blockAt = (first: number) => {
        for (let next = first; next < Math.min(total, first + source.blocksAtOnce * size); next += size) {
            if (begunBlocks.has(next)) continue;
            const answers = answerBlock(next);
            // It may fail before anybody waits for it.
            answers.catch(() => undefined);
            begunBlocks.set(next, answers);
        }
        const answers = begunBlocks.get(first) as Promise<Answer[]>;
        begunBlocks.delete(first);
        return answers;
    };
    try {
        for (let first = begun; first < total; first += size) {
            const block = places.slice(first, first + size);
            const answers = await interruptible(blockAt(first), signal);
            await settle();
            scoring = Promise.all(answers.map((answer, i) => scoredRow(job, answer, block[i] as never)));
            if (first === begun) await settle();
        }
        await settle();
    } catch (error) {
        if (error instanceof Interruption && scoring !== undefined)
            await keep(await withinTime(scoring, graceMs, () => error));
        throw error;
    } finally {
        await source.close();
    }
    return rows;
}

async function scoredRow(
    job: Job,
    {prompt: asked, text, tokens, ended}: Answer,
    {prompt, sample}: {prompt: number; sample: number}
): Promise<ResponseRow> {
    const result = await scoreOrReason(job, asked, text);
    const row = {prompt, sample, response: text, tokens: tokens.length, ended};
    return typeof result === "string" ? {...row, score: null, failure: result} : {...row, score: result.score};
}

/** Turns the failure of work that heeds the signal by itself into an Interruption. */
async function interruptible<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    try {
        return await work;
    } catch (error) {
        throw signal?.aborted ? new Interruption("The run was interrupted") : error;
    }
}
