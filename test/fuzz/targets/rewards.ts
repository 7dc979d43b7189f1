import {mkdtempSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {openReward} from "../../../lib/index.js";
import {outcomeOf} from "../outcome.js";
import type {FuzzTarget} from "../target.js";

/** An empty folder: whatever a specification names is not there. */
const folder = mkdtempSync(join(tmpdir(), "mara-fuzz-rewards-"));
const rewards = {one: () => 1, ten: () => ({score: 10, spans: [{start: 0, end: 2, score: 4}]}), both: "one + ten"};
const specs = [
    "2*(ten - 3*(one + both)) + .5*length:2 words",
    "a = one + ten; b = a + 2*a; -b + 1e3*b",
    "regex:/[a-z]+ (?:day|night)/gi - profanity",
    'module:"./a - b.mjs" + judge:model.gguf,Is it kind? - head:m.gguf,h.safetensors',
    "sentiment + readability - length:characters"
];

export const target: FuzzTarget = {
    name: "rewards",
    seeds: () => specs.map((spec) => Buffer.from(spec)),
    run: (input) =>
        outcomeOf(["REWARD_SPEC", "REWARD_LOAD", "REWARD_FAILED"], folder, async () => {
            const reward = await openReward(Buffer.from(input).toString(), {rewards, baseDirectory: folder});
            try {
                const {score} = await reward.score({prompt: "Hello?"}, "Good day to you.");
                if (!Number.isFinite(score)) throw new Error(`A score of ${score}`);
            } finally {
                await reward.dispose();
            }
        })
};
