/** The serial mode asks for the hidden state of every token, and so for the logits of every token: a long prompt must not make llama.cpp keep them all. */
import type {LlamaContext, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {acceptAll} from "../support/agents.js";
import {generate, loadTinyModel, precise, small} from "../support/models.js";
import {firstWord} from "../support/tiny-model.js";
import {align, plain} from "./harness.js";

let model: LlamaModel;
let exact: LlamaModel;

beforeAll(async () => {
    model = await loadTinyModel({seed: 31, sharpness: 4, dtype: "Q8_0"});
    exact = await loadTinyModel({seed: 31, sharpness: 4});
});
afterAll(async () => {
    await model.dispose();
    await exact.dispose();
});

const prompt = (length: number) => Array.from({length}, (_, i) => (firstWord + ((i * 7) % 90)) as Token);

/** Sizes of the batches that node-llama-cpp's native context is asked to decode. */
function watchBatches(context: LlamaContext): number[] {
    const {_ctx} = context as unknown as {_ctx: {initBatch(tokens: number): void}};
    const stock = Object.getPrototypeOf(_ctx) as typeof _ctx;
    const sizes: number[] = [];
    const initBatch = {
        value(this: typeof _ctx, tokens: number) {
            sizes.push(tokens);
            stock.initBatch.call(this, tokens);
        }
    };
    Object.setPrototypeOf(_ctx, Object.create(stock, {initBatch}));
    return sizes;
}

it.each([
    [63, [63]],
    [127, [127]],
    [128, [64, 64]],
    [200, [64, 64, 72]]
])(
    "decodes a prompt of %i tokens in batches of whole tiles, and gives a plain context's text",
    async (length, batches) => {
        const wanted = await generate((await plain(model, small)).getSequence(), prompt(length), 12);
        const agent = acceptAll(model.embeddingVectorSize);
        const {context, aligner} = await align(model, {...small, agent, mode: "serial"});
        expect(aligner.mode).toBe("serial");
        const sizes = watchBatches(context);
        expect(await generate(context.getSequence(), prompt(length), 12)).toEqual(wanted);
        expect(sizes.filter((size) => size > 1)).toEqual(batches);
    }
);

it("keeps the rows of sequences whose prompts share a batch", async () => {
    const lengths = [100, 40, 90];
    const options = {...precise, contextSize: 512};
    const wanted: number[][] = [];
    for (const length of lengths)
        wanted.push(await generate((await plain(exact, options)).getSequence(), prompt(length), 8));
    const agent = acceptAll(exact.embeddingVectorSize);
    const {context} = await align(exact, {...options, sequences: 3, agent, mode: "serial"});
    const sizes = watchBatches(context);
    const sequences = lengths.map(() => context.getSequence());
    const texts = await Promise.all(
        lengths.map((length, i) => generate(sequences[i] as (typeof sequences)[number], prompt(length), 8))
    );
    expect(texts).toEqual(wanted);
    expect(sizes[0]).toBe(64);
});
