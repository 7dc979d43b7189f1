import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";

/** Uniform in [0, 1), in steps of 2^-24, so that float32 holds it. */
export type Uniform = () => number;

/** The stream of a seed, an integer. */
export function uniformStream(seed: number): Uniform {
    const generator = xoroshiro128plus(mixed(mixed(seed) ^ Math.floor(seed / 2 ** 32)));
    // The seed is mixed, because the first numbers of neighbouring seeds would resemble each other.
    for (let i = 0; i < 16; i++) generator.next();
    return () => uniformInt(generator, 0, 0xffffff) / 0x1000000;
}

/** Uniform integers in [0, below): the random choices of one sequence, which others do not disturb. */
export function randomChoices(seed: number, sequence: number): (below: number) => number {
    const generator = xoroshiro128plus((seed ^ Math.imul(sequence + 1, 0x9e3779b1)) | 0);
    return (below) => uniformInt(generator, 0, below - 1);
}

/** Every bit depends on every bit (the finaliser of MurmurHash3). */
export function mixed(bits: number): number {
    let value = bits | 0;
    value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
    value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
    return value ^ (value >>> 16);
}
