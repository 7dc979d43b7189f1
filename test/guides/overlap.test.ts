/** A guide's model decodes beside the guided one, once for each token. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it, onTestFinished} from "vitest";
import {LanesBackend} from "../../lib/align/backend/lanes-backend.js";
import {valueModel} from "../../lib/index.js";
import {align} from "../align/harness.js";
import {generate, loadTinyModel} from "../support/models.js";

let model: LlamaModel;
let tuned: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    tuned = await loadTinyModel({seed: 5, sharpness: 2});
    // node-llama-cpp lets contexts wait for each other where there are fewer threads than contexts, as on a machine with one core.
    model.llama.maxThreads = 4;
});
afterAll(() => Promise.all([model?.dispose(), tuned?.dispose()]));

/** Notes the decodes of every context with lanes: how many each made, and at how many of them another was under way. */
function watchDecodes(): {counts: Map<object, number>; together: () => number} {
    const {prototype} = LanesBackend;
    const stock = prototype.decode;
    onTestFinished(() => {
        prototype.decode = stock;
    });
    const counts = new Map<object, number>();
    let running = 0;
    let together = 0;
    prototype.decode = async function (tokens) {
        counts.set(this, (counts.get(this) ?? 0) + 1);
        if (running++ > 0) together++;
        try {
            return await stock.call(this, tokens);
        } finally {
            running--;
        }
    };
    return {counts, together: () => together};
}

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
