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
 * One decision: which of the candidates for a position is emitted (paper §4, Algorithm 1). It keeps the verdicts and applies the
 * acceptance rule; who decodes and judges the candidates, and in which batches, is not its business.
 */
export class Decision {
    /** Most probable first: the index is the rank. */
    readonly candidates: readonly Candidate[];
    /** Accept probability by rank; null where not evaluated. */
    readonly verdicts: (number | null)[];
    /** Rank of the emitted candidate, once it is known. */
    chosen: number | undefined;
    /** True if it is emitted because no candidate was accepted. */
    fallback = false;
    /** Batches that it has taken so far. */
    waves = 0;
    readonly #rule: DecisionRule;
    readonly #order: number[];
    readonly #draw: Draw | undefined;
    #next = 0;

    /** `draw` makes the choices of the "random" strategy. */
    constructor(candidates: readonly Candidate[], rule: DecisionRule, draw?: Draw) {
        this.candidates = candidates;
        this.verdicts = candidates.map(() => null);
        this.#rule = rule;
        this.#order = evaluationOrder(candidates.length, rule.order);
        this.#draw = draw;
        if (candidates.length === 1) this.chosen = 0;
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

    /** Candidates evaluated so far. */
    get tried(): number {
        return this.#next;
    }

    /** Candidates in evaluation order up to and with the chosen one; all of them if none was accepted. */
    get triedUntilAccepted(): number {
        return this.fallback ? this.#next : this.#order.indexOf(this.chosen as number) + 1;
    }

    /** Candidates not evaluated yet. */
    get remaining(): number {
        return this.#order.length - this.#next;
    }

    /** Rank emitted when nothing is accepted. */
    get fallbackRank(): number {
        return Math.min(this.#rule.fallbackIndex, this.candidates.length - 1);
    }

    /** The next `count` ranks to evaluate, in evaluation order. */
    upcoming(count: number): number[] {
        return this.#order.slice(this.#next, this.#next + count);
    }

    /** Enters the verdicts of one wave, given for `upcoming(probabilities.length)`, and chooses if that settles it. */
    enter(probabilities: ArrayLike<number>): void {
        for (const probability of Array.from(probabilities)) {
            const rank = this.#order[this.#next++] as number;
            this.verdicts[rank] = probability;
            if (!this.needsAll && this.chosen === undefined && this.#accepts(rank)) this.chosen = rank;
        }
        this.waves++;
        if (this.chosen === undefined && this.remaining === 0) this.#chooseFromAll();
    }

    #accepts(rank: number): boolean {
        const {threshold} = this.#rule;
        return (
            (this.verdicts[rank] as number) > (typeof threshold === "number" ? threshold : (threshold[rank] as number))
        );
    }

    #chooseFromAll(): void {
        const accepted = this.#order.filter((rank) => this.#accepts(rank));
        if (accepted.length === 0) {
            this.chosen = this.fallbackRank;
            this.fallback = true;
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
