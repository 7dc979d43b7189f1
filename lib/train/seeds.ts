/** Random numbers that depend on the seed and a place alone, so that a run can be taken up anywhere. */
import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";

/** A seed of 32 bits for the place that the numbers name. */
export function derivedSeed(...place: readonly number[]): number {
    let value = 0x9e3779b9;
    for (const part of place) {
        value = Math.imul(value ^ (part >>> 0), 0x85ebca6b);
        value = Math.imul(value ^ (value >>> 13) ^ Math.floor(part / 2 ** 32), 0xc2b2ae35);
        value ^= value >>> 16;
    }
    return value >>> 0;
}

/** The numbers below `count` in the order of a shuffle (Fisher and Yates). */
export function shuffled(count: number, seed: number): Uint32Array {
    const order = Uint32Array.from({length: count}, (_, i) => i);
    const random = xoroshiro128plus(seed);
    for (let i = count - 1; i > 0; i--) {
        const j = uniformInt(random, 0, i);
        [order[i], order[j]] = [order[j] as number, order[i] as number];
    }
    return order;
}

/** The uses of a derived seed, numbered because two uses of one run's seed must not meet. */
export const use = {
    order: 1,
    rollout: 2,
    samples: 3,
    heldOut: 4,
    fit: 5,
    learner: 6,
    student: 7,
    some: 8,
    value: 9
} as const;

/** Splits prompts, by index, into those that episodes answer and those held out: `wanted` of the latter, but at most a tenth. Who wants fewer gets some of the same. */
export function splitPrompts(count: number, wanted: number, seed: number): {training: number[]; heldOut: number[]} {
    const order = shuffled(count, derivedSeed(seed, use.heldOut));
    const size = Math.min(wanted, Math.floor(count / 10));
    const inOrder = (indexes: Uint32Array) => [...indexes].sort((a, b) => a - b);
    return {training: inOrder(order.subarray(size)), heldOut: inOrder(order.subarray(0, size))};
}

/** How many prompts a run of sac wants held out. The first of them are answered every so often, all of them to find the threshold. */
export function heldOutOfSac({
    checkPrompts,
    calibrationPrompts,
    holdsOutForCalibration
}: {
    checkPrompts: number;
    calibrationPrompts: number;
    holdsOutForCalibration: boolean;
}): number {
    return holdsOutForCalibration ? Math.max(checkPrompts, calibrationPrompts) : checkPrompts;
}

/** Indexes, among `count` prompts, of those that responses are sampled for: at most `samplePrompts`, drawn by the seed, in order. */
export function sampledPrompts({samplePrompts, seed}: {samplePrompts: number; seed: number}, count: number): number[] {
    const drawn = shuffled(count, derivedSeed(seed, use.some)).subarray(0, samplePrompts);
    return [...drawn].sort((a, b) => a - b);
}

/** Which prompt each episode answers: every prompt once before any comes again, each time in another order. */
export function promptOfEpisode(prompts: number, seed: number): (episode: number) => number {
    let epoch = -1;
    let order: Uint32Array = new Uint32Array(0);
    return (episode) => {
        const wanted = Math.floor(episode / prompts);
        if (wanted !== epoch) order = shuffled(prompts, derivedSeed(seed, use.order, wanted));
        epoch = wanted;
        return order[episode % prompts] as number;
    };
}
