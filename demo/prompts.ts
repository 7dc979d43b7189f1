/**
 * Writes the demo world as files for `mara train` and `mara eval`: `tsx demo/prompts.ts [OUT_DIR]` (default demo/prompts).
 * `reference` holds what `demo/reward.mjs` must know of a prompt. No request of one guest is both in held-out.jsonl and in the others.
 */
import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {composeReply, heldOutPrompts, type Prompt, score, trainingPrompts} from "../lib/demo/world.js";

const out = process.argv[2] ?? fileURLToPath(new URL("prompts", import.meta.url));
const training = [...new Map(trainingPrompts(1000, 7).map((prompt) => [prompt.text, prompt])).values()].slice(0, 800);

function write(name: string, records: readonly object[]): void {
    writeFileSync(join(out, name), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    console.log(`${name}: ${records.length} lines`);
}

function record({text, ...reference}: Prompt) {
    return {prompt: text, reference: JSON.stringify(reference)};
}

/** A courteous reply, and one such as the model was trained on. */
function pair(prompt: Prompt, index: number) {
    const chosen = composeReply(prompt, "courteous", index);
    for (let seed = index; ; seed += training.length) {
        const rejected = composeReply(prompt, "mixed", seed);
        if (score(prompt, rejected).value < score(prompt, chosen).value) return {prompt: prompt.text, chosen, rejected};
    }
}

mkdirSync(out, {recursive: true});
write("train.jsonl", training.map(record));
write("held-out.jsonl", heldOutPrompts(300).map(record));
write("pairs.jsonl", training.map(pair));
