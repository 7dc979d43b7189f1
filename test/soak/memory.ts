import {spawnSync} from "node:child_process";
import {setTimeout as sleep} from "node:timers/promises";

/** glibc's variable for the size from which an allocation is a mapping of its own, which goes back to the system when it is freed. */
const mappingThreshold = "MALLOC_MMAP_THRESHOLD_";

/**
 * Left to itself, glibc raises that size to that of the largest block freed so far. The buffers of a context, which llama.cpp allocates in
 * whichever thread creates it, then stay in that thread's heap, and resident memory grows until every thread has created a large one
 * (docs/soak.md). So the process is run anew with glibc's initial size, unless the caller has set one: gives its exit code.
 */
export function runWithFixedMappingThreshold(): number | undefined {
    if (process.platform !== "linux" || process.env[mappingThreshold] !== undefined) return undefined;
    const env = {...process.env, [mappingThreshold]: String(128 * 1024)};
    return (
        spawnSync(process.execPath, [...process.execArgv, ...process.argv.slice(1)], {stdio: "inherit", env}).status ??
        1
    );
}

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

    get growth(): number {
        return growthOf(this.samples);
    }
}

/**
 * Growth after the warm-up, which is the first third, as a share of the median: the median slope between any two samples (Theil and Sen), over all
 * of them. Memory that jumps between levels, as free pages are kept or given back, does not move it; what is lost in each round does.
 */
export function growthOf(samples: readonly number[]): number {
    const settled = samples.slice(Math.floor(samples.length / 3));
    if (settled.length < 2) return 0;
    const slopes = settled.flatMap((later, j) => settled.slice(0, j).map((sample, i) => (later - sample) / (j - i)));
    return (median(slopes) * (settled.length - 1)) / median(settled);
}

function median(values: readonly number[]): number {
    const sorted = [...values].sort((a, b) => a - b);
    return sorted[Math.floor(sorted.length / 2)] as number;
}
