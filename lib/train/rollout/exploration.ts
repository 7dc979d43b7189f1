import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";

/** Uniform in [0, 1), in steps of 2^-24, so that float32 holds it. */
export type Uniform = () => number;

/** The stream of a seed, an integer. */
export function uniformStream(seed: number): Uniform {
    const generator = xoroshiro128plus(mixed(mixed(seed) ^ Math.floor(seed / 2 ** 32)));
    // The first numbers of neighbouring seeds would resemble each other.
    for (let i = 0; i < 16; i++) generator.next();
    return () => uniformInt(generator, 0, 0xffffff) / 0x1000000;
}

/** Every bit depends on every bit (the finaliser of MurmurHash3). */
function mixed(bits: number): number {
    let value = bits | 0;
    value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
    value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
    return value ^ (value >>> 16);
}

/**
 * How a training decision comes about: each candidate, in order, is accepted with its accept probability, and the first accepted
 * one is emitted; if none is, the fallback. All are judged in any case: the penalty on leaving the model's distribution needs
 * every accept probability.
 */
export class Exploration {
    /** By rank: a candidate is accepted if its accept probability is above this. Empty where there is nothing to decide. */
    readonly thresholds: readonly number[];
    readonly #fallbackRank: number;
    #entered = 0;
    #chosen: number | undefined;
    #accepted = false;

    /** @param fallbackRank rank emitted when none is accepted; clamped to the last */
    constructor(count: number, fallbackRank: number, uniform: Uniform) {
        this.thresholds = count === 1 ? [] : Array.from({length: count}, uniform);
        this.#fallbackRank = Math.min(fallbackRank, count - 1);
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
        if (probability > (this.thresholds[rank] as number)) {
            this.#chosen = rank;
            this.#accepted = true;
        } else if (this.#entered === this.thresholds.length) this.#chosen = this.#fallbackRank;
    }
}
