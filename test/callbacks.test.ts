import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, beforeEach, describe, expect, it, vi} from "vitest";
import {demoAgentPath, demoModelPath} from "../lib/demo/files.js";
import {
    answerAll,
    createAlignedContext,
    evaluate,
    MaraAgent,
    openReward,
    promptTokens,
    type Reward,
    scoreGuarded,
    trainAgent
} from "../lib/index.js";
import {temporaryFolder} from "./cli/helpers.js";
import {failure} from "./support/failure.js";
import {small, testLlama} from "./support/models.js";
import {smallPreference} from "./train/helpers.js";

const folder = temporaryFolder();
const texts = ["When does the ferry leave?", "Where is breakfast?"];
const prompts = texts.map((prompt) => ({prompt}));
const greedy = {maxTokens: 12};
const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown) => unhandled.push(reason);
const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});

/** Listeners that fail in each way that there is. */
const failing: [string, () => unknown][] = [
    [
        "throws",
        () => {
            throw new Error("mine");
        }
    ],
    ["rejects", () => Promise.reject(new Error("mine"))],
    ["rejects with nothing that can be shown", () => Promise.reject(Object.create(null))]
];

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    process.on("unhandledRejection", noteUnhandled);
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
    agent = await MaraAgent.load(demoAgentPath);
});
beforeEach(() => warned.mockClear());
afterAll(async () => {
    await model.dispose();
    process.off("unhandledRejection", noteUnhandled);
    // Node tells of them in the turn after.
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(unhandled).toEqual([]);
    warned.mockRestore();
});

const warnings = () => warned.mock.calls.filter(([text]) => String(text).includes("and may go on failing"));

describe.each(failing)("A listener that %s", (_, listener) => {
    it("is told of once by onDecision, and changes nothing", async () => {
        const {context, aligner} = await createAlignedContext(model, {...small, agent, sequences: 2, waves: [1, 3]});
        const wanted = await answerAll(context, texts, greedy);
        const end = aligner.onDecision(listener);
        const answers = await answerAll(context, texts, greedy);
        expect(answers).toEqual(wanted);
        expect(answers.flatMap(({decisions}) => decisions).length).toBeGreaterThan(1);
        expect(warnings()).toHaveLength(1);
        end();
        await context.dispose();
    });

    it("is told of once as a guide's, and changes nothing", async () => {
        const shape = {...small, agent, sequences: 2, waves: [1, 3], mode: "lanes"} as const;
        const answersWith = async (emitted: () => void) => {
            const {context} = await createAlignedContext(model, {...shape, guides: [{guide() {}, emitted}]});
            const answers = await answerAll(context, texts, greedy);
            await context.dispose();
            return answers;
        };
        expect(await answersWith(listener)).toEqual(await answersWith(() => {}));
        expect(warnings()).toHaveLength(1);
    });

    it("is told of once by onAnswer, and changes nothing", async () => {
        const context = await model.createContext({...small, sequences: 2});
        const wanted = await answerAll(context, texts, greedy);
        const onAnswer = () => listener();
        expect(await answerAll(context, texts, {...greedy, onAnswer})).toEqual(wanted);
        expect(warnings()).toHaveLength(1);
        await context.dispose();
    });

    it("is told of once by evaluate, and changes nothing", async () => {
        const options = {agent, rewards: ["length"], ...greedy, threads: 1, fluency: false};
        const {sides} = await evaluate({
            ...options,
            modelPath: demoModelPath,
            prompts: texts,
            onProgress: () => listener()
        });
        expect(warnings()).toHaveLength(1);
        const plain = await evaluate({...options, model, prompts});
        expect(sides.map(({answers}) => answers)).toEqual(plain.sides.map(({answers}) => answers));
        expect(sides[0]?.answers).toHaveLength(2);
    });

    it("is told of once by trainAgent, and changes nothing", async () => {
        const run = async (name: string, more: object) => {
            const runDirectory = `${folder}/${_.length}-${name}`;
            const result = await trainAgent({...smallPreference, ...more, runDirectory});
            return {completed: result.completed, tensors: result.agent?.tensors()};
        };
        const noisy = await run("noisy", {
            model: demoModelPath,
            prompts: smallPreference.prompts.map(({prompt}) => prompt),
            onProgress: () => listener()
        });
        expect(warnings()).toHaveLength(1);
        expect(noisy).toEqual(await run("quiet", {modelPath: demoModelPath}));
        expect(noisy.completed).toBe(true);
    });
});

