/** The findings of an evaluation: plain data, the same for the same answers and scores. */
import {mean} from "simple-statistics";
import {bootstrapInterval, type Interval, pairedDifferenceInterval, wilsonInterval} from "../statistics/intervals.js";
import type {EvaluationSettings} from "./options.js";
import type {Counts, Score} from "./side-store.js";
import type {Side} from "./sides.js";
import {distinct, repetition, wordsOf} from "./text-metrics.js";
import type {TradeOff} from "./trade-off.js";

/** A number over prompts, with its 95 % interval. Null where nothing could be measured. */
export interface Estimate {
    value: number | null;
    interval95: Interval | null;
}

/** The numbers of one side. */
export interface SideResult {
    name: string;
    /** In the order of the rewards; the interval is a bootstrap over prompts. `failed`: answers without a score. */
    rewards: {mean: number | null; interval95: Interval | null; failed: number}[];
    /** Answers that the model ended, and that reached the longest length. */
    ended: {eog: number; length: number};
    /** Per answer; end-of-generation tokens are not in it. */
    tokens: Estimate;
    words: Estimate;
    distinct1: number | null;
    distinct2: number | null;
    /** Mean share of repeated 4-grams. */
    repetition: Estimate;
    /** Perplexity of all answers' tokens together, under the base model. */
    perplexity: Estimate & {tokens: number};
    /** All samples and end-of-generation tokens included. */
    generatedTokens: number;
    /** Batches decoded for generated tokens, all sequences together. */
    decodes: number;
    /** decodes / generatedTokens. */
    decodesPerToken: number;
    /** The aligner's counters; for aligned sides only. */
    decisions?: Counts;
}

/** Two sides, compared prompt by prompt. */
export interface PairResult {
    other: string;
    /** Index of the reward. */
    reward: number;
    /** Prompts on which both answers have a score. */
    prompts: number;
    wins: number;
    ties: number;
    losses: number;
    /** wins / prompts, with Wilson's interval. */
    winRate: Estimate;
    /** (wins + ties / 2) / prompts: 0.5 is even. */
    preferenceRate: Estimate;
    /** (wins − losses) / prompts, with Tango's score interval: 0 is even. */
    difference: Estimate;
    /** Mean of the paired differences in reward, with a bootstrap interval. */
    rewardDifference: Estimate;
}

/** One threshold of the dial: how the aligned answers are there. */
export interface DialPoint {
    threshold: number;
    /** Against the first opponent, by the first reward. */
    pair: PairResult;
    side: SideResult;
}

/** The numbers of an evaluation, as result.json holds them. */
export interface EvaluationResult {
    version: 1;
    /** The sides compared, and everything that the answers depend on. */
    config: {
        model: object;
        /** `name`: the file that it was loaded from, without its folder; null where there was none. */
        agent: {sha256: string; name: string | null};
        rewards: string[];
        against: string[];
        prompts: number;
    } & Omit<EvaluationSettings, "against">;
    aligned: SideResult;
    others: SideResult[];
    /** Every opponent by every reward. */
    pairs: PairResult[];
    /** Empty unless thresholds were given. */
    dial: DialPoint[];
    /** Where there are two rewards and sides with several agents ("agents:", "grid:"). */
    tradeOff?: TradeOff;
    /** Times by side; the only part that another run would not repeat. Reading prompts is not in it. */
    timing: Record<string, {seconds: number; tokensPerSecond: number}>;
}

export function sideResult(side: Side): SideResult {
    const {answers, scores, fluency, generatedTokens, decodes, counts} = side;
    const words = answers.map(({text}) => wordsOf(text));
    const count = (ended: "eog" | "length") => answers.filter((answer) => answer.ended === ended).length;
    return {
        name: side.name,
        rewards: scores.map((each) => {
            const known = each.filter((score) => score !== null);
            const {value, interval95} = meanOf(known);
            return {mean: value, interval95, failed: each.length - known.length};
        }),
        ended: {eog: count("eog"), length: count("length")},
        tokens: meanOf(answers.map(({tokens}) => tokens.length)),
        words: meanOf(words.map(({length}) => length)),
        distinct1: distinct(words, 1),
        distinct2: distinct(words, 2),
        repetition: meanOf(words.flatMap((each) => repetition(each) ?? [])),
        perplexity: perplexityOf(fluency),
        generatedTokens,
        decodes,
        decodesPerToken: decodes / generatedTokens,
        ...(counts === undefined ? {} : {decisions: counts})
    };
}

/** `aligned` wins where its score is more than `tieMargin` above the other's. */
export function pairResult(aligned: Side, other: Side, reward: number, tieMargin: number): PairResult {
    const differences = differencesOf(aligned.scores[reward] ?? [], other.scores[reward] ?? []);
    const prompts = differences.length;
    const wins = differences.filter((difference) => difference > tieMargin).length;
    const losses = differences.filter((difference) => difference < -tieMargin).length;
    const share = (value: number) => (prompts === 0 ? null : value / prompts);
    const [low, high] = pairedDifferenceInterval(wins, losses, prompts);
    return {
        other: other.name,
        reward,
        prompts,
        wins,
        ties: prompts - wins - losses,
        losses,
        winRate: {value: share(wins), interval95: wilsonInterval(wins, prompts)},
        preferenceRate: {
            value: share(wins + (prompts - wins - losses) / 2),
            interval95: [(1 + low) / 2, (1 + high) / 2]
        },
        difference: {value: share(wins - losses), interval95: [low, high]},
        rewardDifference: meanOf(differences)
    };
}

/** -1, 0 or 1 per prompt; null where a score is missing. */
export function outcomes(aligned: Side, other: Side, reward: number, tieMargin: number): (number | null)[] {
    return (aligned.scores[reward] ?? []).map((score, i) => {
        const difference = differenceOf(score, other.scores[reward]?.[i] ?? null);
        return difference === null ? null : Math.abs(difference) <= tieMargin ? 0 : Math.sign(difference);
    });
}

function differencesOf(ours: readonly Score[], theirs: readonly Score[]): number[] {
    return ours.flatMap((score, i) => differenceOf(score, theirs[i] ?? null) ?? []);
}

function differenceOf(ours: Score, theirs: Score): number | null {
    return ours === null || theirs === null ? null : ours - theirs;
}

function meanOf(values: readonly number[]): Estimate {
    if (values.length === 0) return {value: null, interval95: null};
    const resampled = (indices: Int32Array) => {
        let sum = 0;
        for (const i of indices) sum += values[i] as number;
        return sum / indices.length;
    };
    return {value: mean([...values]), interval95: bootstrapInterval(values.length, resampled)};
}

/** exp of the mean negative log-probability of a token. Empty answers do not count. */
function perplexityOf(fluency: Side["fluency"]): SideResult["perplexity"] {
    const known = fluency.filter(({tokens}) => tokens > 0);
    const over = (indices: Iterable<number>) => {
        let [nats, tokens] = [0, 0];
        for (const i of indices) {
            nats += known[i]?.nats ?? 0;
            tokens += known[i]?.tokens ?? 0;
        }
        return Math.exp(nats / tokens);
    };
    const tokens = known.reduce((sum, each) => sum + each.tokens, 0);
    if (tokens === 0) return {value: null, interval95: null, tokens};
    return {value: over(known.keys()), interval95: bootstrapInterval(known.length, over), tokens};
}
