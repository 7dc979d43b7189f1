/** Labelled hidden states in memory, and how well an agent tells them apart. */
import type {MaraAgent} from "../../agent/agent.js";
import {pack, unpack} from "../run/segments.js";

/** One segment: n tokens of some pairs. */
export interface Labelled {
    /** [n][width] */
    states: Float32Array;
    /** 1 accept, 0 reject. */
    labels: Uint8Array;
    weights: Float32Array;
    /** Index of each token's pair. */
    pairs: Int32Array;
}

export function packLabelled({states, labels, weights, pairs}: Labelled): Uint8Array {
    return pack({states, labels, weights, pairs});
}

export function unpackLabelled(bytes: Uint8Array): Labelled {
    return unpack<keyof Labelled>(bytes) as unknown as Labelled;
}

export function joinLabelled(parts: readonly Labelled[]): Labelled {
    const joined = <Name extends keyof Labelled>(name: Name, make: (length: number) => Labelled[Name]) => {
        const whole = make(parts.reduce((sum, part) => sum + part[name].length, 0));
        let at = 0;
        for (const part of parts) {
            whole.set(part[name] as never, at);
            at += part[name].length;
        }
        return whole;
    };
    return {
        states: joined("states", (length) => new Float32Array(length)),
        labels: joined("labels", (length) => new Uint8Array(length)),
        weights: joined("weights", (length) => new Float32Array(length)),
        pairs: joined("pairs", (length) => new Int32Array(length))
    };
}

/** The tokens at `rows`, copied. */
export function pick({states, labels, weights, pairs}: Labelled, rows: Uint32Array, width: number): Labelled {
    const picked = new Float32Array(rows.length * width);
    for (const [i, row] of rows.entries()) picked.set(states.subarray(row * width, (row + 1) * width), i * width);
    return {
        states: picked,
        labels: Uint8Array.from(rows, (row) => labels[row] as number),
        weights: Float32Array.from(rows, (row) => weights[row] as number),
        pairs: Int32Array.from(rows, (row) => pairs[row] as number)
    };
}

/** Tells which pairs or prompts, by their index, are to be left as they are. */
export type LeftAlone = (pair: number) => boolean;

const none: LeftAlone = () => false;

/**
 * Scales weights in place: those of accept labels sum to `acceptBias` times those of reject labels, and their mean is 1. Tokens that are
 * left alone have no part in that; each weighs 1.
 */
export function balance({labels, weights, pairs}: Labelled, acceptBias: number, leftAlone = none): void {
    const sums = [0, 0];
    let count = 0;
    for (const [i, label] of labels.entries()) {
        if (leftAlone(pairs[i] as number)) continue;
        sums[label] = (sums[label] as number) + (weights[i] as number);
        count++;
    }
    const [reject, accept] = sums as [number, number];
    const unit = count / (1 + acceptBias);
    for (const [i, label] of labels.entries())
        weights[i] = leftAlone(pairs[i] as number)
            ? 1
            : (weights[i] as number) * (label === 1 ? (unit * acceptBias) / accept : unit / reject);
}

export interface Judgement {
    /** Weighted mean of the cross-entropy. */
    loss: number;
    /** Weighted share of the tokens on the right side of one half. */
    accuracy: number;
    pairs: number;
    /** Share of the pairs whose chosen tokens have the higher mean log-odds of being accepted. */
    toldApart: number;
}

export async function judge(
    agent: MaraAgent,
    {states, labels, weights, pairs}: Labelled,
    leftAlone = none
): Promise<Judgement> {
    const accepted = await agent.scoreAsync(states);
    let [loss, right, total] = [0, 0, 0];
    const odds = new Map<number, [rejected: number, rejectedWeight: number, chosen: number, chosenWeight: number]>();
    for (const [i, probability] of accepted.entries()) {
        const weight = weights[i] as number;
        const label = labels[i] as number;
        // A probability in float32 may be rounded to exactly 0 or 1.
        const p = Math.min(1 - 1e-7, Math.max(1e-7, probability));
        loss -= weight * Math.log(label === 1 ? p : 1 - p);
        right += weight * Number(probability > 0.5 === (label === 1));
        total += weight;
        if (leftAlone(pairs[i] as number)) continue;
        const sums = odds.get(pairs[i] as number) ?? [0, 0, 0, 0];
        odds.set(pairs[i] as number, sums);
        sums[2 * label] = (sums[2 * label] as number) + weight * Math.log(p / (1 - p));
        sums[2 * label + 1] = (sums[2 * label + 1] as number) + weight;
    }
    const told = [...odds.values()].filter(
        ([rejected, rejectedWeight, chosen, chosenWeight]) => chosen / chosenWeight > rejected / rejectedWeight
    );
    return {loss: loss / total, accuracy: right / total, pairs: odds.size, toldApart: told.length};
}
