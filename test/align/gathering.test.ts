import {expect, test} from "vitest";
import {acceptAll} from "../support/agents.js";
import {loadTinyModel} from "../support/models.js";
import {align} from "./harness.js";

const count = 24;

test.each([0, 5])("sequences that start %i tokens apart come to share their decodes", async (apart) => {
    const model = await loadTinyModel();
    const {context, aligner} = await align(model, {agent: acceptAll(64), mode: "lanes", sequences: 4});
    let tokens = 0;
    const runs = Array.from({length: 4}, async (_, i) => {
        const sequence = context.getSequence();
        while (tokens < i * apart) await new Promise((resolve) => setTimeout(resolve));
        const prompt = model.tokenize(`the ${"an ".repeat(i)}`);
        // Not cut short by an end-of-generation token.
        for await (const _ of sequence.evaluate(prompt, {yieldEogToken: true})) {
            tokens++;
            if (sequence.nextTokenIndex >= prompt.length + count) break;
        }
    });
    await Promise.all(runs);
    const {decodes, generatedTokens} = aligner.stats();
    expect(generatedTokens).toBeGreaterThanOrEqual(4 * count);
    // One decode for all four, but for the beginning, where not all take part, and the end.
    expect(decodes).toBeLessThanOrEqual(count + 3 * apart + 8);
});
