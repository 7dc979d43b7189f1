import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {createAlignedContext, type MaraAgent} from "../../lib/index.js";
import {acceptAll} from "../support/agents.js";
import type {GgufValue} from "../support/gguf.js";
import {loadTinyModel, small, testLlama} from "../support/models.js";
import {writeTinyModel} from "../support/tiny-model.js";
import {align, refusal} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel();
    agent = acceptAll(model.embeddingVectorSize);
});
afterAll(() => model?.dispose());

/**
 * A model that stock llama.cpp loads as `architecture`; only the vocabulary is read. (The errors it prints are about hyperparameters
 * that it would like to see for its estimate of the memory.)
 */
async function loadAs(architecture: string, metadata: Record<string, GgufValue> = {}): Promise<LlamaModel> {
    const modelPath = writeTinyModel({
        metadata: {
            "general.architecture": {string: architecture},
            [`${architecture}.context_length`]: {u32: 2048},
            [`${architecture}.embedding_length`]: {u32: 64},
            [`${architecture}.block_count`]: {u32: 2},
            [`${architecture}.attention.head_count`]: {u32: 4},
            ...metadata
        }
    });
    return await (await testLlama()).loadModel({modelPath, vocabOnly: true});
}

describe("Models that cannot be aligned", () => {
    const noLogits = "llama.cpp gives no logits together with hidden states, which agents judge. Use another model.";
    const abort =
        "llama.cpp ends the process when it is asked for hidden states, which agents judge. Use another model.";
    const encoder = "it makes embeddings or scores, not text. Use a generative model.";

    const diffusion =
        "it writes by diffusion, where every token depends on those after it, so none can be accepted or rejected alone. " +
        "Use a model that generates from left to right.";

    it.each([
        ["lfm2", noLogits],
        ["lfm2moe", noLogits],
        ["qwen4exp", abort],
        ["deepseek4", abort],
        ["bert", encoder],
        ["modern-bert", encoder],
        ["nomic-bert", encoder],
        ["t5", "its encoder reads the prompt, and node-llama-cpp runs decoders only. Use a model without an encoder."],
        ["t5encoder", encoder],
        ["gemma-embedding", encoder],
        ["llama-embed", encoder],
        ["dream", diffusion],
        ["llada", diffusion],
        ["llada-moe", diffusion],
        ["rnd1", diffusion],
        ["wavtokenizer-dec", encoder]
    ])("%s", async (architecture, reason) => {
        const other = await loadAs(architecture);
        for (const mode of ["auto", "lanes", "serial"] as const)
            expect(await refusal(() => createAlignedContext(other, {...small, agent, mode}))).toEqual({
                code: "MODEL_UNSUPPORTED",
                message: `The model (${architecture}) cannot be aligned: ${reason}`
            });
        await other.dispose();
    });

    it("a diffusion model whose file says that it is not causal, with the same words", async () => {
        const other = await loadAs("dream", {"dream.attention.causal": {bool: false}});
        expect(await refusal(() => createAlignedContext(other, {...small, agent}))).toEqual({
            code: "MODEL_UNSUPPORTED",
            message: `The model (dream) cannot be aligned: ${diffusion}`
        });
        await other.dispose();
    });

    it.each([
        ["an embedding model of a generative architecture", {"llama.pooling_type": {u32: 3}}],
        ["a reranker", {"llama.pooling_type": {u32: 4}}],
        ["a model without causal attention", {"llama.attention.causal": {bool: false}}]
    ] as [string, Record<string, GgufValue>][])("%s", async (_, metadata) => {
        const other = await loadTinyModel({metadata});
        expect(await refusal(() => createAlignedContext(other, {...small, agent}))).toEqual({
            code: "MODEL_UNSUPPORTED",
            message: `The model (llama) cannot be aligned: ${encoder}`
        });
        await other.dispose();
    });

    it("a disposed one, and what is no model", async () => {
        const other = await loadTinyModel({seed: 2});
        await other.dispose();
        expect(await refusal(() => createAlignedContext(other, {...small, agent}))).toEqual({
            code: "MODEL_UNSUPPORTED",
            message: "The model is disposed. Load it again."
        });
        for (const [value, received] of [
            ["model.gguf", '"model.gguf"'],
            [undefined, "undefined"],
            [{}, "Object"]
        ])
            expect(await refusal(() => createAlignedContext(value as never, {...small, agent}))).toEqual({
                code: "INVALID_ARGUMENT",
                message: `Expected a LlamaModel of node-llama-cpp for model but received ${received}`
            });
    });
});

describe("Agents that cannot judge", () => {
    it("one of another width", async () => {
        expect(await refusal(() => createAlignedContext(model, {...small, agent: acceptAll(32)}))).toEqual({
            code: "AGENT_WIDTH",
            message:
                "The agent reads states of width 32, but the model's embedding size is 64. " +
                "Use an agent that was trained for a model of this width."
        });
    });

    it("a disposed one", async () => {
        const gone = acceptAll(model.embeddingVectorSize);
        gone.dispose();
        const wanted = {code: "AGENT_DISPOSED", message: "The agent is disposed. Load it again."};
        expect(await refusal(() => createAlignedContext(model, {...small, agent: gone}))).toEqual(wanted);
        const {aligner} = await align(model, {agent});
        expect(await refusal(() => aligner.configure({agent: gone}))).toEqual(wanted);
    });
});
