import {execFile} from "node:child_process";
import {mkdtempSync, readdirSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {promisify} from "node:util";
import {afterAll, describe, expect, it} from "vitest";
import {kinds} from "../../docs/results/prompt-topics.js";
import {heldOutPrompts, trainingPrompts} from "../../lib/demo/world.js";
import {loadPairs, loadPrompts, openReward, type Prompt} from "../../lib/index.js";

const root = join(import.meta.dirname, "..", "..");
const folder = mkdtempSync(join(tmpdir(), "mara-prompt-files-"));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

describe.each([
    ["demo/prompts.ts", "demo/prompts"],
    ["docs/results/make-prompts.ts", "docs/results/prompts"]
])("%s", (script, files) => {
    it(`writes ${files} byte for byte`, async () => {
        const out = join(folder, files.replaceAll("/", "-"));
        await promisify(execFile)("npx", ["tsx", script, out], {cwd: root});
        const names = readdirSync(out);
        expect(names).toEqual(readdirSync(join(root, files)));
        for (const name of names) {
            expect(readFileSync(join(out, name), "utf8")).toBe(readFileSync(join(root, files, name), "utf8"));
        }
    });
});

describe("docs/results/prompts", () => {
    it("holds out topics, not only prompts", async () => {
        const load = async (name: string) =>
            (await loadPrompts(join(root, "docs/results/prompts", name))).map(({prompt}) => prompt);
        const [train, heldOut] = await Promise.all([load("train.jsonl"), load("held-out.jsonl")]);
        expect([train.length, heldOut.length]).toEqual([648, 216]);
        expect(new Set([...train, ...heldOut]).size).toBe(864);
        const topics = Object.values(kinds).flatMap((kind) => kind.topics.trim().split("\n"));
        expect(new Set(topics).size).toBe(8 * 36);
        const inTrain = topics.filter((topic) => train.some((prompt) => prompt.includes(topic)));
        const inHeldOut = topics.filter((topic) => heldOut.some((prompt) => prompt.includes(topic)));
        expect([inTrain.length, inHeldOut.length]).toEqual([216, 72]);
        expect(inTrain.filter((topic) => inHeldOut.includes(topic))).toEqual([]);
    });
});

describe("demo/prompts", () => {
    const load = (name: string) => loadPrompts(join(root, "demo/prompts", name));

    it("has the world's training prompts in one file, the contest's held-out prompts in the other", async () => {
        const known = new Set(trainingPrompts(1000, 7).map(({text}) => text));
        const train = await load("train.jsonl");
        expect(train.length).toBe(800);
        expect(train.every(({prompt}) => known.has(prompt))).toBe(true);
        const heldOut = await load("held-out.jsonl");
        expect(heldOut.map(({prompt}) => prompt)).toEqual(heldOutPrompts(300).map(({text}) => text));
        // Where no guest is named, the wording stands for the guest.
        const pairOf = ({prompt, reference}: Prompt) => {
            const {topic, about, guest} = JSON.parse(reference as string);
            return [topic, about, guest ?? prompt].join("|");
        };
        const trained = new Set(train.map(pairOf));
        expect(heldOut.filter((prompt) => trained.has(pairOf(prompt)))).toEqual([]);
    });

    it("comes with a reward that scores the pairs as they are ranked", async () => {
        const reward = await openReward("module:demo/reward.mjs", {baseDirectory: root});
        const references = new Map(
            (await load("train.jsonl")).map(({prompt, reference}) => [prompt, reference as string])
        );
        const pairs = await loadPairs(join(root, "demo/prompts/pairs.jsonl"));
        expect(pairs.length).toBe(800);
        for (const {prompt, chosen, rejected} of pairs) {
            const asked = {prompt, reference: references.get(prompt) as string};
            expect((await reward.score(asked, chosen)).score).toBe(10);
            expect((await reward.score(asked, rejected)).score).toBeLessThan(10);
        }
    });
});
