import {mkdtempSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {loadPrompts} from "../../../lib/index.js";
import {outcomeOf} from "../outcome.js";
import type {FuzzTarget} from "../target.js";

const file = join(mkdtempSync(join(tmpdir(), "mara-fuzz-prompts-")), "prompts");
const lines = [
    '{"prompt": "a", "system": "b", "reference": "c"}',
    '{"instruction": "d", "input": "e"}',
    "",
    '{"prompt": "é\\n"}'
];

export const target: FuzzTarget = {
    name: "prompts",
    seeds: () =>
        [lines.join("\n"), `\ufeff${lines.join("\r\n")}`, `[${lines.filter((line) => line).join(",")}]`].map((text) =>
            Buffer.from(text)
        ),
    run: (input) =>
        outcomeOf(["PROMPTS_FORMAT"], file, async () => {
            writeFileSync(file, input);
            for (const prompt of await loadPrompts(file))
                for (const [key, value] of Object.entries(prompt))
                    if (!["prompt", "system", "reference"].includes(key) || typeof value !== "string")
                        throw new Error(`A prompt has ${key}: ${typeof value}`);
        })
};
