/**
 * Finds how many threads a model decodes fastest with on this machine. `mara doctor` measures it and keeps it in the user's cache for the other
 * commands. It is not measured at every start, because an evaluation or a training run must go on with the number it began with.
 */
import {mkdirSync, readFileSync, statSync, writeFileSync} from "node:fs";
import {availableParallelism, homedir} from "node:os";
import {basename, dirname, join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {z} from "zod";

export interface ThreadSpeed {
    threads: number;
    tokensPerSecond: number;
}

/** A count of threads is tried for this many milliseconds, or until enough tokens are there, whichever comes first. */
const longest = 2000;
const maxTokens = 64;
/** More threads are not tried once decoding fell to this share of the best speed. */
const hopeless = 0.7;
/** The fewest threads that reach this share of the best speed are advised. The others are left to the machine's other work. */
const goodEnough = 0.95;
const counts = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128];

/** Decodes with 1, 2, … up to `max` threads, each for two seconds at most. */
export async function measureThreads(model: LlamaModel, max: number): Promise<ThreadSpeed[]> {
    const speeds: ThreadSpeed[] = [];
    for (const threads of [...counts.filter((count) => count < max), max]) {
        speeds.push({threads, tokensPerSecond: await speedWith(model, threads)});
        const best = Math.max(...speeds.map(({tokensPerSecond}) => tokensPerSecond));
        if ((speeds.at(-1) as ThreadSpeed).tokensPerSecond < hopeless * best) break;
    }
    return speeds;
}

async function speedWith(model: LlamaModel, threads: number): Promise<number> {
    const context = await model.createContext({contextSize: 256, threads});
    try {
        const sequence = context.getSequence();
        let tokens = -1;
        let start = 0;
        // The first token reads the prompt and warms up.
        for await (const _ of sequence.evaluate(model.tokenize("Good day. When is"), {yieldEogToken: true})) {
            if (++tokens === 0) start = performance.now();
            else if (tokens >= maxTokens || performance.now() - start >= longest) break;
        }
        return (1000 * tokens) / (performance.now() - start);
    } finally {
        await context.dispose();
    }
}

export function advisedThreads(speeds: readonly ThreadSpeed[]): number {
    const best = Math.max(...speeds.map(({tokensPerSecond}) => tokensPerSecond));
    return speeds.find(({tokensPerSecond}) => tokensPerSecond >= goodEnough * best)?.threads ?? 1;
}

const cacheSchema = z.record(z.string(), z.int().min(1).max(1024));

export function threadsFile(): string {
    const {XDG_CACHE_HOME, LOCALAPPDATA} = process.env;
    const cache = XDG_CACHE_HOME || (process.platform === "win32" && LOCALAPPDATA) || join(homedir(), ".cache");
    return join(cache, "node-llama-mara", "threads.json");
}

/** A model is known by its file's name and size, and the machine by its processors, because another one's measurements say nothing here. */
function keyOf(modelPath: string): string {
    return `${basename(modelPath)}, ${statSync(modelPath).size} bytes, on ${availableParallelism()} processors`;
}

/** The number that `mara doctor` found; undefined if it was never asked about this model. */
export function measuredThreads(modelPath: string): number | undefined {
    return readCache()[keyOf(modelPath)];
}

/** @returns true if it could be kept */
export function keepThreads(modelPath: string, threads: number): boolean {
    const file = threadsFile();
    try {
        mkdirSync(dirname(file), {recursive: true});
        writeFileSync(file, `${JSON.stringify({...readCache(), [keyOf(modelPath)]: threads}, null, 2)}\n`);
        return true;
    } catch {
        return false;
    }
}

function readCache(): Record<string, number> {
    try {
        return cacheSchema.parse(JSON.parse(readFileSync(threadsFile(), "utf8")));
    } catch {
        // The file is missing or damaged, so nothing is known.
        return {};
    }
}
