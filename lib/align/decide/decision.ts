import type {Order, Strategy} from "../options.js";
import type {Candidate} from "./candidates.js";

/** Uniform integer in [0, below). */
export type Draw = (below: number) => number;

/** Which candidate is emitted, given what the judge says of each. */
export interface DecisionRule {
    readonly strategy: Strategy;
    readonly order: Order;
    /** A candidate is accepted if its accept probability is above this; one threshold for all, or one per rank. */
    readonly threshold: number | readonly number[];
    /** Rank emitted when nothing is accepted. Clamped to the last candidate. */
    readonly fallbackIndex: number;
}

/**
 * Who gave a verdict: "agent" if the candidate was decoded for it, and judged by agents or a judge of the caller's own; else "student" if a student's
 * prediction is in it; else "judge", for a judge that needs no states.
 */
export type Decider = "student" | "agent" | "judge";

/** A verdict that needs no decode. */
export interface Foregone {
    readonly verdict: number;
    readonly by: Exclude<Decider, "agent">;
}

/**
 * One decision: which of the candidates for a position is emitted (paper §4, Algorithm 1). It keeps the verdicts and applies the
 * acceptance rule; who decodes and judges the candidates, and in which batches, is not its business.
 */
export class Decision {
    /** Most probable first: the index is the rank. */
    readonly candidates: readonly Candidate[];
    /** Accept probability by rank; null where there is none. */
    readonly verdicts: (number | null)[];
    /** Who gave each verdict. */
    readonly deciders: (Decider | null)[];
    /** Rank of the emitted candidate, once it is known. */
    chosen: number | undefined;
    /** True if it is emitted because no candidate was accepted. */
    fallback = false;
    /** Batches that it has taken so far. */
    waves = 0;
    readonly #rule: DecisionRule;
    /** All ranks in evaluation order. */
    readonly #order: readonly number[];
    /** The ranks that the agent may have to be asked about, in evaluation order. */
    readonly #asked: readonly number[];
    readonly #draw: Draw | undefined;
    #next = 0;

    /**
     * `draw` makes the choices of the "random" strategy. `foregone`: by rank, the verdicts that need no asking; null for the others.
     * They may settle the decision at once.
     */
    constructor(
        candidates: readonly Candidate[],
        rule: DecisionRule,
        draw?: Draw,
        foregone?: readonly (Foregone | null)[]
    ) {
        this.candidates = candidates;
        this.verdicts = candidates.map((_, rank) => foregone?.[rank]?.verdict ?? null);
        this.deciders = candidates.map((_, rank) => foregone?.[rank]?.by ?? null);
        this.#rule = rule;
        this.#order = evaluationOrder(candidates.length, rule.order);
        this.#asked = this.#ranksToAsk();
        this.#draw = draw;
        if (candidates.length === 1) this.chosen = 0;
        else if (foregone !== undefined && this.remaining === 0) this.#chooseFromAll();
    }

    /** The "first" strategy asks about nothing behind a candidate that is accepted without asking. */
    #ranksToAsk(): number[] {
        const open = this.#order.filter((rank) => this.verdicts[rank] === null);
        const accepted = this.needsAll ? undefined : this.#order.find((rank) => this.#accepts(rank));
        return accepted === undefined
            ? open
            : open.filter((rank) => this.#order.indexOf(rank) < this.#order.indexOf(accepted));
    }

    /** The token emitted; to be asked for once the choice is known. */
    get token(): number {
        return this.tokenAt(this.chosen as number);
    }

    tokenAt(rank: number): number {
        return (this.candidates[rank] as Candidate).token;
    }

    /** True if the chosen candidate was accepted, rather than being the fallback or the only one. */
    get accepted(): boolean {
        return this.chosen !== undefined && !this.fallback && this.candidates.length > 1;
    }

    /** True if the strategy needs every verdict before it can choose. */
    get needsAll(): boolean {
        return this.#rule.strategy !== "first";
    }

