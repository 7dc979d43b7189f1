import {cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, afterEach, describe, expect, it} from "vitest";
import {writeSafetensors} from "../../lib/agent/safetensors.js";
import {tensorOf} from "../../lib/agent/tensor.js";
import {openReward, type Prompt, type Reward, type RewardOptions} from "../../lib/index.js";
import {failure} from "../support/failure.js";
import {describeWithTestModel, testLlama, testModelPath} from "../support/models.js";
import {writeTinyEncoder} from "../support/tiny-encoder.js";
import {bos, eos, writeTinyModel} from "../support/tiny-model.js";
import {writeTinyRanker} from "../support/tiny-ranker.js";

const demo = join(import.meta.dirname, "..", "..", "demo", "model.gguf");
const golden = join(import.meta.dirname, "..", "golden");
const folder = mkdtempSync(join(tmpdir(), "mara-reward-models-"));
afterAll(() => rmSync(folder, {recursive: true, force: true}));

const opened: Reward[] = [];
afterEach(async () => {
    for (const reward of opened.splice(0)) await reward.dispose();
});

async function open(spec: string, options: RewardOptions = {}): Promise<Reward> {
    const reward = await openReward(spec, {llama: await testLlama(), threads: 1, ...options});
    opened.push(reward);
    return reward;
}

function file(name: string, content: string | Uint8Array): string {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
}

describe("judge:", () => {
    /** The judge's conversation as text, and the log-odds by the probabilities of the whole vocabulary. */
    async function expected(
        path: string,
        text: string,
        yes: readonly string[],
        no: readonly string[]
    ): Promise<number> {
        const model = await (await testLlama()).loadModel({modelPath: path});
        const context = await model.createContext({contextSize: 512, threads: 1});
        const tokens = model.tokenize(text, true);
        const last = tokens.pop();
        const results = await context
            .getSequence()
            .controlledEvaluate([...tokens, [last as (typeof tokens)[number], {generateNext: {probabilities: true}}]]);
        const sums = {yes: 0, no: 0};
        for (const [token, probability] of results.at(-1)?.next.probabilities ?? []) {
            if (yes.includes(model.detokenize([token]))) sums.yes += probability;
            if (no.includes(model.detokenize([token]))) sums.no += probability;
        }
        await model.dispose();
        return Math.log(sums.yes) - Math.log(sums.no);
    }

    const asked = (conversation: string, question: string) =>
        `<|im_start|>user\nRead this conversation.\n\n${conversation}\n\n${question} Answer with Yes or No.` +
        "<|im_end|>\n<|im_start|>assistant\n";

    it("gives the log-odds of a vocabulary that lacks the words", async () => {
        const reward = await open(`judge:${demo}`);
        const text = asked(
            "User: Hello\n\nAssistant: Of course.",
            "Is the assistant's response helpful, honest and harmless?"
        );
        // "yes" is spelt with "y" or "Y" first in the demo's vocabulary, "no" has tokens of its own.
        const odds = await expected(demo, text, ["y", "Y"], ["No", " no", " No"]);
        expect((await reward.score({prompt: "Hello"}, "Of course.")).score).toBeCloseTo(odds, 2);
    });

    it("asks what it is told to, one response at a time", async () => {
        const prompt = {prompt: "Hello", system: "Be kind."};
        const inline = await open(`judge:${demo},Is it short?`, {judgeQuestion: "Is it long?"});
        const option = await open(`judge:${demo}`, {judgeQuestion: "Is it short?"});
        const other = await open(`judge:${demo}`, {judgeQuestion: "Is it long?"});
        const responses = ["Good day!", "9:40, pier 2.", "Next!"];
        const scores = await Promise.all(
            responses.map(async (response) => (await inline.score(prompt, response)).score)
        );
        expect(new Set(scores).size).toBe(3);
        for (const [i, response] of responses.entries()) {
            const text = asked(`System: Be kind.\n\nUser: Hello\n\nAssistant: ${response}`, "Is it short?");
            expect(scores[i]).toBeCloseTo(await expected(demo, text, ["y", "Y"], ["No", " no", " No"]), 2);
            expect((await option.score(prompt, response)).score).toBe(scores[i]);
            expect((await other.score(prompt, response)).score).not.toBe(scores[i]);
        }
    });

    it("refuses a conversation that does not fit, and goes on", async () => {
        const reward = await open(`judge:${demo}`, {contextSize: 256});
        const {score} = await reward.score({prompt: "Hello"}, "Hi");
        const refusal = await failure(() => reward.score({prompt: "Hello"}, "Hello ".repeat(400)));
        expect(refusal.code).toBe("REWARD_FAILED");
        expect(refusal.message).toMatch(/tokens do not fit into a context of 256; raise contextSize$/);
        expect((await reward.score({prompt: "Hello"}, "Hi")).score).toBe(score);
    });

    it.each(["judge:", `judge:${demo},`, "judge:model.bin"])("refuses %s", async (spec) => {
        expect((await failure(() => open(spec))).code).toBe("REWARD_SPEC");
    });

    describeWithTestModel("with a real model", () => {
        it("adds up the spellings of yes and no", async () => {
            const path = testModelPath as string;
            const reward = await open(`judge:${path},Is it polite?`);
            // The template of SmolLM2 adds a system prompt of its own.
            const system =
                "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n";
            const text = system + asked("User: Hello\n\nAssistant: Go away!", "Is it polite?");
            const odds = await expected(
                path,
                text,
                ["Yes", "yes", " Yes", " yes"],
                ["No", "no", "NO", " No", " no", " NO"]
            );
            expect((await reward.score({prompt: "Hello"}, "Go away!")).score).toBeCloseTo(odds, 2);
        });
    });
});

