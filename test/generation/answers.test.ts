import {LlamaChatSession, type LlamaContext, type LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {heldOutPrompts} from "../../lib/demo/world.js";
import {type Answer, AnswerPool, answerAll, promptsPerBlock} from "../../lib/generation/answers.js";
import {promptTokens} from "../../lib/generation/prompt-tokens.js";
import {createAlignedContext, MaraAgent} from "../../lib/index.js";
import type {Prompt} from "../../lib/prompts/prompts.js";
import {failure as failureOf} from "../support/failure.js";
import {precise, testLlama} from "../support/models.js";

/** In float32, so that no choice hangs on how a batch is rounded. */
const shape = {...precise, contextSize: 256};
const maxTokens = 24;
const greedy = {maxTokens};
const sampled = {maxTokens, temperature: 1, seed: 7};

let model: LlamaModel;
let agent: MaraAgent;
let prompts: Prompt[];

beforeAll(async () => {
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
    agent = await MaraAgent.load(demoAgentPath);
    prompts = heldOutPrompts(10, 3).map(({text}) => ({prompt: text}));
});
afterAll(async () => model.dispose());

async function onPlain<T>(sequences: number, use: (context: LlamaContext) => Promise<T>): Promise<T> {
    const context = await model.createContext({...shape, sequences});
    try {
        return await use(context);
    } finally {
        await context.dispose();
    }
}

async function onAligned<T>(sequences: number, use: (context: LlamaContext) => Promise<T>): Promise<T> {
    const {context} = await createAlignedContext(model, {...shape, agent, sequences, waves: [1, 3, 8]});
    try {
        return await use(context);
    } finally {
        await context.dispose();
    }
}

const textsOf = (answers: readonly Answer[]) => answers.map(({text}) => text);

describe("promptTokens", () => {
    it("are what a chat session feeds the model, with and without a system prompt", async () => {
        for (const system of [undefined, "You are brief."]) {
            await onPlain(1, async (context) => {
                const sequence = context.getSequence();
                const session = new LlamaChatSession({
                    contextSequence: sequence,
                    ...(system === undefined ? {} : {systemPrompt: system})
                });
                await session.prompt("Where is the harbour?", {maxTokens: 1});
                const tokens = promptTokens(model, {
                    prompt: "Where is the harbour?",
                    ...(system === undefined ? {} : {system})
                });
                expect(sequence.contextTokens.slice(0, tokens.length)).toEqual(tokens);
            });
        }
    });
});

describe("answerAll", () => {
    it("gives what chat sessions answer, raw and aligned", async () => {
        for (const on of [onPlain, onAligned]) {
            const expected = await on(1, async (context) => {
                const session = new LlamaChatSession({contextSequence: context.getSequence()});
                const texts: string[] = [];
                for (const {prompt} of prompts) {
                    texts.push(await session.prompt(prompt, {maxTokens}));
                    session.resetChatHistory();
                }
                return texts;
            });
            expect(textsOf(await on(1, (context) => answerAll(context, prompts, greedy)))).toEqual(expected);
        }
    });

    it.each([
        ["plain, greedy", onPlain, greedy],
        ["plain, sampled", onPlain, sampled],
        ["aligned", onAligned, greedy]
    ] as const)(
        "gives the same, %s, whatever the number of sequences, in the order of the prompts",
        async (_, on, options) => {
            const alone = await on(1, (context) => answerAll(context, prompts, options));
            expect(new Set(textsOf(alone)).size).toBeGreaterThan(5);
            expect(alone.map(({prompt}) => prompt)).toEqual(prompts);
            for (const sequences of [3, 4])
                expect(textsOf(await on(sequences, (context) => answerAll(context, prompts, options)))).toEqual(
                    textsOf(alone)
                );
        }
    );

    it("gives the same again, bit for bit, in contexts of the default precision", async () => {
        const run = async () => {
            const defaults = {contextSize: 256, threads: 1, sequences: 3};
            const {context} = await createAlignedContext(model, {...defaults, agent, waves: [1, 3, 8]});
            const plain = await model.createContext(defaults);
            try {
                return [await answerAll(context, prompts, greedy), await answerAll(plain, prompts, sampled)];
            } finally {
                await context.dispose();
                await plain.dispose();
            }
        };
        expect(await run()).toEqual(await run());
    });

    it("samples by seed and index", async () => {
        const twice = [prompts[0], prompts[0]] as Prompt[];
        await onPlain(2, async (context) => {
            const [first, second] = await answerAll(context, twice, sampled);
            expect(first?.text).not.toBe(second?.text);
            expect(textsOf(await answerAll(context, twice, sampled))).toEqual([first?.text, second?.text]);
            expect(textsOf(await answerAll(context, twice, {...sampled, seed: 8}))).not.toContain(first?.text);
        });
    });

    it("tells how each answer ended, and reports it when it does", async () => {
        await onPlain(3, async (context) => {
            const seen: [string, number][] = [];
            const answers = await answerAll(context, prompts, {
                ...greedy,
                onAnswer: ({text}, index) => seen.push([text, index])
            });
            expect(seen.sort((a, b) => a[1] - b[1])).toEqual(answers.map(({text}, i) => [text, i]));
            expect(new Set(answers.map(({ended}) => ended))).toEqual(new Set(["eog", "length"]));
            for (const {tokens, ended, text} of answers) {
                expect(tokens.length === maxTokens).toBe(ended === "length");
                expect(model.detokenize(tokens)).toBe(text);
                expect(tokens.some((token) => model.isEogToken(token))).toBe(false);
            }
        });
    });

    it("hands over the decisions of aligned answers, one list per answer", async () => {
        const answers = await onAligned(4, (context) => answerAll(context, prompts, greedy));
        for (const {prompt, start, tokens, decisions} of answers) {
            expect(start).toBe(promptTokens(model, prompt).length);
            expect(decisions.length).toBeGreaterThan(0);
            for (const {position, candidates, chosenRank} of decisions) {
                const token = candidates[chosenRank]?.token as never;
                if (position - start < tokens.length) expect(token).toBe(tokens[position - start]);
                else expect(model.isEogToken(token)).toBe(true);
            }
        }
        const plain = await onPlain(4, (context) => answerAll(context, prompts, greedy));
        expect(plain.flatMap(({decisions}) => decisions)).toEqual([]);
    });

    it("ends when told to, with the signal's reason, and leaves the context usable", async () => {
        for (const on of [onPlain, onAligned]) {
            await on(2, async (context) => {
                const controller = new AbortController();
                const reason = new Error("enough");
                let count = 0;
                const running = answerAll(context, prompts, {
                    ...greedy,
                    signal: controller.signal,
                    onAnswer: () => {
                        if (++count === 3) controller.abort(reason);
                    }
                });
                await expect(running).rejects.toBe(reason);
                expect(context.sequencesLeft).toBe(2);
                expect(await answerAll(context, prompts.slice(0, 3), greedy)).toHaveLength(3);
            });
        }
    });

    it("refuses a prompt that does not fit", async () => {
        await onPlain(2, async (context) => {
            const long = {prompt: "breakfast ".repeat(200)};
            const failure = await failureOf(() => answerAll(context, [prompts[0] as Prompt, long], greedy));
            expect(failure).toMatchObject({code: "INVALID_ARGUMENT"});
            expect(failure.message).toMatch(
                /^Expected more than the \d+ tokens of prompt 2 and 24 of its answer for contextSize but received 256$/
            );
            expect(context.sequencesLeft).toBe(2);
        });
    });
});

describe("AnswerPool", () => {
    it("answers a block alike, whatever came before it", async () => {
        const size = promptsPerBlock(1);
        const [first, second] = [prompts.slice(0, size), prompts.slice(size)];
        for (const options of [greedy, sampled]) {
            await onPlain(1, async (context) => {
                const all = await answerAll(context, prompts, options);
                const pool = new AnswerPool(context);
                const late = await pool.answer(second, {...options, firstIndex: size});
                const early = await pool.answer(first, options);
                await pool.close();
                expect([...early.answers, ...late.answers]).toEqual(all);
            });
        }
    });

    it("counts tokens and the decodes that they took", async () => {
        await onPlain(4, async (context) => {
            const pool = new AnswerPool(context);
            const {answers, generatedTokens, rounds, seconds} = await pool.answer(prompts, greedy);
            await pool.close();
            const ends = answers.filter(({ended}) => ended === "eog").length;
            expect(generatedTokens).toBe(answers.reduce((sum, {tokens}) => sum + tokens.length, ends));
            expect(rounds).toBeGreaterThanOrEqual(generatedTokens / 4);
            expect(rounds).toBeLessThan(generatedTokens / 2);
            expect(seconds).toBeGreaterThan(0);
        });
    });
});
