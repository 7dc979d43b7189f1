/** Rewards that look at nothing but the response's text. docs/rewards.md has their formulas. */
import {createContext, Script} from "node:vm";
import {repeatsOf, wordPlaces} from "../evaluate/text-metrics.js";
import {type Reward, type RewardSpan, rewardOf} from "./reward.js";

/** Words for which `sentiment` gives spans: finding them reads the text up to each word. */
const sentimentSpanWords = 400;

/**
 * The compound valence of VADER (Hutto and Gilbert, 2014), −1 … 1, of the whole response. English only. Each word that changes the
 * valence of the text up to there has a span with the change; the spans sum to the score. Longer responses than 400 words have none.
 */
export async function sentiment(): Promise<Reward> {
    const {SentimentIntensityAnalyzer} = await import("vader-sentiment");
    const valence = (text: string) => SentimentIntensityAnalyzer.polarity_scores(text).compound;
    return rewardOf("sentiment", (_, response) => {
        const words = [...response.matchAll(/\S+/g)];
        const spans: RewardSpan[] = [];
        let before = 0;
        for (const {index: start, 0: word} of words.length > sentimentSpanWords ? [] : words) {
            const end = start + word.length;
            const after = valence(response.slice(0, end));
            if (after !== before) spans.push({start, end, score: after - before});
            before = after;
        }
        return {score: valence(response), spans};
    });
}

/**
 * Flesch's reading ease (1948) divided by 100: about 1 for what an eleven-year-old reads with ease, 0 for what takes a degree. At most 1.2, and
 * not below −1, so that a single freak of a word does not outweigh everything else; −1 too for a response without words. English only.
 * Each word has a span with what its syllables take off; the rest is that of the sentences' length.
 */
export async function readability(): Promise<Reward> {
    const [{flesch}, {syllable}] = await Promise.all([import("flesch"), import("syllable")]);
    return rewardOf("readability", (_, response) => {
        const words = wordsOf(response);
        if (words.length === 0) return -1;
        // Words for which the package has no syllables, such as numbers, are still spoken.
        const syllables = words.map(({segment}) => Math.max(1, syllable(segment)));
        const all = syllables.reduce((sum, count) => sum + count, 0);
        const ease = flesch({sentence: segments(response, "sentence").length, word: words.length, syllable: all});
        const score = Math.max(-1, ease / 100);
        // Flesch's formula takes 84.6 times the syllables per word off.
        const spans = words.map(({segment, index: start}, i) => ({
            start,
            end: start + segment.length,
            score: (-0.846 * (syllables[i] as number)) / words.length
        }));
        return {score, spans};
    });
}

/** Minus the number of profane words that obscenity's English data set finds, each with a span of −1. */
export async function profanity(): Promise<Reward> {
    const {RegExpMatcher, englishDataset, englishRecommendedTransformers} = await import("obscenity");
    const matcher = new RegExpMatcher({...englishDataset.build(), ...englishRecommendedTransformers});
    return rewardOf("profanity", (_, response) => {
        const spans: RewardSpan[] = [];
        for (const {startIndex, endIndex} of matcher.getAllMatches(response, true)) {
            const last = spans.at(-1);
            // Several of its patterns may find the same word.
            if (last !== undefined && startIndex < last.end) last.end = Math.max(last.end, endIndex + 1);
            else spans.push({start: startIndex, end: endIndex + 1, score: -1});
        }
        return {score: 0 - spans.length, spans};
    });
}

/**
 * Minus the share of the response's 4-grams of words that stood in it before, as evaluations report it: −1 … 0. The last word of each such
 * 4-gram has a span with its part. Under four words 0.
 */
export function repetition(): Reward {
    return rewardOf("repetition", (_, response) => {
        const places = wordPlaces(response);
        const repeats = repeatsOf(places.map(({word}) => word));
        const spans = places
            .slice(3)
            .flatMap(({start, end}, i) => (repeats[i] === true ? [{start, end, score: -1 / repeats.length}] : []));
        return {score: spans.reduce((sum, {score}) => sum + score, 0), spans};
    });
}

const units = {words: "word", characters: "grapheme", sentences: "sentence"} as const;
export type LengthUnit = keyof typeof units;

/** The response's length; with a target, how near to it the length is: the smaller of the two divided by the larger, 0 … 1. */
export function length(name: string, unit: LengthUnit, target?: number): Reward {
    return rewardOf(name, (_, response) => {
        const count = segments(response, units[unit]).length;
        return target === undefined ? count : Math.min(count, target) / Math.max(count, target);
    });
}

/** Milliseconds that a pattern may take for one response: some take for ever, and nothing else would run meanwhile. */
const patternTimeoutMs = 1000;
const places = new Script("Array.from(text.matchAll(pattern), ({index, 0: match}) => [index, index + match.length])");

/** The number of places where the pattern matches, each with a span of 1. It fails where that takes more than a second. */
export function regex(name: string, pattern: RegExp): Reward {
    const context = createContext({pattern, text: ""});
    return rewardOf(name, (_, response) => {
        context.text = response;
        let found: [start: number, end: number][];
        try {
            found = places.runInContext(context, {timeout: patternTimeoutMs});
        } catch (error) {
            throw new Error(`the pattern took more than ${patternTimeoutMs} ms`, {cause: error});
        }
        const spans = Array.from(found, ([start, end]) => ({start, end, score: 1}));
        return {score: spans.length, spans};
    });
}

const segmenters = new Map<string, Intl.Segmenter>();

function segmenterOf(granularity: "word" | "grapheme" | "sentence"): Intl.Segmenter {
    let segmenter = segmenters.get(granularity);
    if (segmenter === undefined) {
        segmenter = new Intl.Segmenter("en", {granularity});
        segmenters.set(granularity, segmenter);
    }
    return segmenter;
}

/** Words with their places, without punctuation. */
function wordsOf(text: string): Intl.SegmentData[] {
    return Array.from(segmenterOf("word").segment(text)).filter(({isWordLike}) => isWordLike);
}

/** The text's words (no punctuation), graphemes, or sentences that hold a word. */
function segments(text: string, granularity: "word" | "grapheme" | "sentence"): string[] {
    if (granularity === "word") return wordsOf(text).map(({segment}) => segment);
    return Array.from(segmenterOf(granularity).segment(text))
        .map(({segment}) => segment)
        .filter((segment) => granularity === "grapheme" || /[\p{L}\p{N}]/u.test(segment));
}
