import type {NativeAgent} from "../../native.js";
import type {Order, ResolvedSettings} from "../options.js";
import type {Candidate} from "./candidates.js";

/** A token that is decided, and where it stands. */
export interface Rider {
    readonly sequence: number;
    readonly position: number;
    readonly token: number;
    /** How many of the largest logits that it leads to are wanted (`topWanted`). */
    readonly top?: number;
}

/** Uniform integer in [0, below). */
export type Draw = (below: number) => number;

/**
 * One decision: which of the candidates for one position of one sequence is emitted (paper §4, Algorithm 1).
 * Pure bookkeeping; who decodes and judges the candidates, and in which batches, is not its business.
 */
export class Decision {
    readonly sequence: number;
    readonly position: number;
    /** Most probable first: the index is the rank. */
    readonly candidates: readonly Candidate[];
    readonly settings: ResolvedSettings;
    readonly agent: NativeAgent;
    /**
     * The token before, if its cell is out of order in the cache: it is decoded anew in front of the first candidate. The order
     * of cells changes the rounding of attention, and quantised models turn that into other text; so the order is kept, and
     * how candidates were batched never shows in what is emitted.
     */
    readonly predecessor: Rider | undefined;
    /** How many of the largest logits that the chosen token leads to are wanted (`topWanted`). */
    readonly top: number;
    /** Accept probability by rank; null where not evaluated. */
    readonly verdicts: (number | null)[];
    /** Rank of the emitted candidate, once it is known. */
    chosen: number | undefined;
    fallback = false;
    waves = 0;
    readonly #order: number[];
    readonly #draw: Draw;
    #next = 0;

    constructor(options: {
        sequence: number;
        position: number;
        candidates: readonly Candidate[];
        settings: ResolvedSettings;
        agent: NativeAgent;
        predecessor: Rider | undefined;
        top: number;
        draw: Draw;
    }) {
        this.sequence = options.sequence;
        this.position = options.position;
        this.candidates = options.candidates;
        this.settings = options.settings;
        this.agent = options.agent;
        this.predecessor = options.predecessor;
        this.top = options.top;
        this.verdicts = options.candidates.map(() => null);
        this.#order = evaluationOrder(options.candidates.length, options.settings.order);
        this.#draw = options.draw;
    }

    /** Whether a whole-list strategy needs every verdict before it can choose. */
    get needsAll(): boolean {
        return this.settings.strategy !== "first";
    }

    /** Candidates evaluated so far. */
    get tried(): number {
        return this.#next;
    }

    /** Once settled: candidates up to the accepted one, in evaluation order; all of them if none was accepted. */
    get triedUntilAccepted(): number {
        return this.fallback ? this.#next : this.#order.indexOf(this.chosen as number) + 1;
    }

    /** Candidates not evaluated yet. */
    get remaining(): number {
        return this.#order.length - this.#next;
    }

    /** Rank emitted when nothing is accepted. */
    get fallbackRank(): number {
        return Math.min(this.settings.fallbackIndex, this.candidates.length - 1);
    }

    /** The next `count` ranks to evaluate, in evaluation order. */
    upcoming(count: number): number[] {
        return this.#order.slice(this.#next, this.#next + count);
    }

    /** Enters the verdicts of one wave, given for `upcoming(probabilities.length)`, and chooses if that settles it. */
    enter(probabilities: readonly number[]): void {
        for (const probability of probabilities) {
            const rank = this.#order[this.#next++] as number;
            this.verdicts[rank] = probability;
            if (!this.needsAll && this.chosen === undefined && this.#accepts(rank)) this.chosen = rank;
        }
        this.waves++;
        if (this.chosen === undefined && this.remaining === 0) this.#chooseFromAll();
    }

    #accepts(rank: number): boolean {
        return (this.verdicts[rank] as number) > this.settings.threshold;
    }

    #chooseFromAll(): void {
        const accepted = this.#order.filter((rank) => this.#accepts(rank));
        if (accepted.length === 0) {
            this.chosen = this.fallbackRank;
            this.fallback = true;
        } else if (this.settings.strategy === "random") {
            this.chosen = accepted[this.#draw(accepted.length)] as number;
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