describe("A reward that fails", () => {
    const fails = (score: () => unknown) => ({name: "theirs", score, dispose: async () => {}}) as unknown as Reward;
    it.each([
        [
            "by throwing",
            () => {
                throw null;
            }
        ],
        ["by rejecting", () => Promise.reject(undefined)],
        ["by giving nothing", () => undefined]
    ] as [string, () => unknown][])("%s is REWARD_FAILED", async (_, score) => {
        const opened = await openReward(fails(score));
        expect(await failure(() => opened.score("a", "b"))).toMatchObject({code: "REWARD_FAILED"});
        expect(await failure(() => scoreGuarded(opened, "a", "b", {retries: 0}))).toMatchObject({
            code: "REWARD_FAILED"
        });
    });

    it("after its time leaves no rejection behind", async () => {
        const late = fails(() => new Promise((_, reject) => setTimeout(reject, 15, new Error("late"))));
        const failed = await failure(() => scoreGuarded(late, "a", "b", {timeoutMs: 5, retries: 1}));
        expect(failed).toEqual({
            code: "REWARD_FAILED",
            message: "The reward theirs took more than 5 ms (the last of 2 calls)"
        });
        await new Promise((resolve) => setTimeout(resolve, 30));
    });
});

describe("A prompt given as a string", () => {
    it("has the tokens of its record", () => {
        for (const [i, text] of texts.entries())
            expect(promptTokens(model, text)).toEqual(promptTokens(model, prompts[i] as {prompt: string}));
        expect(promptTokens(model, "a").length).not.toBe(promptTokens(model, "a much longer one").length);
    });

    it("is answered as its record is", async () => {
        const context = await model.createContext({...small, sequences: 2});
        const answers = await answerAll(context, texts, greedy);
        expect(answers).toEqual(await answerAll(context, prompts, greedy));
        expect(answers.map(({prompt}) => prompt)).toEqual(prompts);
        await context.dispose();
    });

    it("is scored as its record is", async () => {
        const seen: string[] = [];
        const reward = await openReward((prompt) => seen.push(prompt));
        await reward.score("a", "b");
        await scoreGuarded(reward, "a", "b");
        expect(seen).toEqual(["a", "a"]);
    });
});

describe("What node-llama-cpp refuses", () => {
    it("is DECODE_FAILED, for tokens that the model does not have", async () => {
        const context = await model.createContext({...small, sequences: 2});
        const tokensOf = () => [2 ** 31 - 1] as never;
        const failed = await failure(() => answerAll(context, texts, {...greedy, tokensOf}));
        expect(failed).toEqual({code: "DECODE_FAILED", message: "The context could not answer: Eval has failed"});
        expect(context.sequencesLeft).toBe(2);
        await context.dispose();
    });

    it("is DECODE_FAILED, for a context that is disposed meanwhile", async () => {
        const context = await model.createContext({...small, sequences: 2});
        const onAnswer = () => context.dispose();
        const many = Array.from({length: 12}, () => texts).flat();
        const failed = await failure(() => answerAll(context, many, {...greedy, onAnswer}));
        expect(failed.code).toBe("DECODE_FAILED");
    });

    it.each(["lanes", "serial"] as const)("is CONTEXT_FAILED, for options of a context (%s)", async (mode) => {
        const failed = await failure(() => createAlignedContext(model, {...small, agent, mode, lora: "nowhere.gguf"}));
        expect(failed.code).toBe("CONTEXT_FAILED");
        expect(failed.message).toMatch(/^Could not create a context: Failed to initialize LoRA adapter/);
    });

    it("is the reason of a signal that ends the creation", async () => {
        const createSignal = AbortSignal.abort(new Error("mine"));
        await expect(createAlignedContext(model, {...small, agent, createSignal})).rejects.toThrow("mine");
    });
});
