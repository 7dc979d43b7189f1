import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";

/** Random numbers from a seed; the same on every machine. */
export interface Random {
    /** Whole number, both ends included. */
    integer(low: number, high: number): number;
    /** In (0, 1). */
    uniform(): number;
    /** Standard normal. */
    normal(): number;
    pick<T>(items: readonly T[]): T;
}

export function seededRandom(seed: number): Random {
    const generator = xoroshiro128plus(seed);
    const integer = (low: number, high: number) => uniformInt(generator, low, high);
    const uniform = () => (integer(0, 2 ** 30 - 1) + 0.5) / 2 ** 30;
    return {
        integer,
        uniform,
        normal: () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
        pick: (items) => items[integer(0, items.length - 1)] as (typeof items)[number]
    };
}
