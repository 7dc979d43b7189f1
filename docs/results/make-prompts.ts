/**
 * Writes the prompts of the evidence: `npx tsx docs/results/make-prompts.ts [FOLDER]` (default docs/results/prompts).
 *
 * Every fourth topic is held out, so no topic is in both files. Each topic comes in three of its kind's five forms. The third set is tasks of
 * other kinds: off-domain.jsonl, and leave-alone.jsonl with a third of the topics of four of them. The same files every time.
 */
import {mkdirSync, writeFileSync} from "node:fs";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";
import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";
import {tasks} from "./off-domain-topics.js";
import {kinds} from "./prompt-topics.js";

const formsPerTopic = 3;
const folder = process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), "prompts");
const splits: Record<"train" | "held-out" | "off-domain" | "leave-alone", string[]> = {
    train: [],
    "held-out": [],
    "off-domain": [],
    "leave-alone": []
};

for (const {templates, topics} of Object.values(kinds)) {
    for (const [i, topic] of topics.trim().split("\n").entries()) {
        const prompts = splits[i % 4 === 3 ? "held-out" : "train"];
        for (let form = 0; form < formsPerTopic; form++)
            prompts.push((templates[(i + form * 2) % templates.length] as string).replace("{x}", topic));
    }
}

for (const {template, seen, topics} of Object.values(tasks)) {
    for (const [i, topic] of topics.split(";").entries()) {
        const prompts = splits[seen && i % 3 === 0 ? "leave-alone" : "off-domain"];
        prompts.push(template.replace("{x}", topic.trim()));
    }
}

mkdirSync(folder, {recursive: true});
for (const [name, prompts] of Object.entries(splits)) {
    // Shuffled, so that any part of a file is a fair sample of it.
    const random = xoroshiro128plus(1);
    for (let i = prompts.length - 1; i > 0; i--) {
        const j = uniformInt(random, 0, i);
        [prompts[i], prompts[j]] = [prompts[j] as string, prompts[i] as string];
    }
    const mark = name === "leave-alone" ? {leaveAlone: true} : {};
    const lines = prompts.map((prompt) => `${JSON.stringify({prompt, ...mark})}\n`);
    writeFileSync(join(folder, `${name}.jsonl`), lines.join(""));
    console.log(`${name}.jsonl: ${prompts.length} prompts`);
}
