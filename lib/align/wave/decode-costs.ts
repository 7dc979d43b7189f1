/** Batches remembered per size. The median of so few follows a changing machine and ignores a single slow one. */
const remembered = 9;

/** Assumed cost of each further token, as a share of a single token's decode, where nothing larger was measured yet. */
const assumedSlope = 0.15;

/** A size that was too dear this many decodes ago may be tried again: the machine may have been busy, or has changed. */
const trusted = 500;

/** Time of a decode by batch size, learnt from the decodes that happen anyway. In milliseconds once one was measured, in single decodes before. */
export class DecodeCosts {
    readonly #samples = new Map<number, {times: number[]; last: number}>();
    #decodes = 0;
    #curve: {size: number; cost: number}[] = [];

    observe(size: number, milliseconds: number): void {
        const times = this.#samples.get(size)?.times ?? [];
        times.push(milliseconds);
        if (times.length > remembered) times.shift();
        this.#samples.set(size, {times, last: ++this.#decodes});
        for (const [other, {last}] of this.#samples)
            if (other > size && this.#decodes - last > trusted) this.#samples.delete(other);
        this.#curve = [];
        let min = Number.POSITIVE_INFINITY;
        for (const [at, {times}] of [...this.#samples].sort(([a], [b]) => b - a)) {
            // A larger batch cannot be cheaper. Where it seems so, the smaller one was measured with noise, which only adds time.
            min = Math.min(min, median(times));
            this.#curve.unshift({size: at, cost: min});
        }
    }

    /** The measured time, or one on the line between the nearest measured sizes. */
    of(size: number): number {
        const above = this.#curve.findIndex((point) => point.size >= size);
        const high = this.#curve[above];
        const low = this.#curve[above < 0 ? this.#curve.length - 1 : above - 1];
        if (high?.size === size) return high.cost;
        if (low !== undefined && high !== undefined)
            return low.cost + ((high.cost - low.cost) * (size - low.size)) / (high.size - low.size);
        if (low !== undefined) return low.cost + (size - low.size) * this.#slopeBeyond(low);
        if (high !== undefined) return (high.cost * (1 + assumedSlope * size)) / (1 + assumedSlope * high.size);
        return 1 + assumedSlope * size;
    }

    /** The same, but the least that may be hoped for where only smaller sizes were measured: the step from one token to two is often the largest. */
    hopeful(size: number): number {
        const last = this.#curve.at(-1);
        if (last === undefined || size <= last.size) return this.of(size);
        return Math.min(this.of(size), last.cost + (size - last.size) * assumedSlope * this.of(1));
    }

    #slopeBeyond(last: {size: number; cost: number}): number {
        const before = this.#curve.at(-2);
        if (before !== undefined) return (last.cost - before.cost) / (last.size - before.size);
        return (last.cost * assumedSlope) / (1 + assumedSlope * last.size);
    }
}

function median(values: readonly number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[sorted.length >> 1] as number;
}
