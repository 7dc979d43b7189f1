/**
 * The target of a fuzz run. A file in `targets/` that exports `target` is one: the driver and the test find it there.
 */
import {readdir, readFile} from "node:fs/promises";
import {fileURLToPath} from "node:url";
import type {Random} from "./mutate.js";

export interface FuzzTarget {
    /** Also the name of its folder in `corpus/`. */
    name: string;
    /** Inputs to begin with, small ones. */
    seeds(): Promise<Uint8Array[]> | Uint8Array[];
    /**
     * Takes one input and gives its outcome, such as `"loaded"` or an error's code, a colon and its message. Inputs with an outcome not seen
     * before join the corpus; those without a colon are changed more often. Whatever it throws is a finding, as is a run of more than five seconds.
     */
    run(input: Uint8Array): Promise<string>;
    /** One change that knows the format. Default: pieces of text or of bytes. */
    mutate?(input: Uint8Array, random: Random): Uint8Array;
}

const folder = (name: string) => new URL(`${name}/`, import.meta.url);

export async function fuzzTargets(): Promise<FuzzTarget[]> {
    const files = (await readdir(folder("targets"))).filter((file) => file.endsWith(".ts")).sort();
    return await Promise.all(
        files.map(
            async (file) => ((await import(new URL(file, folder("targets")).href)) as {target: FuzzTarget}).target
        )
    );
}

export const corpusFolder = (name: string): string => fileURLToPath(folder(`corpus/${name}`));
export const findingsFolder: string = fileURLToPath(folder("findings"));

/** The inputs found by earlier runs. */
export async function readCorpus(name: string): Promise<Uint8Array[]> {
    const files = await readdir(corpusFolder(name)).catch(() => []);
    return await Promise.all(files.sort().map((file) => readFile(corpusFolder(name) + file)));
}
