/**
 * Writes the demo world as files for `mara train` and `mara eval`: `tsx demo/prompts.ts [OUT_DIR]` (default demo/prompts).
 * `reference` holds the facts of a prompt that `demo/reward.mjs` needs. No request of one guest is both in held-out.jsonl and in the others.
 */
import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {
    composeReply,
    type GuestPrompt,
    heldOutPrompts,
    type ReplyStyle,
    replySegments,
    trainingPrompts
} from "../lib/demo/world.js";

const out = process.argv[2] ?? fileURLToPath(new URL("prompts", import.meta.url));
const training = [...new Map(trainingPrompts(1000, 7).map((prompt) => [prompt.text, prompt])).values()].slice(0, 800);

function write(name: string, records: readonly object[]): void {
    writeFileSync(join(out, name), records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    console.log(`${name}: ${records.length} lines`);
}

function record({text, ...reference}: GuestPrompt) {
    return {prompt: text, reference: JSON.stringify(reference)};
}

/** A courteous reply, and one that begins alike, has the worst option for one part, and goes on as the model was trained to. */
function pair(prompt: GuestPrompt, index: number) {
    const parts = Object.values(replySegments(prompt));
    const worse = [...parts.keys()].filter((i) => new Set(parts[i]?.map(({points}) => points)).size > 1);
    const part = worse[index % worse.length] as number;
    const styles = parts.map((_, i): ReplyStyle => (i < part ? "courteous" : i === part ? "curt" : "mixed"));
    // The generator's first numbers are much alike for seeds as near as 1 and 2.
    const seed = Math.imul(index + 1, 0x9e3779b1);
    const chosen = composeReply(prompt, "courteous", seed);
    return {prompt: prompt.text, chosen, rejected: composeReply(prompt, styles, seed)};
}

mkdirSync(out, {recursive: true});
write("train.jsonl", training.map(record));
write("held-out.jsonl", heldOutPrompts(300).map(record));
write("pairs.jsonl", training.map(pair));
