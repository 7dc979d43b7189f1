/** Decisions as plain data, for listeners. */
import type {LlamaContextSequence, Token} from "node-llama-cpp";
import type {Opinions, Panel} from "../steer/panel.js";
import type {Undecided} from "../wave/plan.js";
import type {Decider} from "./decision.js";

/** A candidate as a listener sees it. */
export interface DecidedCandidate {
    token: Token;
    /** Probability among the candidates, after the temperature. */
    probability: number;
    /**
     * Natural logarithms: `before`, the model's own over the whole vocabulary at temperature 1, before guides, penalties, truncation and temperature (null of
     * the decision under way when the first listener comes); `after`, over the candidates, after all of these.
     */
    logProbability: {before: number | null; after: number};
    /** The agent's accept probability, or the student's estimate of it, or what several make of it together; null if the candidate was not evaluated. */
    acceptProbability: number | null;
    /**
     * Who gave it: "agent" (an agent, or a judge of your own, that was shown the candidate's state), "student", or "judge" (one that needs no states); null
     * if the candidate was not evaluated.
     */
    by: Decider | null;
    /** What each agent said, in the order of `agents`, and then the judge; null where one was not asked. */
    opinions: ({acceptProbability: number; by: Decider} | null)[];
}

/** One decision, as plain data. */
export interface DecisionRecord {
    /** Index in the context at which the token goes. */
    position: number;
    /** Most probable first: the index is the rank. */
    candidates: DecidedCandidate[];
    /** The accept probability above which a candidate was accepted. With `combine: "all"` and "any" it is 0.5: see there. */
    threshold: number;
    /** Rank of the emitted candidate. */
    chosenRank: number;
    /** True if it was emitted because no candidate was accepted. */
    fallback: boolean;
    /** Batches that it took to decide. */
    waves: number;
    /** "agent" if a candidate had to be decoded and judged; else "student", or "judge" where only a judge that needs no states decided. */
    by: Decider;
}

/** One decision, reported after its token was chosen. */
export interface DecisionEvent extends DecisionRecord {
    /** The sequence that generates. */
    sequence: LlamaContextSequence;
}

/** What `aligner.onDecision` calls. Its result is not waited for. */
export type DecisionListener = (event: DecisionEvent) => unknown;

/** `modelLogs`: the model's log-probabilities of the candidates; undefined if nobody was listening when they were drawn. */
export function recordOf(
    {position, decision, panel, opinions}: Undecided,
    modelLogs: readonly number[] | undefined
): DecisionRecord {
    const {candidates, verdicts, deciders, chosen, fallback, waves, by} = decision;
    const decided = candidates.map(
        ({token, probability}, rank): DecidedCandidate => ({
            token: token as Token,
            probability,
            logProbability: {before: modelLogs?.[rank] ?? null, after: Math.log(probability)},
            acceptProbability: verdicts[rank] ?? null,
            by: deciders[rank] ?? null,
            opinions: byPlace(panel, opinions[rank] as Opinions)
        })
    );
    const {threshold} = panel;
    return {position, candidates: decided, threshold, chosenRank: chosen as number, fallback, waves, by};
}

function byPlace(panel: Panel, opinions: Opinions): DecidedCandidate["opinions"] {
    const placed: DecidedCandidate["opinions"] = Array.from({length: panel.places}, () => null);
    for (const [i, {place}] of panel.members.entries()) {
        const opinion = opinions[i];
        if (opinion != null) placed[place] = {acceptProbability: opinion.probability, by: opinion.by};
    }
    return placed;
}
