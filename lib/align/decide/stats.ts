import type {PlacedToken} from "../backend/backend.js";
import type {Opinions, Panel} from "../steer/panel.js";
import type {Decision} from "./decision.js";

/** Counts of the aligner's work since the context was created or `resetStats()` was called. Times are in milliseconds. */
export interface AlignerStats {
    /** Tokens emitted while the aligner was enabled, end-of-generation tokens included. */
    generatedTokens: number;
    /** Tokens for which there was more than one candidate, so that something was decided. */
    decisions: number;
    /** Decisions in which no candidate was accepted. */
    fallbacks: number;
    /** `candidateCounts[n]`: tokens that had n candidates. */
    candidateCounts: number[];
    /** `acceptedRanks[r]`: decisions that emitted, by acceptance, the candidate of rank r. Fallbacks are not in it. */
    acceptedRanks: number[];
    /** Batches decoded for generated tokens and candidates; prompts are not in it. For one sequence: batches it took part in. */
    decodes: number;
    /** Batches of candidates judged; one decode each. */
    waves: number;
    /** Candidates judged, by agents or a judge of your own. */
    evaluatedCandidates: number;
    /** Verdicts in which a student stood in for its agent, on candidates up to the one that was chosen (option `cascade`). */
    studentVerdicts: number;
    /** Decisions that the student's verdicts settled, so that no candidate was judged. */
    studentDecisions: number;
    /** What each agent said, in the order of `agents`, and then what the judge said. */
    opinions: OpinionCounts[];
    time: {
        /** Time in llama_decode, for the batches that `decodes` counts. */
        decode: number;
        /** Time in the networks of the agents. */
        kernel: number;
        /** Time of everything else that deciding took: sampling the candidates, scheduling, JavaScript. */
        rest: number;
    };
}

/** What one agent, or the judge, said of candidates. */
export interface OpinionCounts {
    /** Candidates of which it said anything; those of which its student did are among them. */
    given: number;
    /** How many of these are above its own threshold. */
    accepted: number;
    /** For how many of these its student spoke. */
    byStudent: number;
}

export function emptyStats(): AlignerStats {
    return {
        generatedTokens: 0,
        decisions: 0,
        fallbacks: 0,
        candidateCounts: [],
        acceptedRanks: [],
        decodes: 0,
        waves: 0,
        evaluatedCandidates: 0,
        studentVerdicts: 0,
        studentDecisions: 0,
        opinions: [],
        time: {decode: 0, kernel: 0, rest: 0}
    };
}

export function countToken(stats: AlignerStats, candidates: number, decision?: Decision): void {
    stats.generatedTokens++;
    increment(stats.candidateCounts, candidates);
    if (decision === undefined) return;
    stats.decisions++;
    if (decision.fallback) stats.fallbacks++;
    else increment(stats.acceptedRanks, decision.chosen as number);
    stats.evaluatedCandidates += decision.deciders.filter((one) => one === "agent" || one === "judge").length;
    stats.studentVerdicts += decision.studentVerdicts;
    if (decision.by === "student") stats.studentDecisions++;
}

/** A sequence's counters, and the last token that it emitted: a token that node-llama-cpp evaluates there is generated, any other is prompt. */
export interface CountedSequence {
    readonly stats: AlignerStats;
    /** The last token emitted and its position. */
    emitted?: {position: number; token: number};
}

/** True for the token that the sequence has emitted last, rather than one of a prompt. */
export function isGenerated({position, token}: Omit<PlacedToken, "sequence">, {emitted}: CountedSequence): boolean {
    return emitted?.position === position && emitted.token === token;
}

/** Counts for a whole context and for each of its sequences. */
export class Counters {
    readonly total: AlignerStats;
    readonly #owner: {_stateOf(sequence: number): CountedSequence};

    constructor(total: AlignerStats, owner: {_stateOf(sequence: number): CountedSequence}) {
        this.total = total;
        this.#owner = owner;
    }

    /** A decode of tokens that node-llama-cpp asked for; it counts for the sequences whose generated token is among them. */
    countBatch(tokens: readonly PlacedToken[], times: {decodeMs: number; kernelMs?: number}): void {
        const generated = tokens.filter((token) => isGenerated(token, this.#owner._stateOf(token.sequence)));
        this.#count(generated, times, false);
    }

    /** A wave in which these tokens were decoded. */
    countWave(tokens: readonly PlacedToken[], times: {decodeMs: number; kernelMs: number}): void {
        this.#count(tokens, times, true);
    }

    #count(tokens: readonly PlacedToken[], times: {decodeMs: number; kernelMs?: number}, isWave: boolean): void {
        if (tokens.length === 0) return;
        const sequences = new Set(tokens.map(({sequence}) => sequence));
        for (const stats of [this.total, ...[...sequences].map((id) => this.#owner._stateOf(id).stats)]) {
            stats.decodes++;
            if (isWave) stats.waves++;
            stats.time.decode += times.decodeMs;
            stats.time.kernel += times.kernelMs ?? 0;
        }
    }
}

/** `opinions`: by rank, in the order of the panel's members. */
export function countOpinions(stats: AlignerStats, {members, places}: Panel, opinions: readonly Opinions[]): void {
    while (stats.opinions.length < places) stats.opinions.push({given: 0, accepted: 0, byStudent: 0});
    for (const [i, {place, threshold}] of members.entries()) {
        const counts = stats.opinions[place] as OpinionCounts;
        for (const ofOne of opinions) {
            const opinion = ofOne[i];
            if (opinion == null) continue;
            counts.given++;
            if (opinion.probability > threshold) counts.accepted++;
            if (opinion.by === "student") counts.byStudent++;
        }
    }
}

function increment(histogram: number[], index: number): void {
    while (histogram.length <= index) histogram.push(0);
    histogram[index] = (histogram[index] as number) + 1;
}
