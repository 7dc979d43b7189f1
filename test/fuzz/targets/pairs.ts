import {mkdtempSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {loadPairs} from "../../../lib/index.js";
import {outcomeOf} from "../outcome.js";
import type {FuzzTarget} from "../target.js";

const file = join(mkdtempSync(join(tmpdir(), "mara-fuzz-pairs-")), "pairs");
const lines = [
    '{"prompt": "a", "chosen": "b", "rejected": "c"}',
    '{"instruction": "a", "input": "d", "chosen": "e", "rejected": "f", "system": null}'
];

export const target: FuzzTarget = {
    name: "pairs",
    seeds: () => [lines.join("\n"), `[${lines.join(",\n")}]`].map((text) => Buffer.from(text)),
    run: (input) =>
        outcomeOf(["PROMPTS_FORMAT"], file, async () => {
            writeFileSync(file, input);
            for (const {prompt, chosen, rejected} of await loadPairs(file))
                if (
                    [prompt, chosen, rejected].some((text) => typeof text !== "string" || text.trim() === "") ||
                    chosen === rejected
                )
                    throw new Error("A pair that is none");
        })
};
