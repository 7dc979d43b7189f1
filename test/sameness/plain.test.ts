/** Agents that accept or reject everything, and an aligner that is off, give the tokens of a plain context. */
import type {LlamaContext, LlamaModel, SequenceEvaluateOptions, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {type AlignedContextOptions, type Aligner, createAlignedContext} from "../../lib/index.js";
import {acceptAll, randomAgent, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel, precise, small} from "../support/models.js";

const modes = [{mode: "serial"}, {mode: "lanes", lanes: 1}, {mode: "lanes"}] as const;
const prompts = [
    "Hello there, the king and",
    "a",
    "nothing is as it was: 1, 2, 3",
    "The end?",
    "and on and on and on and"
];
const length = 48;

let model: LlamaModel;
let plain: LlamaContext;

beforeAll(async () => {
    model = await loadTinyModel({seed: 21});
    plain = await model.createContext(small);
});
afterAll(async () => model.dispose());

async function texts(context: LlamaContext, options: SequenceEvaluateOptions = {}): Promise<number[][]> {
    const results: number[][] = [];
    for (const prompt of prompts) {
        const sequence = context.getSequence();
        results.push(await generate(sequence, model.tokenize(prompt, true), length, options));
        await sequence.dispose();
    }
    return results;
}

async function aligned(options: AlignedContextOptions): Promise<{context: LlamaContext; aligner: Aligner}> {
    return await createAlignedContext(model, {...small, ...options});
}

describe.each(modes)("An aligned context, %o", (mode) => {
    it("generates greedily when the agent accepts everything", async () => {
        const {context, aligner} = await aligned({...mode, agent: acceptAll(64)});
        expect(await texts(context)).toEqual(await texts(plain));
        expect(aligner.stats().decisions).toBeGreaterThan(100);
        expect(aligner.stats().acceptedRanks).toEqual([aligner.stats().decisions]);
        await context.dispose();
    });

    it("generates greedily when the agent rejects everything", async () => {
        const {context, aligner} = await aligned({...mode, agent: rejectAll(64)});
        expect(await texts(context)).toEqual(await texts(plain));
        expect(aligner.stats().decisions).toBeGreaterThan(100);
        expect(aligner.stats().fallbacks).toBe(aligner.stats().decisions);
        await context.dispose();
    });

    it("generates greedily at threshold 0 and 1, whatever the agent", async () => {
        const {context, aligner} = await aligned({...mode, agent: randomAgent(64, 5), threshold: 0});
        expect(await texts(context)).toEqual(await texts(plain));
        aligner.configure({threshold: 1});
        expect(await texts(context)).toEqual(await texts(plain));
        await context.dispose();
    });

    it("generates as a plain context while it is off, sampled or not", async () => {
        const {context, aligner} = await aligned({...mode, agent: randomAgent(64, 5)});
        expect(await texts(context)).not.toEqual(await texts(plain));
        aligner.enabled = false;
        aligner.resetStats();
        expect(await texts(context)).toEqual(await texts(plain));
        const sampled = {temperature: 0.9, topK: 20, topP: 0.9, seed: 77};
        expect(await texts(context, sampled)).toEqual(await texts(plain, sampled));
        expect(await texts(context, sampled)).not.toEqual(await texts(plain));
        expect(aligner.stats().generatedTokens).toBe(0);
        await context.dispose();
    });

    it("takes up either way of choosing in mid-text", async () => {
        const options = {...mode, ...precise, agent: randomAgent(64, 5)};
        const {context, aligner} = await aligned(options);
        for (const prompt of prompts) {
            const sequence = context.getSequence();
            const tokens = model.tokenize(prompt, true);
            const steps: number[] = [];
            aligner.enabled = isAligned(0);
            for await (const token of sequence.evaluate(tokens, {yieldEogToken: true})) {
                steps.push(token);
                if (steps.length >= length || model.isEogToken(token)) break;
                aligner.enabled = isAligned(steps.length);
            }
            await sequence.dispose();
            await expectEachAlone(steps, tokens, options);
        }
        await context.dispose();
    });
});

const isAligned = (step: number) => step % 12 < 5;

/** Each token once more, from contexts that hold the text before it and have generated nothing. */
async function expectEachAlone(steps: number[], prompt: Token[], options: AlignedContextOptions): Promise<void> {
    const {context} = await aligned(options);
    const unaligned = await model.createContext(precise);
    for (const [i, token] of steps.entries()) {
        const sequence = (isAligned(i) ? context : unaligned).getSequence();
        const text = [...prompt, ...(steps.slice(0, i) as Token[])];
        expect(await generate(sequence, text, 1), `token ${i}`).toEqual([token]);
        await sequence.dispose();
    }
    await unaligned.dispose();
    await context.dispose();
}
