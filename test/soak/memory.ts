import {setTimeout as sleep} from "node:timers/promises";

/** Resident memory over time, in MB, each time after the garbage was collected. */
export class Memory {
    readonly samples: number[] = [];

    async measure(): Promise<void> {
        // Twice: native objects are freed by finalisers, which run after the first.
        for (let i = 0; i < 2; i++) {
            globalThis.gc?.();
            await sleep(20);
        }
        this.samples.push(Math.round(process.memoryUsage.rss() / 2 ** 20));
    }

    get last(): number {
        return this.samples.at(-1) ?? 0;
    }

    /** Growth from the middle third to the last, in medians: what comes before is the warm-up. */
    get growth(): number {
        const third = Math.floor(this.samples.length / 3);
        if (third === 0) return 0;
        return median(this.samples.slice(-third)) / median(this.samples.slice(third, -third)) - 1;
    }
}

function median(values: readonly number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] as number;
}
