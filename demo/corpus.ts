/**
 * Writes the demo world as JSON lines for the Python side: `tsx demo/corpus.ts OUT_DIR SEED`.
 * Each line is a prompt with every way of putting each part of the reply, so that Python needs no copy of the world.
 */
import {mkdirSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {type GuestPrompt, heldOutPrompts, replySegments, trainingPrompts} from "../lib/demo/world.js";

const [out = "demo/build", seedText = "7"] = process.argv.slice(2);
const seed = Number(seedText);

function write(name: string, prompts: GuestPrompt[]): void {
    const lines = prompts.map((prompt) => {
        const segments = Object.values(replySegments(prompt)).map((options) =>
            options.map(({text, weight, points}) => [text, weight, points])
        );
        return JSON.stringify({text: prompt.text, segments});
    });
    writeFileSync(join(out, name), `${lines.join("\n")}\n`);
}

mkdirSync(out, {recursive: true});
write("train.jsonl", trainingPrompts(40_000, seed));
write("heldout.jsonl", heldOutPrompts(400));
