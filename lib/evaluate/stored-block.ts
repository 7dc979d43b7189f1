/** A block of a side's answers as it is kept, wherever it was made. */
import type {LlamaContext} from "node-llama-cpp";
import type {Aligner} from "../align/aligner.js";
import type {Answer, Block} from "../generation/answers.js";
import {type TraceSettings, viewAnswer} from "../report/token-view.js";
import type {Counts, StoredAnswer, StoredBlock} from "./side-store.js";

/** A side's context. */
export interface OpenSide {
    context: LlamaContext;
    aligner?: Aligner;
    trace?: TraceSettings;
    close(): Promise<void>;
}

/** `first`: index of the first answer. The aligner's counters are those since they were reset. */
export function storedBlock(open: OpenSide, first: number, block: Block): StoredBlock {
    const counts = countsOf(open);
    return {
        first,
        answers: block.answers.map((answer) => stored(open, answer)),
        generatedTokens: block.generatedTokens,
        decodes: counts?.decodes ?? block.rounds,
        seconds: block.seconds,
        ...(counts === undefined ? {} : {counts})
    };
}

function stored({context, trace}: OpenSide, answer: Answer): StoredAnswer {
    const {text, tokens, ended} = answer;
    return {text, tokens, ended, ...(trace === undefined ? {} : {trace: viewAnswer(context.model, answer, trace)})};
}

function countsOf({aligner}: OpenSide): Counts | undefined {
    if (aligner === undefined) return undefined;
    const {time: _, ...counts} = aligner.stats();
    return counts;
}

/** The counters of several blocks together. */
export function sumCounts(all: readonly Counts[]): Counts | undefined {
    const [first, ...others] = structuredClone(all);
    if (first === undefined) return undefined;
    for (const counts of others) {
        // Answers that an earlier release saved have no counts of a student's.
        for (const key of [
            "generatedTokens",
            "decisions",
            "fallbacks",
            "decodes",
            "waves",
            "evaluatedCandidates",
            "studentVerdicts",
            "studentDecisions"
        ] as const)
            first[key] = (first[key] ?? 0) + (counts[key] ?? 0);
        for (const key of ["candidateCounts", "acceptedRanks"] as const)
            for (const [i, count] of counts[key].entries()) first[key][i] = (first[key][i] ?? 0) + count;
        first.opinions ??= [];
        for (const [i, {given, accepted, byStudent}] of (counts.opinions ?? []).entries()) {
            const before = first.opinions[i] ?? {given: 0, accepted: 0, byStudent: 0};
            first.opinions[i] = {
                given: before.given + given,
                accepted: before.accepted + accepted,
                byStudent: before.byStudent + byStudent
            };
        }
    }
    return first;
}
