/** What else is done with a sequence whose state a token changes for good: checkpoints, several sequences, disposing, copies, rollouts. */
import type {LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {createAlignedContext, type JudgeBatch, MaraAgent} from "../../lib/index.js";
import {Rollouts, type Trajectory} from "../../lib/train/rollout/rollouts.js";
import {randomAgent, randomTensors} from "../support/agents.js";
import type {GgufType} from "../support/gguf.js";
import {generate, precise} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {firstWord, vocabularySize} from "../support/tiny-model.js";
import {loadZooModel} from "./model.js";
import {width} from "./parts.js";
import {recurrentArchitectures} from "./recurrent.js";

const options = {...precise, contextSize: 512, batchSize: 256, lanes: 3} as const;
const random = seededRandom(11);
const promptOf = (count: number) =>
    Array.from({length: count}, () => random.integer(firstWord, vocabularySize - 1) as Token);
const prompts = [promptOf(30), promptOf(5), promptOf(70), promptOf(12)];
const [prompt = [], other = [], long = []] = prompts;
const modes = ["lanes", "serial"] as const;

/** A context whose agent rejects most candidates. */
async function open(model: LlamaModel, mode: (typeof modes)[number], more: object = {}) {
    const agent = MaraAgent.fromTensors(randomTensors(width, 42, {bias: -2}), {dtype: "f32", threads: 1});
    return await createAlignedContext(model, {...options, agent, mode, ...more});
}

async function alone(
    model: LlamaModel,
    mode: (typeof modes)[number],
    text: readonly Token[],
    count: number,
    more = {}
) {
    const {context} = await open(model, mode, more);
    const tokens = await generate(context.getSequence(), text, count);
    await context.dispose();
    return tokens;
}

describe.each(["mamba2", "qwen35", "kimi-linear (KDA, MLA)", "rwkv7"])("%s", (name) => {
    const load = (dtype: GgufType = "F32") =>
        loadZooModel(recurrentArchitectures[name] as (typeof recurrentArchitectures)[string], dtype);
    let model: LlamaModel;
    beforeAll(async () => {
        model = await load();
    });
    afterAll(() => model?.dispose());

    describe.each(modes)("in %s mode", (mode) => {
        const fresh = (text: readonly Token[], count: number) => alone(model, mode, text, count);

        it("goes back to a checkpoint that node-llama-cpp took between tokens, without evaluating the text anew", async () => {
            const {context} = await open(model, mode);
            const sequence = context.getSequence();
            await generate(sequence, long, 20);
            const text = [...sequence.contextTokens];
            await sequence.takeCheckpoint();
            const at = sequence.nextTokenIndex;
            expect(sequence.lastCheckpointIndex).toBe(at - 1);
            const first = await generate(sequence, other, 30);
            const before = sequence.tokenMeter.usedInputTokens;
            await sequence.eraseContextTokenRanges([{start: at, end: sequence.nextTokenIndex}]);
            expect(sequence.tokenMeter.usedInputTokens - before).toBe(0);
            expect(sequence.nextTokenIndex).toBe(at);
            expect(await generate(sequence, other, 30)).toEqual(first);
            expect(first).toEqual(await fresh([...text, ...other], 30));
            await context.dispose();
        });

        it("evaluates the text anew where there is no checkpoint", async () => {
            const {context} = await open(model, mode, {sequences: 2});
            const sequence = context.getSequence();
            const begun = await generate(sequence, prompt, 40);
            await sequence.eraseContextTokenRanges([{start: prompt.length + 8, end: sequence.nextTokenIndex}]);
            const text = [...prompt, ...begun.slice(0, 8)] as Token[];
            expect(sequence.contextTokens).toEqual(text);
            expect(await generate(sequence, other, 20)).toEqual(await fresh([...text, ...other], 20));
            await context.dispose();
        });

        it("gives each of four sequences at once what it gives alone", async () => {
            const {context, aligner} = await open(model, mode, {sequences: 4});
            const sequences = prompts.map(() => context.getSequence());
            const texts = await Promise.all(
                prompts.map((text, i) => generate(sequences[i] as LlamaContextSequence, text, 40))
            );
            expect(aligner.stats().evaluatedCandidates).toBeGreaterThan(2 * aligner.stats().generatedTokens);
            for (const [i, text] of prompts.entries()) expect(texts[i], `sequence ${i}`).toEqual(await fresh(text, 40));
            await context.dispose();
        });

        it("gives a sequence that takes a disposed one's place nothing of it", async () => {
            const {context} = await open(model, mode, {sequences: 2});
            const [first, second] = [context.getSequence(), context.getSequence()];
            const whole = generate(second, prompt, 60);
            for await (const _ of first.evaluate([...long])) if (first.nextTokenIndex > long.length + 12) break;
            const next = first.evaluate([...other]).next();
            // Its batch is being decoded, or its decision made.
            await new Promise((resolve) => setTimeout(resolve, 1));
            first.dispose();
            await next.catch(() => {});
            while (context.sequencesLeft === 0) await new Promise((resolve) => setImmediate(resolve));
            expect(await generate(context.getSequence(), other, 30)).toEqual(await fresh(other, 30));
            expect(await whole).toEqual(await fresh(prompt, 60));
            await context.dispose();
        });

        it("judges a token that is asked for late as if it were asked for at once", async () => {
            const {context} = await open(model, mode, {sequences: 2});
            const [first, second] = [context.getSequence(), context.getSequence()];
            const slow: number[] = [];
            const asked = (async () => {
                for await (const token of first.evaluate([...prompt])) {
                    slow.push(token);
                    // Its next token is decided already; the other sequence's decisions are made meanwhile.
                    await new Promise((resolve) => setTimeout(resolve, 3));
                    if (slow.length === 25) break;
                }
            })();
            const fast = await generate(second, long, 60);
            await asked;
            expect(slow).toEqual(await fresh(prompt, 25));
            expect(fast).toEqual(await fresh(long, 60));
            await context.dispose();
        });

        it("does not keep a failed decision's tokens", async () => {
            let failing = true;
            const judge = {
                judge: ({states, width: size, candidates}: JudgeBatch) => {
                    if (failing) throw new Error("not now");
                    return candidates.map((_, i) => ((states[i * size] as number) > 0 ? 1 : 0));
                }
            };
            const {context} = await createAlignedContext(model, {...options, mode, judge});
            const sequence = context.getSequence();
            await expect(generate(sequence, prompt, 5)).rejects.toThrow("not now");
            failing = false;
            const text = [...sequence.contextTokens, ...other];
            const tokens = await generate(sequence, other, 20);
            const {context: again} = await createAlignedContext(model, {...options, mode, judge});
            expect(tokens).toEqual(await generate(again.getSequence(), text, 20));
            await again.dispose();
            await context.dispose();
        });
    });

    it("gives the same in lanes and one by one with Q8_0 weights and a half-precision cache", async () => {
        const quantised = await load("Q8_0");
        const own = {flashAttention: true, experimentalKvCacheKeyType: "F16", experimentalKvCacheValueType: "F16"};
        const texts = await Promise.all(modes.map((mode) => alone(quantised, mode, long, 120, own)));
        expect(texts[0]).toEqual(texts[1]);
        const {context} = await open(quantised, "lanes", {...own, sequences: 4});
        const together = await Promise.all(prompts.map((text) => generate(context.getSequence(), text, 60)));
        for (const [i, text] of prompts.entries())
            expect(together[i], `sequence ${i}`).toEqual(await alone(quantised, "lanes", text, 60, own));
        await context.dispose();
        await quantised.dispose();
    });

    it("makes the same rollouts in lanes and one by one", async () => {
        const agent = randomAgent(width, 42, {bias: -1});
        const made: Trajectory[][] = [];
        for (const mode of modes) {
            const rollouts = await Rollouts.open(model, {
                threads: 1,
                contextSize: 256,
                maxTokens: 24,
                sequences: 3,
                mode,
                candidates: {topK: 8},
                flashAttention: false,
                cacheType: "F32"
            });
            expect(rollouts.mode).toBe(mode);
            const all: Trajectory[] = [];
            const texts = ["the thing", "another", "the thing on", "it"].map((prompt) => ({prompt}));
            await rollouts.run(agent, texts, [1, 2, 3, 4], (trajectory, i) => {
                all[i] = trajectory;
            });
            made.push(all);
            rollouts.close();
        }
        expect(made[0]?.map(({tokens}) => tokens)).toEqual(made[1]?.map(({tokens}) => tokens));
        expect(made[0]?.every(({tokens}) => tokens.length > 0)).toBe(true);
    });
});
