import type {Decision} from "../decide/decision.js";
import {AcceptanceRates} from "./acceptance-rates.js";
import {DecodeCosts} from "./decode-costs.js";

export interface WaveLimits {
    /** Places of the batch that go to tokens without a decision. */
    readonly taken: number;
    /** Places of the batch left for candidates; at least one per decision. */
    readonly places: number;
    /** Candidates beyond the first of each decision. */
    readonly lanes: number;
}

/** A batch in which predicted tokens may be decoded along. */
export interface RunLimits {
    /** The batch's tokens without them. */
    readonly tokens: number;
    /** Sequences that take part in it. */
    readonly sequences: number;
}

/** Predicted tokens that are worth their decode, if the chances are what they seem. */
export interface PlannedRun {
    readonly length: number;
    /** What they cost, as far as is known by now, in single tokens' decodes. */
    readonly cost: () => number;
}

/** How many candidates of each open decision the next wave tries. Waves change time, never tokens. */
export interface WaveScheduler {
    /** At least 1 and at most `remaining` for each of `open`. */
    plan(open: readonly Decision[], limits: WaveLimits): number[];
    /**
     * How many predicted tokens are decoded along, behind a batch's token or behind the first candidate of `decision`. `chances`: of the first
     * being emitted, of the first two, …, if that one is.
     */
    planRun(chances: readonly number[], limits: RunLimits, decision?: Decision): PlannedRun;
    /** A wave's batch of `tokens` took `decodeMs`. */
    observeWave(tokens: number, decodeMs: number): void;
    /** A decision was settled. */
    observeDecision(decision: Decision): void;
}

/** Uses the same sizes for every decision: its first wave, its second, …; the last size is repeated. */
export class FixedWaves implements WaveScheduler {
    readonly #sizes: readonly number[];

    constructor(sizes: readonly number[]) {
        this.#sizes = sizes;
    }

    plan(open: readonly Decision[], limits: WaveLimits): number[] {
        const wanted = open.map(
            (decision) => wantAll(decision) ?? this.#sizes[decision.waves] ?? this.#sizes.at(-1) ?? 1
        );
        return dealLanes(open, wanted, limits);
    }

    planRun(chances: readonly number[]): PlannedRun {
        return {length: chances.length, cost: () => 0};
    }

    observeWave(): void {}

    observeDecision(): void {}
}

/**
 * Learns what a decode costs by batch size and how often the candidate at each place of the order is accepted, and picks
 * the waves with the least expected time until acceptance.
 */
export class LearnedWaves implements WaveScheduler {
    readonly #costs = new DecodeCosts();
    readonly #rates = new AcceptanceRates();

