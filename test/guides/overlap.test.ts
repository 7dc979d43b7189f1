/** A guide's model decodes beside the guided one, once for each token. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {valueModel} from "../../lib/index.js";
import {align} from "../align/harness.js";
import {acceptAll, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {loadZooModel} from "../zoo/model.js";
import {recurrentArchitectures} from "../zoo/recurrent.js";
import {watchDecodes} from "./watch-decodes.js";

let model: LlamaModel;
let tuned: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    tuned = await loadTinyModel({seed: 5, sharpness: 2});
    // node-llama-cpp lets contexts wait for each other where there are fewer threads than contexts, as on a machine with one core.
    model.llama.maxThreads = 4;
});
afterAll(() => Promise.all([model?.dispose(), tuned?.dispose()]));

it("The guide decodes the prompt and each token once, while the guided model does", async () => {
    const {context} = await align(model, {guides: [valueModel({tuned, weight: 0.5})]});
    const sequence = context.getSequence();
    const seen = watchDecodes();
    const tokens = await generate(sequence, model.tokenize("the hen and the"), 12);
    expect(tokens).toHaveLength(12);
    expect([...seen.counts.values()]).toEqual([12, 12]);
    expect(seen.together()).toBe(12);
});

it("Sequences that step together share the guide's decodes", async () => {
    const {context} = await align(model, {guides: [valueModel({tuned, weight: 0.5})], sequences: 3});
    const sequences = [1, 2, 3].map(() => context.getSequence());
    const seen = watchDecodes();
    await Promise.all(sequences.map((sequence) => generate(sequence, model.tokenize("the hen"), 8)));
    const [main = 0, guide] = seen.counts.values();
    expect(main).toBeLessThan(24);
    expect(guide).toBeLessThanOrEqual(main);
});

const candidates = {topK: 3, topP: 1, minP: 0};

it("With an agent, the guide decodes the candidate that is tried first while the guided model does", async () => {
    const agent = acceptAll(model.embeddingVectorSize);
    const {context} = await align(model, {agent, guides: [valueModel({tuned, weight: 0.5})], candidates});
    const sequence = context.getSequence();
    const seen = watchDecodes();
    expect(await generate(sequence, model.tokenize("the hen and the"), 12)).toHaveLength(12);
    // The prompt, and each token once.
    expect([...seen.counts.values()]).toEqual([13, 13]);
    expect(seen.together()).toBe(13);
});

it("Where candidates are mostly rejected, the guide waits for what is emitted", async () => {
    const agent = rejectAll(model.embeddingVectorSize);
    const guides = [valueModel({tuned, weight: 0.5})];
    const {context} = await align(model, {agent, guides, candidates, fallbackIndex: 1});
    const sequence = context.getSequence();
    const seen = watchDecodes();
    expect(await generate(sequence, model.tokenize("the hen and the"), 40)).toHaveLength(40);
    const [, guide = 0] = seen.counts.values();
    // Four candidates are decoded in vain before that is known.
    expect(guide).toBe(40 + 4);
});

it("A recurrent guide, which cannot take a token back, decodes nothing in vain", async () => {
    const mamba = await loadZooModel(recurrentArchitectures.mamba2 as (typeof recurrentArchitectures)[string], "F32");
    const agent = rejectAll(model.embeddingVectorSize);
    const guides = [valueModel({tuned: mamba, weight: 0.5})];
    const {context} = await align(model, {agent, guides, candidates, fallbackIndex: 1});
    const seen = watchDecodes();
    expect(await generate(context.getSequence(), model.tokenize("the hen and the"), 12)).toHaveLength(12);
    const [, guide = 0] = seen.counts.values();
    expect(guide).toBe(12);
    await mamba.dispose();
});