    /** "agent" if a candidate had to be decoded and judged; else "student" if one of its verdicts is in it. */
    get by(): Decider {
        return (["agent", "student"] as const).find((one) => this.deciders.includes(one)) ?? "judge";
    }

    /** How many of the verdicts on which the choice stands are a student's. It stands on all where each counted, else on those up to the chosen candidate's. */
    get studentVerdicts(): number {
        const isWhole = this.needsAll || this.fallback;
        const order = isWhole ? this.#order : this.#order.slice(0, this.#order.indexOf(this.chosen as number) + 1);
        return order.filter((rank) => this.deciders[rank] === "student").length;
    }

    /** True if the chosen candidate was accepted by whom it had to be asked of. */
    get acceptedWhenAsked(): boolean {
        return this.accepted && this.deciders[this.chosen as number] === "agent";
    }

    /** Candidates asked about so far. */
    get tried(): number {
        return this.#next;
    }

    /** Candidates asked about, in evaluation order up to and with the chosen one; all of them if none of these was accepted. */
    get triedUntilAccepted(): number {
        return this.acceptedWhenAsked ? this.#asked.indexOf(this.chosen as number) + 1 : this.#next;
    }

    /** Candidates to be asked about yet. */
    get remaining(): number {
        return this.#asked.length - this.#next;
    }

    /** The rank that is worth decoding beside the last ones asked about: the fallback, if it is emitted when all of these are rejected. */
    get rankAlong(): number | undefined {
        const isForegone = (rank: number) => this.deciders[rank] !== null && this.deciders[rank] !== "agent";
        const isSettled =
            isForegone(this.fallbackRank) || this.#order.some((rank) => isForegone(rank) && this.#accepts(rank));
        return isSettled ? undefined : this.fallbackRank;
    }

    /** Rank emitted when nothing is accepted. */
    get fallbackRank(): number {
        return Math.min(this.#rule.fallbackIndex, this.candidates.length - 1);
    }

    /** The next `count` ranks to ask about, in evaluation order. */
    upcoming(count: number): number[] {
        return this.#asked.slice(this.#next, this.#next + count);
    }

    /** Enters the verdicts of one wave, given for `upcoming(probabilities.length)`, and chooses if that settles it. */
    enter(probabilities: ArrayLike<number>): void {
        for (const probability of Array.from(probabilities)) {
            const rank = this.#asked[this.#next++] as number;
            this.verdicts[rank] = probability;
            this.deciders[rank] = "agent";
            if (!this.needsAll && this.chosen === undefined && this.#accepts(rank)) this.chosen = rank;
        }
        this.waves++;
        if (this.chosen === undefined && this.remaining === 0) this.#chooseFromAll();
    }

    #accepts(rank: number): boolean {
        const {threshold} = this.#rule;
        const verdict = this.verdicts[rank] ?? null;
        return verdict !== null && verdict > (typeof threshold === "number" ? threshold : (threshold[rank] as number));
    }

    #chooseFromAll(): void {
        const accepted = this.#order.filter((rank) => this.#accepts(rank));
        if (accepted.length === 0) {
            this.chosen = this.fallbackRank;
            this.fallback = true;
        } else if (!this.needsAll) {
            this.chosen = accepted[0];
        } else if (this.#rule.strategy === "random") {
            this.chosen = accepted[(this.#draw as Draw)(accepted.length)] as number;
        } else {
            // Ties go to the candidate tried first.
            this.chosen = accepted.reduce((best, rank) =>
                (this.verdicts[rank] as number) > (this.verdicts[best] as number) ? rank : best
            );
        }
    }
}

/** Ranks in the order in which they are tried. */
export function evaluationOrder(count: number, order: Order): number[] {
    const ranks = Array.from({length: count}, (_, rank) => rank);
    if (order === "reverse") return ranks.reverse();
    if (order === "top-last") return [...ranks.slice(1), 0];
    return ranks;
}