    plan(open: readonly Decision[], limits: WaveLimits): number[] {
        const [only] = open;
        if (open.length === 1 && only !== undefined)
            return dealLanes(open, [wantAll(only) ?? this.#bestForOne(only, limits)], limits);
        return dealLanes(open, this.#bestTogether(open, limits), limits);
    }

    /**
     * As many as save the most time, a token emitted without a decode being worth its share of one. What seems to pay at the least cost that a
     * larger batch may have is tried, and by that measured.
     */
    planRun(chances: readonly number[], {tokens, sequences}: RunLimits, decision?: Decision): PlannedRun {
        const reached = decision === undefined ? 1 : this.#rates.at(decision.tried);
        const costOf = (length: number) =>
            ((this.#costs.hopeful(tokens + length) - this.#costs.of(tokens)) * sequences) / this.#costs.of(sequences);
        let saved = 0;
        let best = {length: 0, gain: 0};
        for (const [i, chance] of chances.entries()) {
            saved += chance * reached;
            const gain = saved - costOf(i + 1);
            if (gain > best.gain) best = {length: i + 1, gain};
        }
        return {length: best.length, cost: () => costOf(best.length)};
    }

    observeWave(tokens: number, decodeMs: number): void {
        this.#costs.observe(tokens, decodeMs);
    }

    observeDecision(decision: Decision): void {
        if (!decision.needsAll) this.#rates.observe(decision.triedUntilAccepted, decision.acceptedWhenAsked);
    }

    /**
     * The best size for one decision, exactly. V(i) is the expected time after i rejected candidates:
     * V(i) = min over k of cost(k) + P(none of the k is accepted) · V(i + k), and V(n) = 0.
     */
    #bestForOne(decision: Decision, {taken, lanes, places}: WaveLimits): number {
        const first = decision.tried;
        const count = decision.remaining;
        const max = Math.min(count, lanes + 1, places);
        const value = new Array<number>(count + 1).fill(0);
        let best = 1;
        for (let at = count - 1; at >= 0; at--) {
            let min = Number.POSITIVE_INFINITY;
            let rejected = 1;
            for (let size = 1; size <= Math.min(max, count - at); size++) {
                rejected *= 1 - this.#rates.at(first + at + size - 1);
                const time = this.#costs.of(taken + size) + rejected * (value[at + size] as number);
                if (time >= min) continue;
                min = time;
                best = size;
            }
            value[at] = min;
        }
        return best;
    }

    /**
     * For several decisions the batch is planned as a whole. Each is carried to the same probability of staying open; of these
     * levels the one is taken that minimises the time of this batch plus, unless it settles every decision, that of another
     * one with as many candidates as the open decisions will then still try.
     */
    #bestTogether(open: readonly Decision[], limits: WaveLimits): number[] {
        const {taken, places, lanes} = limits;
        const spare = Math.min(lanes, places - open.length);
        const chances = open.map((decision) => this.#unsettled(decision, spare + 1));
        const further = open.map((decision) => this.#further(decision, spare + 1));
        let best = open.map(() => 1);
        let min = Number.POSITIVE_INFINITY;
        for (const level of new Set(chances.flat())) {
            const counts = open.map(
                (decision, i) =>
                    wantAll(decision) ?? 1 + (chances[i] as number[]).findIndex((chance) => chance <= level)
            );
            const tokens = counts.reduce((sum, count) => sum + count, 0);
            if (counts.includes(0) || tokens - open.length > spare) continue;
            const settled = counts.reduce((product, count, i) => product * (1 - (chances[i]?.[count - 1] ?? 0)), 1);
            const later = counts.reduce((sum, count, i) => sum + (further[i]?.[count - 1] ?? 0), 0);
            // Where nothing can stay open, nothing follows.
            const another = settled < 1 ? (1 - settled) * this.#costs.of(Math.max(1, later / (1 - settled))) : 0;
            const time = this.#costs.of(taken + tokens) + another;
            if (time < min) [best, min] = [counts, time];
        }
        return best;
    }

    /** How many candidates are expected to be tried after the next one, the next two, … up to `max`, one by one until one is accepted. */
    #further(decision: Decision, max: number): number[] {
        const chances = this.#unsettled(decision, decision.remaining);
        const sums = chances.map(() => 0);
        for (let at = chances.length - 2; at >= 0; at--) sums[at] = (chances[at] as number) + (sums[at + 1] as number);
        return sums.slice(0, max);
    }

    /** Probabilities that a decision stays open after its next candidate, its next two, … up to `max`. */
    #unsettled(decision: Decision, max: number): number[] {
        let rejected = 1;
        return Array.from({length: Math.min(max, decision.remaining)}, (_, i) => {
            rejected *= 1 - this.#rates.at(decision.tried + i);
            return i + 1 === decision.remaining ? 0 : rejected;
        });
    }
}

/** Strategies that weigh all candidates need them at once. */
function wantAll(decision: Decision): number | undefined {
    return decision.needsAll ? decision.remaining : undefined;
}

/** Deals one candidate to each, then lanes in turn, up to the number wanted. */
function dealLanes(open: readonly Decision[], wanted: readonly number[], {places, lanes}: WaveLimits): number[] {
    const max = wanted.map((count, i) => Math.min(count, (open[i] as Decision).remaining));
    const counts = open.map(() => 1);
    let spare = Math.min(lanes, places - open.length);
    while (spare > 0 && counts.some((count, i) => count < (max[i] as number))) {
        for (let i = 0; i < counts.length && spare > 0; i++) {
            if ((counts[i] as number) >= (max[i] as number)) continue;
            counts[i] = (counts[i] as number) + 1;
            spare--;
        }
    }
    return counts;
}
