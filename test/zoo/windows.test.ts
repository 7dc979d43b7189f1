/** Long prompts of models with sliding windows, whose attention is computed in tiles of cells. */
import type {Token} from "node-llama-cpp";
import {expect, it} from "vitest";
import {createAlignedContext, type DecisionEvent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, small} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {firstWord, vocabularySize} from "../support/tiny-model.js";
import {architectures} from "./architectures.js";
import {loadZooModel} from "./model.js";
import type {Architecture} from "./parts.js";

it("A long prompt's first decision is the same behind another's cells, in layers with a window shorter than a tile, too", async () => {
    const model = await loadZooModel(architectures.gemma3 as Architecture, "Q4_0");
    const agent = randomAgent(model.embeddingVectorSize, 42, {bias: -1});
    const random = seededRandom(11);
    const prompts = Array.from({length: 3}, () =>
        Array.from({length: random.integer(64, 140)}, () => random.integer(firstWord, vocabularySize - 1) as Token)
    );
    const firsts = async (texts: readonly Token[][]) => {
        const options = {...small, batchSize: 1024, lanes: 3, agent, sequences: texts.length};
        const {context, aligner} = await createAlignedContext(model, options);
        const sequences = texts.map(() => context.getSequence());
        const heard = new Map<number, DecisionEvent["candidates"]>();
        aligner.onDecision(({sequence, candidates}) => void heard.set(sequences.indexOf(sequence), candidates));
        await Promise.all(texts.map((text, i) => generate(sequences[i] as (typeof sequences)[number], text, 1)));
        await context.dispose();
        return texts.map((_, i) => heard.get(i)?.map(({token, probability}) => ({token, probability})));
    };
    const together = await firsts(prompts);
    for (const [i, prompt] of prompts.entries()) {
        expect(together[i]?.length).toBeGreaterThan(5);
        expect([together[i]], `sequence ${i}`).toEqual(await firsts([prompt]));
    }
    await model.dispose();
});
