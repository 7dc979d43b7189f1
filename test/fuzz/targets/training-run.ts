/** A training run of which one file was changed: it is refused, or everything in it is as it was written. */
import {cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {isDeepStrictEqual} from "node:util";
import {z} from "zod";
import {RunDirectory} from "../../../lib/train/run/run-directory.js";
import {outcomeOf} from "../outcome.js";
import type {FuzzTarget} from "../target.js";

const folder = mkdtempSync(join(tmpdir(), "mara-fuzz-run-"));
const [whole, run] = [join(folder, "whole"), join(folder, "run")];
const names = ["config.json", "checkpoint.json", "metrics.jsonl", "samples.jsonl", "checkpoint/segment-000000.bin"];

async function contentOf(path: string): Promise<object> {
    // Another sealed file of the run in its place is refused by what a configuration must have.
    const config = await RunDirectory.readConfig(path, z.looseObject({config: z.looseObject({seed: z.number()})}));
    const opened = await RunDirectory.open(path);
    try {
        const [metrics, samples] = [await opened.rows("metrics"), await opened.rows("samples")];
        const segments: string[] = [];
        for await (const segment of opened.segments()) segments.push(Buffer.from(segment).toString("hex"));
        const learner = Buffer.from(await opened.readFile("learner")).toString("hex");
        return {config, state: opened.state, metrics, samples, segments, learner};
    } finally {
        await opened.close();
    }
}

let written: Promise<object> | undefined;

async function write(): Promise<object> {
    const made = await RunDirectory.create(whole, {version: 1, config: {seed: 7, reward: "length"}, inputs: {}});
    await made.append("metrics", [
        {episodes: 4, reward: 0.5},
        {episodes: 8, reward: 0.25}
    ]);
    await made.append("samples", [{episode: 0, prompt: 1, response: "Good day.", reward: 0.5}]);
    await made.addSegment(Uint8Array.of(1, 2, 3));
    await made.commit({phase: "sac", episodes: 8}, {learner: Uint8Array.of(4, 5)});
    await made.append("metrics", [{episodes: 12, reward: 1}]);
    await made.close();
    return await contentOf(whole);
}

export const target: FuzzTarget = {
    name: "training-run",
    /** Which file, on a line, and what is in it. */
    seeds: async () => {
        written ??= write();
        await written;
        const files = readdirSync(whole, {recursive: true}).map(String);
        return names
            .filter((name) => files.includes(join(name)))
            .map((name) => Buffer.concat([Buffer.from(`${name}\n`), readFileSync(join(whole, name))]));
    },
    run: (input) =>
        outcomeOf(["RUN_DAMAGED", "RUN_DIRECTORY"], run, async () => {
            written ??= write();
            const expected = await written;
            rmSync(run, {recursive: true, force: true});
            mkdirSync(run);
            cpSync(whole, run, {recursive: true});
            const end = input.indexOf(10);
            const name = names.find((one) => one === Buffer.from(input.subarray(0, end)).toString()) ?? "config.json";
            writeFileSync(join(run, name), input.subarray(end + 1));
            const found = await contentOf(run);
            if (!isDeepStrictEqual(found, expected)) throw new Error(`Another run was read: ${JSON.stringify(found)}`);
        })
};