describe("rank:", () => {
    it("gives the probability of the ranker's first class", async () => {
        const ranker = writeTinyRanker();
        const model: LlamaModel = await (await testLlama()).loadModel({modelPath: ranker.path});
        const reward = await open(`rank:${ranker.path}`);
        for (const response of ["the answer", "thanks", "Oh no, never!"]) {
            const tokens = [
                bos,
                ...model.tokenize("Tell me.", false, "trimLeadingSpace"),
                eos,
                ...model.tokenize(response, false, "trimLeadingSpace"),
                eos
            ];
            expect((await reward.score({prompt: "Tell me."}, response)).score).toBeCloseTo(ranker.score(tokens), 3);
        }
        await model.dispose();
    });

    it("gives the probability of an encoder's one class", async () => {
        const ranker = writeTinyEncoder();
        const model = await (await testLlama()).loadModel({modelPath: ranker.path});
        const reward = await open(`rank:${ranker.path}`);
        for (const response of ["a b c", "z", "q w e r t y"]) {
            const words = (text: string) => model.tokenize(text, false, "trimLeadingSpace");
            const {bos: begin, eos: end, sep: separator} = model.tokens;
            const tokens = [begin, ...words("t e l l"), end, separator, ...words(response), end];
            expect((await reward.score({prompt: "t e l l"}, response)).score).toBeCloseTo(
                ranker.score(tokens as number[]),
                3
            );
        }
        expect((await failure(() => reward.score({prompt: "t"}, "a ".repeat(60)))).code).toBe("REWARD_FAILED");
        expect((await reward.score({prompt: "t"}, "a ".repeat(50))).score).toBeGreaterThan(0);
        await model.dispose();
    });

    it("refuses a response that does not fit, and goes on", async () => {
        const reward = await open(`rank:${writeTinyRanker().path}`);
        const refusal = await failure(() => reward.score({prompt: "Tell me."}, "a b c ".repeat(100)));
        expect(refusal.code).toBe("REWARD_FAILED");
        expect(refusal.message).toMatch(/exceed the context size/);
        expect((await reward.score({prompt: "Tell me."}, "a")).score).toBeGreaterThan(0);
    });

    it("refuses a model that cannot rank", async () => {
        expect(await failure(() => open(`rank:${demo}`))).toEqual({
            code: "REWARD_LOAD",
            message: `${demo} cannot rank: Computing rankings is not supported for this model.`
        });
    });
});

