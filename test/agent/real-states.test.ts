import type {LlamaModel} from "node-llama-cpp";
import {beforeAll, expect, it} from "vitest";
import {type AgentTensor, MaraAgent} from "../../lib/agent/agent.js";
import {contextInternals} from "../../lib/align/node-llama-cpp/internals.js";
import {composeReply, trainingPrompts} from "../../lib/demo/world.js";
import {native} from "../../lib/native.js";
import {randomTensors} from "../support/agents.js";
import {describeWithTestModel, loadTestModel} from "../support/models.js";

const count = 10_000;
const contextSize = 512;
const text = trainingPrompts(1000)
    .map((prompt, seed) => `${prompt.text}\n${composeReply(prompt, "mixed", seed)}`)
    .join("\n\n");

/** Hidden states of the model after each token of real text, row-major. */
async function hiddenStates(model: LlamaModel): Promise<Float32Array> {
    const options = {contextSize, threads: 1, _embeddings: true};
    const context = await model.createContext(options);
    const sequence = context.getSequence();
    const states = new Float32Array(count * model.embeddingVectorSize);
    const tokens = model.tokenize(text).slice(0, count);
    expect(tokens.length).toBe(count);
    for (const [i, token] of tokens.entries()) {
        if (i % (contextSize - 2) === 0) await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens([token]);
        states.set(contextInternals(context)._ctx.getEmbedding(1), i * model.embeddingVectorSize);
    }
    await context.dispose();
    return states;
}

describeWithTestModel(`${count} hidden states of a real model`, () => {
    let states: Float32Array;
    let tensors: Record<string, AgentTensor>;
    let expected: Float32Array;

    beforeAll(async () => {
        const model = await loadTestModel();
        states = await hiddenStates(model);
        const width = model.embeddingVectorSize;
        await model.dispose();
        tensors = randomTensors(width, 11, {
            states: states.slice(0, 200 * width),
            hidden: [1024, 256],
            // int8 errs in proportion to the logits: with a spread of 2.5, one state in 10 000 is decided otherwise up to 0.025 from 0.5.
            spread: 1
        });
        using agent = MaraAgent.fromTensors(tensors, {dtype: "f32", kernel: "reference"});
        expected = agent.score(states);
    }, 600_000);

    it("are judged both ways by the agent", () => {
        const accepted = expected.filter((probability) => probability > 0.5).length;
        expect(Math.min(accepted, count - accepted)).toBeGreaterThan(count / 10);
    });

    const types = ["f32", "f16", "bf16", "int8"] as const;
    it.each(
        native()
            .kernels()
            .flatMap((kernel) => types.map((dtype) => ({kernel, dtype})))
    )("are decided by $kernel in $dtype as by the reference, but for close calls", ({kernel, dtype}) => {
        using agent = MaraAgent.fromTensors(tensors, {dtype, kernel});
        const found = agent.score(states);
        const differing = [...found.entries()].filter(([i, probability]) => {
            const reference = expected[i] as number;
            return Math.abs(reference - 0.5) > 0.02 && probability > 0.5 !== reference > 0.5;
        });
        expect(differing).toEqual([]);
    });
});
