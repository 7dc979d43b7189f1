import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";

/** Uniform in [0, 1), in steps of 2^-31. */
export type Uniform = () => number;

export function uniformStream(seed: number): Uniform {
    const generator = xoroshiro128plus(seed | 0);
    return () => uniformInt(generator, 0, 0x7fffffff) / 0x80000000;
}

/**
 * How a training decision comes about: each candidate, in order, is accepted with its accept probability, and the first accepted
 * one is emitted; if none is, the fallback. All are judged in any case: the penalty on leaving the model's distribution needs
 * every accept probability.
 */
export class Exploration {
    readonly #count: number;
    readonly #fallbackRank: number;
    readonly #uniform: Uniform;
    #entered = 0;
    #chosen: number | undefined;
    #accepted = false;

    /** @param fallbackRank rank emitted when none is accepted; clamped to the last */
    constructor(count: number, fallbackRank: number, uniform: Uniform) {
        this.#count = count;
        this.#fallbackRank = Math.min(fallbackRank, count - 1);
        this.#uniform = uniform;
        if (count === 1) this.#chosen = 0;
    }

    /** Rank of the emitted candidate, once it is known. */
    get chosen(): number | undefined {
        return this.#chosen;
    }

    /** Whether it was accepted, rather than being the fallback or the only one. */
    get accepted(): boolean {
        return this.#accepted;
    }

    /** Enters the accept probability of the next candidate. */
    enter(probability: number): void {
        const rank = this.#entered++;
        if (this.#chosen !== undefined) return;
        if (this.#uniform() < probability) {
            this.#chosen = rank;
            this.#accepted = true;
        } else if (this.#entered === this.#count) this.#chosen = this.#fallbackRank;
    }
}