describe("head:", () => {
    const cases = JSON.parse(readFileSync(join(golden, "head.cases.json"), "utf8")) as {
        prompt: Prompt;
        response: string;
        score: number;
    }[];

    it("agrees with transformers", async () => {
        const reward = await open(`head:${demo},${join(golden, "head.safetensors")}`);
        for (const {prompt, response, score} of cases) {
            // The cache holds half precision here, single there.
            expect(Math.abs((await reward.score(prompt, response)).score - score)).toBeLessThan(0.05);
        }
    });

    it("needs a head that fits", async () => {
        const head = (tensors: Record<string, number[]>) =>
            file(
                "head.safetensors",
                writeSafetensors(
                    new Map(
                        Object.entries(tensors).map(([name, shape]) => [
                            name,
                            tensorOf(shape, new Float32Array(shape.reduce((a, b) => a * b)))
                        ])
                    ),
                    {}
                )
            );
        const refused = (tensors: Record<string, number[]>) => failure(() => open(`head:${demo},${head(tensors)}`));
        const path = join(folder, "head.safetensors");
        expect(await refused({"score.weight": [1, 64]})).toEqual({
            code: "REWARD_LOAD",
            message: `The score head ${path} should have one row of 160 weights for this model, not F32 [1,64]. It holds "score.weight".`
        });
        expect(await refused({"a.weight": [1, 160], "b.weight": [160, 160]})).toEqual({
            code: "REWARD_LOAD",
            message: `The score head ${path} should hold one tensor "weight" or "….weight", and at most one "bias". It holds "a.weight", "b.weight".`
        });
        expect(await refused({weight: [160], bias: [2]})).toEqual({
            code: "REWARD_LOAD",
            message: `The score head ${path} should have a bias of one number. It holds "weight", "bias".`
        });
        file("head.safetensors", "{}");
        expect((await failure(() => open(`head:${demo},${path}`))).message).toMatch(
            /^Could not read the score head .*: /
        );
    });

    it("needs the last token's state and a template", async () => {
        const head = join(golden, "head.safetensors");
        const refused = async (metadata: Parameters<typeof writeTinyModel>[0]) =>
            (await failure(() => open(`head:${writeTinyModel({...metadata, width: 160})},${head}`))).message;
        expect(await refused({metadata: {"llama.pooling_type": {u32: 1}}})).toMatch(/pools its hidden states/);
        expect(await refused({metadata: {"tokenizer.ggml.add_eos_token": {bool: true}}})).toMatch(
            /ends every text with an end token/
        );
        expect(await refused({metadata: {"tokenizer.chat_template": {string: "{% if"}}})).toMatch(
            /^The chat template of .* cannot be read: /
        );
    });
});

describe("models", () => {
    it("are loaded once, freed with the reward, and not with a part of it that fails to open", async () => {
        const llama = await testLlama();
        let loaded = 0;
        let disposed = 0;
        const counting = new Proxy(llama, {
            get(target, name) {
                if (name !== "loadModel") return Reflect.get(target, name, target);
                return async (options: Parameters<typeof llama.loadModel>[0]) => {
                    const model = await target.loadModel(options);
                    loaded++;
                    model.onDispose.createListener(() => void disposed++);
                    return model;
                };
            }
        });
        const head = join(golden, "head.safetensors");
        const reward = await openReward(`judge:${demo} + judge:${demo},Is it? + head:${demo},${head}`, {
            llama: counting,
            threads: 1
        });
        expect([loaded, disposed]).toEqual([1, 0]);
        await reward.dispose();
        expect(disposed).toBe(1);
        await failure(() => openReward(`judge:${demo} + module:missing.mjs`, {llama: counting, threads: 1}));
        expect([loaded, disposed]).toEqual([2, 2]);
    });

    it("are opened without a Llama too", async () => {
        const reward = await openReward(`judge:${demo}`, {threads: 1});
        opened.push(reward);
        expect((await reward.score({prompt: "Hello"}, "Good day!")).score).toEqual(expect.any(Number));
    });

    it("are named when they cannot be read", async () => {
        cpSync(join(golden, "head.safetensors"), join(folder, "model.gguf"));
        const {code, message} = await failure(() => open("judge:model.gguf", {baseDirectory: folder}));
        expect(code).toBe("REWARD_LOAD");
        expect(message).toMatch(new RegExp(`^Could not load the model ${join(folder, "model.gguf")}: `));
    });
});
