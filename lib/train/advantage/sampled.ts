/**
 * Responses that the model samples by itself, with the hidden state of every token, the credit that the reward gives it, and what it was
 * drawn from.
 */
import type {ScoredResponse} from "../../rewards/reward.js";
import type {ResponseRow} from "../preference/responses.js";
import {concatenate as joined} from "../rollout/rows.js";
import type {Draws, Trajectory} from "../rollout/trajectory.js";
import {requireHope} from "../run/hope.js";
import {unlessAborted} from "../run/interruption.js";
import {type Job, scoreOrReason} from "../run/job.js";
import {longestPrompt, openRollouts, rolloutOptions} from "../run/parts.js";
import {Phase} from "../run/progress.js";
import {pack, unpack} from "../run/segments.js";
import {creditSpans} from "../sac/transitions.js";
import {derivedSeed, use} from "../seeds.js";

export interface SampledState {
    phase: "sampled";
    /** Responses that are there. */
    done: number;
}

/** One segment: some responses, one after the other. */
export interface Sampled {
    /** [tokens][width] */
    states: Float32Array;
    /** Share of the score that each token earned by the reward's spans. */
    credits: Float32Array;
    tokens: Int32Array;
    /** What each token was drawn from, as in `Draws`. */
    ranks: Int32Array;
    counts: Int32Array;
    logProbabilities: Float32Array;
    /** Tokens of each response. */
    lengths: Int32Array;
    /** Index of each response's prompt. */
    prompts: Int32Array;
    /** What each response's score has beyond its spans. */
    rests: Float32Array;
}

export type LearntFrom = Pick<Sampled, "states" | "credits" | "lengths" | "prompts" | "rests">;

/** Responses of a block, per sequence: enough that a sequence seldom stands idle at the block's end. */
const blocksPerSequence = 4;
/** The same where workers answer, for many of them. */
const remoteBlocksPerSequence = 64;

/**
 * Goes on until there are `samplesPerPrompt` responses to every prompt of `wanted` (indexes).
 * @throws Interruption, MaraError REWARD_FAILED
 */
export async function collectSampled(job: Job, wanted: readonly number[], state: SampledState): Promise<void> {
    const {run, config, prompts, signal} = job;
    const each = config.samplesPerPrompt;
    const total = wanted.length * each;
    const phase = new Phase("responses", {total, from: state.done, job});
    if (state.done === total) return;
    const options = rolloutOptions(job, longestPrompt(job) + config.maxTokens + 1);
    // Candidates are cut to the probable ones at inference; what is learnt from should show the others, too.
    const candidates = {...config.candidates, minP: 0, temperature: config.sampleTemperature};
    const rollouts = await openRollouts(job, {...options, candidates});
    const blocks = job.remote === undefined ? blocksPerSequence : remoteBlocksPerSequence;
    const size = Math.max(1, Math.floor((blocks * config.sequences) / each)) * each;
    let dropped = (await run.rows<ResponseRow>("responses")).filter(({score}) => score === null).length;
    let reward: number | null = null;
    try {
        for (let first = state.done; first < total; ) {
            const count = Math.min(size, total - first);
            const places = Array.from({length: count}, (_, i) => ({
                prompt: wanted[Math.floor((first + i) / each)] as number,
                sample: (first + i) % each
            }));
            let complete = 0;
            const got: {trajectory: Trajectory; scored: Promise<ScoredResponse | string>}[] = [];
            const answers = rollouts.run(
                undefined,
                places.map(({prompt}) => prompts[prompt] as never),
                places.map((_, i) => derivedSeed(config.seed, use.samples, first + i)),
                (trajectory, i) => {
                    got[i] = {trajectory, scored: scoreOrReason(job, trajectory.prompt, trajectory.text)};
                    // The last one of a block is told once it is kept.
                    if (++complete < count) phase.tell(first + complete, {reward, dropped});
                },
                {onTokens: (tokens) => phase.generated(tokens), ...(signal === undefined ? {} : {signal})}
            );
            await unlessAborted(answers, signal);
            const scores = await unlessAborted(Promise.all(got.map(({scored}) => scored)), signal);
            const rows = got.map(({trajectory}, i) => rowOf(trajectory, places[i] as never, scores[i] as never));
            await run.append("responses", rows);
            await run.addSegment(pack({...sampledOf(got, places, scores)}));
            first += count;
            await run.commit({phase: "sampled", done: first} satisfies SampledState);
            const known = rows.flatMap(({score}) => (score === null ? [] : [score]));
            dropped += rows.length - known.length;
            reward = known.length === 0 ? null : known.reduce((sum, score) => sum + score, 0) / known.length;
            phase.tell(first, {reward, dropped});
            requireHope({done: first, failed: dropped, failure: rows.at(-1)?.failure});
        }
    } finally {
        await rollouts.close();
    }
}

function rowOf(
    {text, tokens, ended}: Trajectory,
    place: {prompt: number; sample: number},
    scored: ScoredResponse | string
): ResponseRow {
    const row = {...place, response: text, tokens: tokens.length, ended};
    return typeof scored === "string" ? {...row, score: null, failure: scored} : {...row, score: scored.score};
}

/** Responses whose reward failed are left out. */
function sampledOf(
    got: readonly {trajectory: Trajectory}[],
    places: readonly {prompt: number}[],
    scores: readonly (ScoredResponse | string)[]
): Sampled {
    const kept = got.flatMap(({trajectory}, i) => {
        const scored = scores[i] as ScoredResponse | string;
        if (typeof scored === "string") return [];
        const credits = new Float32Array(trajectory.tokens.length);
        const decisions = trajectory.tokens.map((_, tokenIndex) => ({tokenIndex}));
        const spent = creditSpans({decisions, tokenSpans: trajectory.tokenSpans}, scored.spans, (token, share) => {
            credits[token] = (credits[token] as number) + share;
        });
        const {prompt} = places[i] as {prompt: number};
        return [{...trajectory, credits, prompt, rest: scored.score - spent, ...(trajectory.draws as Draws)}];
    });
    return {
        states: joined(kept.map(({states}) => states)),
        credits: joined(kept.map(({credits}) => credits)),
        tokens: Int32Array.from(kept.flatMap(({tokens}) => tokens)),
        ranks: Int32Array.from(kept.flatMap(({ranks}) => [...ranks])),
        counts: Int32Array.from(kept.flatMap(({counts}) => [...counts])),
        logProbabilities: joined(kept.map(({logProbabilities}) => logProbabilities)),
        lengths: Int32Array.from(kept, ({credits}) => credits.length),
        prompts: Int32Array.from(kept, ({prompt}) => prompt),
        rests: Float32Array.from(kept, ({rest}) => rest)
    };
}

/** What the fit needs of all responses of the run. @throws MaraError RUN_DAMAGED */
export async function readSampled(job: Pick<Job, "run">): Promise<LearntFrom> {
    const parts: Sampled[] = [];
    for await (const part of sampledParts(job)) parts.push(part);
    return {
        states: joined(parts.map(({states}) => states)),
        credits: joined(parts.map(({credits}) => credits)),
        lengths: Int32Array.from(parts.flatMap(({lengths}) => [...lengths])),
        prompts: Int32Array.from(parts.flatMap(({prompts}) => [...prompts])),
        rests: Float32Array.from(parts.flatMap(({rests}) => [...rests]))
    };
}

/** The run's responses, some at a time. @throws MaraError RUN_DAMAGED */
export async function* sampledParts({run}: Pick<Job, "run">): AsyncGenerator<Sampled> {
    for await (const bytes of run.segments()) yield unpack<keyof Sampled>(bytes) as unknown as Sampled;
}
