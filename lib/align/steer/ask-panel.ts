import type {LlamaContextSequence, Token} from "node-llama-cpp";
import type {Candidate} from "../decide/candidates.js";
import type {Foregone} from "../decide/decision.js";
import {asToken} from "../node-llama-cpp/internals.js";
import type {Strategy} from "../options.js";
import {askJudge} from "./judge.js";
import {logitOf, type Opinions, type Panel} from "./panel.js";

/** What a panel is asked about, and what it has said so far. */
export interface Deliberation {
    readonly panel: Panel;
    /** Most probable first: the index is the rank. */
    readonly candidates: readonly Candidate[];
    /** By rank: what has been said of each candidate. */
    readonly opinions: readonly Opinions[];
    /** True if accepted candidates are compared by their verdicts. */
    readonly compares: boolean;
    /** Index in the context at which the candidates would go. */
    readonly position: number;
    /** The deciding sequence, kept because its number may have another holder by the time that this is settled. */
    readonly holder: LlamaContextSequence | undefined;
    /** The text that the candidates would follow. */
    readonly text: () => {prompt: readonly Token[]; answer: readonly Token[]};
}

/** A deliberation about candidates for a position, in which nothing has been said yet. `text`: that of the sequence, which may grow meanwhile. */
export function deliberate(
    position: number,
    {
        settings: {panel, strategy},
        sequence: holder
    }: {settings: {panel: Panel; strategy: Strategy}; sequence: LlamaContextSequence | undefined},
    {tokens, responseStart}: {tokens: readonly number[]; responseStart: number},
    candidates: readonly Candidate[]
): Deliberation {
    const text = () => ({
        prompt: tokens.slice(0, responseStart).map(asToken),
        answer: tokens.slice(responseStart, position).map(asToken)
    });
    const opinions = candidates.map((): Opinions => panel.members.map(() => null));
    return {panel, candidates, opinions, compares: strategy === "max-prob", position, holder, text};
}

/**
 * Asks the panel's own judge, if it has one, about the candidates of these ranks, and notes its opinions. Those whose verdict is certain without it are left
 * out. `statesOf` gives the states of some of them, by their index in `ranks`; `width`: numbers per state.
 * @throws MaraError JUDGE_FAILED
 */
export async function askPanel(
    {panel, candidates, opinions, compares, position, holder, text}: Deliberation,
    ranks: readonly number[],
    width: number,
    statesOf: (indexes: readonly number[]) => Float32Array
): Promise<void> {
    const {own} = panel;
    if (own === undefined) return;
    const isOpen = (rank: number) => panel.verdict(opinions[rank] as Opinions, compares) === null;
    const open = [...ranks.keys()].filter((index) => isOpen(ranks[index] as number));
    if (open.length === 0) return;
    const asked = open.map((index) => ranks[index] as number);
    const verdicts = await askJudge(own.judge, {
        states: statesOf(open),
        width,
        candidates: asked.map((rank) => asToken((candidates[rank] as Candidate).token)),
        position,
        sequence: holder as LlamaContextSequence,
        get prompt() {
            return text().prompt;
        },
        get answer() {
            return text().answer;
        }
    });
    for (const [i, rank] of asked.entries()) {
        const probability = verdicts[i] as number;
        (opinions[rank] as Opinions)[own.index] = {probability, logit: logitOf(probability), by: "judge"};
    }
}

/** The verdicts that opinions make certain already; undefined where there are none. */
export function foregone({panel, opinions, compares}: Deliberation): (Foregone | null)[] | undefined {
    if (opinions.every((ofOne) => ofOne.every((opinion) => opinion === null))) return undefined;
    return opinions.map((ofOne) => {
        const verdict = panel.verdict(ofOne, compares);
        if (verdict === null) return null;
        return {verdict, by: ofOne.some((opinion) => opinion?.by === "student") ? "student" : "judge"};
    });
}
