/**
 * Lanes and serial on a real model, token for token. Short texts with flash attention, the default: there llama.cpp's result for a
 * token does not depend on the batch that it came in, so not even float noise is allowed for.
 */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {type AlignerStats, createAlignedContext, type MaraAgent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {describeWithTestModel, generate, loadTestModel} from "../support/models.js";
import {statesOfPrompts} from "../support/states.js";

const length = 40;
const options = {contextSize: 256, threads: 1};
const prompts = [
    "Once upon a time there was",
    "The capital of France is",
    "def fibonacci(n):\n",
    "Dear Sir or Madam,\n",
    "The three laws of motion say that",
    "I was walking home when",
    "A recipe for bread: first,",
    "Q: Why is the sky blue?\nA:",
    "In 1969,",
    "The doctor said",
    "1, 1, 2, 3, 5, 8,",
    "She opened the letter and",
    "<html>\n<head>",
    "It is well known that cats",
    "Breaking news:",
    "To be or not to be,",
    "The opposite of love is",
    "SELECT name FROM",
    "My favourite book is",
    "Water boils at"
];

describeWithTestModel("A real model", () => {
    let model: LlamaModel;
    let agent: MaraAgent;

    beforeAll(async () => {
        model = await loadTestModel();
        agent = randomAgent(model.embeddingVectorSize, 7, {
            states: await statesOfPrompts(
                model,
                prompts.map((prompt) => model.tokenize(prompt, true))
            ),
            bias: 0
        });
    });
    afterAll(async () => model.dispose());

    it("gives the same text in lanes and in serial mode", {timeout: 600_000}, async () => {
        const serial = await texts("serial");
        const lanes = await texts("lanes");
        expect(lanes.texts).toEqual(serial.texts);
        // Equality would be trivial unless the agent really accepts, rejects and falls back.
        for (const {decisions, fallbacks, acceptedRanks} of [serial.stats, lanes.stats]) {
            expect(decisions).toBeGreaterThan(300);
            expect(fallbacks).toBeGreaterThan(10);
            expect(acceptedRanks[0]).toBeGreaterThan(100);
            expect(acceptedRanks.slice(1).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(100);
        }
        expect(serial.stats.acceptedRanks).toEqual(lanes.stats.acceptedRanks);
        expect(serial.stats.fallbacks).toBe(lanes.stats.fallbacks);
    });

    async function texts(mode: "lanes" | "serial"): Promise<{texts: string[]; stats: AlignerStats}> {
        const {context, aligner} = await createAlignedContext(model, {...options, agent, mode});
        const texts: string[] = [];
        for (const prompt of prompts) {
            const sequence = context.getSequence();
            const tokens = await generate(sequence, model.tokenize(prompt, true), length);
            texts.push(model.detokenize(tokens as ReturnType<LlamaModel["tokenize"]>, true));
            await sequence.dispose();
        }
        const stats = aligner.stats();
        await context.dispose();
        return {texts, stats};
    }
});
