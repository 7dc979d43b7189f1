/** The cache is appended to and compacted: long texts, full contexts and shifts leave every sequence as it would be alone. */
import type {LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {createAlignedContext} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {firstWord, vocabularySize} from "../support/tiny-model.js";

let model: LlamaModel;
const agent = randomAgent(64, 42, {bias: -1});
beforeAll(async () => {
    // An end-of-generation token would be chosen before texts are long enough.
    model = await loadTinyModel({seed: 31, sharpness: 4, dtype: "Q8_0"});
});
afterAll(() => model?.dispose());

const random = seededRandom(3);
const promptOf = (length: number) => Array.from({length}, () => random.integer(firstWord, vocabularySize - 1) as Token);
const prompts = [promptOf(12), promptOf(70), promptOf(3)];

/** A text of several generations, each after some more of a prompt, with something done to the sequence in between. */
async function write(sequence: LlamaContextSequence, prompt: readonly Token[], between: Between, parts: number) {
    const text: number[] = [];
    for (let part = 0; part < parts; part++) {
        if (part > 0) await between(sequence);
        text.push(...(await generate(sequence, part === 0 ? prompt : prompt.slice(0, 2), 90)));
    }
    return text;
}
type Between = (sequence: LlamaContextSequence) => Promise<unknown> | undefined;

async function run(chosen: readonly (readonly Token[])[], contextSize: number, between: Between, parts: number) {
    const options = {agent, mode: "lanes", contextSize, sequences: chosen.length, threads: 1} as const;
    const {context, aligner} = await createAlignedContext(model, options);
    const sequences = chosen.map(() => context.getSequence());
    const texts = await Promise.all(
        chosen.map((prompt, i) => write(sequences[i] as LlamaContextSequence, prompt, between, parts))
    );
    const {evaluatedCandidates, generatedTokens} = aligner.stats();
    await context.dispose();
    return {texts, given: evaluatedCandidates - generatedTokens};
}

describe("Sequences beside others", () => {
    it.each([
        ["in texts so long that the cache is written anew", 1024, () => undefined, 4],
        ["when contexts are full and shift", 160, () => undefined, 4],
        [
            "when tokens are erased in between",
            512,
            (sequence: LlamaContextSequence) => sequence.eraseContextTokenRanges([{start: 4, end: 40}]),
            3
        ],
        ["when their text is given up", 512, (sequence: LlamaContextSequence) => sequence.clearHistory(), 4]
    ] as const)("write what each writes alone, %s", async (_, contextSize, between, parts) => {
        const together = await run(prompts, contextSize, between as Between, parts);
        expect(together.given).toBeGreaterThan(256);
        for (const [i, prompt] of prompts.entries()) {
            const alone = await run([prompt], contextSize, between as Between, parts);
            expect(together.texts[i], `sequence ${i}`).toEqual(alone.texts[0]);
        }
    });
});
