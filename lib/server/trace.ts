/** What was decided about each token, and how probable it was, as responses tell it. */
import type {LlamaModel, Token} from "node-llama-cpp";
import type {Decider} from "../align/decide/decision.js";
import type {DecisionRecord} from "../align/decide/record.js";
import {rejectedRanks, type SeenOpinions, seenOpinions, spellAfter, type TraceSettings} from "../report/token-view.js";
import type {Drawn} from "./tap.js";

/** A stretch of text that came at once, mostly one token. */
export interface Piece {
    text: string;
    /** Its tokens; undefined for one that was put there and not generated. */
    drawn: readonly (Drawn | undefined)[];
}

/** A token of a trace. */
export interface TokenTrace {
    /** Empty for the end of the answer. */
    text: string;
    /** One, or several where a character is spread over tokens; none where nothing was to decide. */
    decisions: DecisionTrace[];
}

export interface DecisionTrace {
    /** Of the candidate that was taken, by probability from 0. */
    rank: number;
    /** True if no candidate was accepted. */
    fallback: boolean;
    by: Decider;
    /** Batches that it took. */
    waves: number;
    /** How many candidates there were; the first of them follow, and all that were judged. */
    count: number;
    candidates: CandidateTrace[];
}

export interface CandidateTrace {
    rank: number;
    token: number;
    text: string;
    probability: number;
    /** Accept probability; null if nobody was asked. */
    accept: number | null;
    by: Decider | null;
    /** Accept probabilities by each of several judges, in their order; null of one that was not asked. Left out where one decides alone. */
    opinions?: SeenOpinions;
    /** True if it was tried before the one that was taken, and rejected. */
    rejected: boolean;
}

/** Counts of an answer so far. */
export interface Progress {
    tokens: number;
    decodes: number;
    seconds: number;
}

/** Candidates that are told though nobody was asked about them. */
const shownUnasked = 8;

export class Tracer {
    readonly #model: LlamaModel;
    readonly #splits: boolean;
    readonly #settings: () => TraceSettings;
    readonly #tokens: Token[] = [];

    readonly progress: () => Progress;

    /** Without `splits` a chunk stays one piece. `settings` are those in force when a token is traced. */
    constructor(
        model: LlamaModel,
        {splits, settings, progress}: {splits: boolean; settings: () => TraceSettings; progress: () => Progress}
    ) {
        this.#model = model;
        this.#splits = splits;
        this.#settings = settings;
        this.progress = progress;
    }

    /** Splits a chunk of text into the texts of its tokens, where these have texts of their own. */
    split(text: string, tokens: readonly Token[], drawn: readonly (Drawn | undefined)[]): Piece[] {
        if (!this.#splits) return text === "" ? [] : [{text, drawn}];
        const before = this.#tokens.length;
        this.#tokens.push(...tokens);
        const texts = tokens.map((token, i) => spellAfter(this.#model, this.#tokens, before + i, token));
        if (texts.join("") !== text) return text === "" && tokens.length === 0 ? [] : [{text, drawn}];
        return texts.map((one, i) => ({text: one, drawn: [drawn[i]]}));
    }

    trace({text, drawn}: Piece): TokenTrace {
        const decisions = drawn.flatMap((one) => (one?.decision === undefined ? [] : [this.#decision(one.decision)]));
        return {text, decisions};
    }

    #decision(record: DecisionRecord): DecisionTrace {
        const {candidates, chosenRank, fallback, by, waves} = record;
        const rejected = new Set(rejectedRanks(record, this.#settings()));
        const shown = candidates.flatMap((candidate, rank): CandidateTrace[] => {
            const {token, probability, acceptProbability, by: judge} = candidate;
            if (rank >= shownUnasked && acceptProbability === null && rank !== chosenRank) return [];
            const text = spellAfter(this.#model, this.#tokens, this.#tokens.length, token);
            const told = {probability: digits(probability), accept: acceptProbability && digits(acceptProbability)};
            const opinions = seenOpinions(candidate);
            const several = opinions === undefined ? {} : {opinions};
            return [{rank, token, text, ...told, by: judge, ...several, rejected: rejected.has(rank)}];
        });
        return {rank: chosenRank, fallback, by, waves, count: candidates.length, candidates: shown};
    }
}

/** The last decision of an answer is about its end, which is no token of it. */
export function endOf(drawn: readonly Drawn[], model: LlamaModel): Drawn | undefined {
    const last = drawn.at(-1);
    return last !== undefined && model.isEogToken(last.token) ? last : undefined;
}

export interface TokenLogprob {
    token: string;
    logprob: number;
    bytes: number[];
}

/** A token among its candidates; the most probable first. */
export function logprobsOf(
    model: LlamaModel,
    {text, drawn}: Piece,
    top: number
): (TokenLogprob & {top_logprobs: TokenLogprob[]})[] {
    return drawn.flatMap((one) => {
        if (one?.probabilities === undefined) return [];
        const spelled = drawn.length === 1 ? text : model.detokenize([one.token]);
        const best = [...one.probabilities].sort(([, a], [, b]) => b - a).slice(0, top);
        return [
            {
                ...logprob(spelled, one.probabilities.get(one.token) ?? 0),
                top_logprobs: best.map(([token, probability]) => logprob(model.detokenize([token], true), probability))
            }
        ];
    });
}

/** JSON knows no infinity: OpenAI's clients take this for a probability of 0. */
const leastLogprob = -9999;

function logprob(token: string, probability: number): TokenLogprob {
    const value = probability > 0 ? Math.log(probability) : leastLogprob;
    return {token, logprob: value, bytes: [...Buffer.from(token)]};
}

function digits(value: number): number {
    return Number(value.toPrecision(4));
}
