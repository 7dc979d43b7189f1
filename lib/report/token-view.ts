/** Answers token by token, with their decisions: plain data for pages. */
import type {LlamaModel, Token} from "node-llama-cpp";
import type {Decider} from "../align/decide/decision.js";
import type {DecidedCandidate, DecisionRecord} from "../align/decide/record.js";
import type {Order} from "../align/options.js";

/** The settings that tell rejected candidates from those that were accepted or never needed. */
export interface TraceSettings {
    /** Default "best-first". */
    order?: Order;
}

/** A candidate that was judged, or whose verdict the agent's student gave; probabilities with four digits. */
export type SeenCandidate = [
    rank: number,
    text: string,
    probability: number,
    acceptProbability: number | null,
    by?: "student" | null,
    opinions?: SeenOpinions
];

/** Accept probabilities of several judges, in their order; null of one that was not asked. */
export type SeenOpinions = (number | null)[];

export interface ChoiceView {
    rank: number;
    /** Nothing was accepted. */
    fallback: boolean;
    /** How many candidates there were. */
    candidates: number;
    /** The rejected ones and the chosen one, by rank. */
    seen: SeenCandidate[];
}

/** The text that one token added; or several, where a character is spread over them. */
export interface TokenView {
    /** Empty for the end of the answer. */
    text: string;
    /** Left out where there was nothing to decide. */
    choices?: ChoiceView[];
}

/** Ranks of the candidates that were tried and rejected before the chosen one, or, in a fallback, at all. */
export function rejectedRanks(
    {candidates, threshold, chosenRank, fallback}: DecisionRecord,
    {order}: TraceSettings
): number[] {
    // A wave judges more candidates than it turns out to need. Those behind the chosen one never stood in its way.
    const isBefore = (rank: number) => (order === "reverse" ? rank > chosenRank : rank < chosenRank);
    return candidates.flatMap(({acceptProbability}, rank) =>
        acceptProbability !== null &&
        !(acceptProbability > threshold) &&
        rank !== chosenRank &&
        (fallback || isBefore(rank))
            ? [rank]
            : []
    );
}

/** `spell` gives a token's text. */
export function viewChoice(
    event: DecisionRecord,
    settings: TraceSettings,
    spell: (token: Token) => string
): ChoiceView {
    const {candidates, chosenRank: rank, fallback} = event;
    const shown = [...rejectedRanks(event, settings), rank].sort((a, b) => a - b);
    const seen = shown.flatMap((shownRank): SeenCandidate[] => {
        const candidate = candidates[shownRank];
        if (candidate === undefined) return [];
        const {token, probability, acceptProbability, by} = candidate;
        const accept = acceptProbability === null ? null : digits(acceptProbability);
        return [seenCandidate([shownRank, spell(token), digits(probability), accept], by, seenOpinions(candidate))];
    });
    return {rank, fallback, candidates: candidates.length, seen};
}

/** What several judges said; undefined where one decides alone, whose opinion is the verdict. */
export function seenOpinions({opinions}: DecidedCandidate): SeenOpinions | undefined {
    if (opinions.length < 2) return undefined;
    return opinions.map((opinion) => (opinion === null ? null : digits(opinion.acceptProbability)));
}

/** As short as it can be, since pages hold many. */
export function seenCandidate(
    [rank, text, probability, accept]: [number, string, number, number | null],
    decider: Decider | null,
    opinions: SeenOpinions | undefined
): SeenCandidate {
    const by = decider === "student" ? decider : null;
    if (opinions !== undefined) return [rank, text, probability, accept, by, opinions];
    return by === null ? [rank, text, probability, accept] : [rank, text, probability, accept, by];
}

/** `start` is the position of the first of the answer's tokens. */
export function viewAnswer(
    model: LlamaModel,
    answer: {tokens: readonly Token[]; start: number; decisions: readonly DecisionRecord[]},
    settings: TraceSettings
): TokenView[] {
    const {tokens, start, decisions} = answer;
    const events = new Map(decisions.map((event) => [event.position - start, event]));
    const views: TokenView[] = [];
    let shown = "";
    let choices: ChoiceView[] = [];
    const take = (text: string) => {
        views.push(choices.length > 0 ? {text, choices} : {text});
        choices = [];
    };
    for (let i = 0; i <= tokens.length; i++) {
        const event = events.get(i);
        if (event !== undefined)
            choices.push(viewChoice(event, settings, (token) => spellAfter(model, tokens, i, token)));
        if (i === tokens.length) break;
        const text = model.detokenize(tokens.slice(0, i + 1));
        // Within a character a token has no text of its own. The text comes with a later token.
        if (i + 1 < tokens.length && (text.endsWith("\ufffd") || !text.startsWith(shown))) continue;
        take(text.slice(shown.length));
        shown = text;
    }
    if (choices.length > 0) take("");
    return views;
}

/** Tokens before a token that its spelling can depend on. */
const spellingContext = 8;

export function spellAfter(model: LlamaModel, tokens: readonly Token[], index: number, token: Token): string {
    if (model.isEogToken(token)) return "<end>";
    return model.detokenize([token], false, tokens.slice(Math.max(0, index - spellingContext), index));
}

function digits(value: number): number {
    return Number(value.toPrecision(4));
}
