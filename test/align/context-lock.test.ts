/** What needs the context to itself, while other sequences generate: it waits for a batch, not for their ends. */
import type {LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {MaraAgent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {align, modes} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
let prompt: Token[];
beforeAll(async () => {
    model = await loadTinyModel();
    agent = randomAgent(model.embeddingVectorSize, 5);
    prompt = model.tokenize("once there was a hen and");
});
afterAll(() => model?.dispose());

const length = 60;
/** Tokens that the two may get meanwhile; whoever waits for their ends has waited for 50. */
const patience = 20;

describe.each(modes)("While two sequences generate (%s)", (mode) => {
    const open = async (sequences: number) => (await align(model, {agent, mode, lanes: 3, sequences})).context;

    async function generateWhile(act: (third: LlamaContextSequence) => Promise<void>) {
        const context = await open(3);
        const [one, two, third] = Array.from({length: 3}, () => context.getSequence()) as [
            LlamaContextSequence,
            LlamaContextSequence,
            LlamaContextSequence
        ];
        await generate(third, prompt, 3);
        const texts: Token[][] = [[], []];
        const waits: number[] = [];
        let acting: Promise<void> | undefined;
        const writing = [one, two].map(async (sequence, i) => {
            for await (const token of sequence.evaluate(prompt, {yieldEogToken: true})) {
                const text = texts[i] as Token[];
                if (text.push(token) === length) break;
                if (text.length !== 10 || acting !== undefined) continue;
                acting = act(third).then(() => void waits.push(text.length - 10));
            }
        });
        await Promise.all(writing);
        await acting;
        const wanted = await generate((await open(1)).getSequence(), prompt, length);
        expect(texts).toEqual([wanted, wanted]);
        expect(waits).toHaveLength(1);
        expect(waits[0]).toBeLessThanOrEqual(patience);
        return context;
    }

    it("a third is cleared", async () => {
        await generateWhile(async (third) => {
            await third.clearHistory();
            expect(third.nextTokenIndex).toBe(0);
        });
    });

    it("a third is disposed, and its number is free again", async () => {
        const context = await generateWhile((third) => third.dispose());
        expect(context.sequencesLeft).toBe(1);
    });

    it("a third is shifted because it is full", async () => {
        const filled: number[] = [];
        await generateWhile(async (third) => {
            const long = Array.from({length: third.contextSize - 4}, (_, i) => prompt[i % prompt.length] as Token);
            await third.clearHistory();
            await generate(third, long, 6);
            filled.push(third.nextTokenIndex, long.length);
        });
        expect(filled[0]).toBeLessThan(filled[1] as number);
    });
});
