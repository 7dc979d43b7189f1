/** One side of an evaluation, changed: it is refused, or everything read from it was written. */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {SideStore} from "../../../lib/evaluate/side-store.js";
import {outcomeOf} from "../outcome.js";
import type {FuzzTarget} from "../target.js";

const file = join(mkdtempSync(join(tmpdir(), "mara-fuzz-side-")), "raw.jsonl");
const identity = {side: "raw", maxTokens: 8, seed: 0};
const answers = [{text: "Good day.", tokens: [1, 2], ended: "eog" as const}];
const block = {first: 0, answers, generatedTokens: 3, decodes: 3, seconds: 0.5};

async function write(): Promise<Buffer> {
    rmSync(file, {force: true});
    const store = await SideStore.open(file, identity);
    await store.addBlock(block);
    await store.addScore("length", 0, 2);
    await store.addScore("length", 1, null);
    await store.addFluency(0, {nats: 1.5, tokens: 2});
    return readFileSync(file);
}

export const target: FuzzTarget = {
    name: "evaluation-run",
    seeds: async () => [await write()],
    run: (input) =>
        outcomeOf(["RUN_DAMAGED", "RUN_CHANGED"], file, async () => {
            writeFileSync(file, input);
            const store = await SideStore.open(file, identity);
            const read = {
                blocks: [...store.blocks.values()],
                scores: [...store.scores("length")],
                fluency: [...store.fluency]
            };
            const written = JSON.stringify([block, [0, 2], [1, null], [0, {nats: 1.5, tokens: 2}]]);
            for (const each of Object.values(read).flat())
                if (!written.includes(JSON.stringify(each))) throw new Error(`Read ${JSON.stringify(each)}`);
        })
};
