/** `guidance` decodes its negative prompt in the guided context itself, in the same batches. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {type Guide, guidance} from "../../lib/index.js";
import {agentFor, align, refusal} from "../align/harness.js";
import {acceptAll, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel, small} from "../support/models.js";
import {PlainLogits} from "../support/plain-logits.js";
import {likeReference} from "./like-reference.js";
import {greedy, guidanceCase} from "./reference.js";
import {watchDecodes} from "./watch-decodes.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
});
afterAll(() => model?.dispose());

const candidates = {topK: 3, topP: 1, minP: 0};
const guide = (scale = 1.7) => guidance({negativePrompt: model.tokenize("never and ever"), scale});

it("A guided token and its negative share one batch, and there is no other context", async () => {
    const seen = watchDecodes();
    const {context} = await align(model, {guides: [guide()]});
    const [opening] = [...seen.sizes.values()];
    expect(opening).toEqual([model.tokenize("never and ever").length - 1]);
    const prompt = model.tokenize("the hen and the");
    expect(await generate(context.getSequence(), prompt, 12)).toHaveLength(12);
    expect([...seen.sizes.values()]).toEqual([[...(opening as number[]), prompt.length + 1, ...Array(11).fill(2)]]);
});

it("With an agent, the negative rides with the candidate that is tried first", async () => {
    const agent = acceptAll(model.embeddingVectorSize);
    const {context, aligner} = await align(model, {agent, guides: [guide()], candidates, waves: [1]});
    const seen = watchDecodes();
    const prompt = model.tokenize("the hen and the");
    expect(await generate(context.getSequence(), prompt, 12)).toHaveLength(12);
    expect([...seen.sizes.values()]).toEqual([[prompt.length + 1, ...Array(12).fill(2)]]);
    expect(aligner.stats().decodes).toBe(12);
});

it("Where candidates are mostly rejected, the negative waits for what is emitted", async () => {
    const agent = rejectAll(model.embeddingVectorSize);
    const guides = [guide()];
    const {context} = await align(model, {agent, guides, candidates, fallbackIndex: 1, waves: [3]});
    const seen = watchDecodes();
    const prompt = model.tokenize("the hen and the");
    expect(await generate(context.getSequence(), prompt, 40)).toHaveLength(40);
    const [sizes = []] = seen.sizes.values();
    // Waves of three candidates, four of them with a negative that is decoded in vain, each but the last followed by the negative alone.
    const waves = sizes.filter((size) => size >= 3 && size <= 4).length;
    expect([waves, sizes.filter((size) => size === 1).length, sizes.length]).toEqual([40, 39, 80]);
    expect(sizes.filter((size) => size === 4)).toHaveLength(4);
});

it("Four sequences at once give the texts that each gives alone, with an agent and without", async () => {
    const quantised = await loadTinyModel({seed: 3, sharpness: 2, dtype: "Q8_0"});
    const agent = await agentFor(quantised, 8);
    const prompts = ["the hen and the", "once there was", "he said", "a"].map((text) => quantised.tokenize(text));
    for (const own of [{}, {agent}]) {
        const options = {...small, ...own, guides: [guide()]};
        const {context} = await align(quantised, {...options, sequences: 4});
        const together = await Promise.all(prompts.map((prompt) => generate(context.getSequence(), prompt, 20)));
        for (const [i, prompt] of prompts.entries()) {
            const {context: single} = await align(quantised, options);
            expect(await generate(single.getSequence(), prompt, 20)).toEqual(together[i]);
        }
    }
    await quantised.dispose();
});

it("Two negative prompts, one of them longer than a batch, are followed as by a slow reference", async () => {
    const long = Array.from({length: 150}, (_, i) => model.tokenize("the hen and no end")[i % 5] as Token);
    const cases = [await guidanceCase(model, {negativePrompt: long, scale: 1.4})];
    const agent = await agentFor(model, 8);
    for (const own of [{}, {agent}])
        await likeReference(
            model,
            cases,
            (sequences) => Promise.all(sequences.map((one) => generate(one, model.tokenize("once there was"), 10))),
            {...own, sequences: 2, batchSize: 40}
        );
    const main = await PlainLogits.of(model);
    const [first] = cases;
    const second = await guidanceCase(model, {negativePrompt: model.tokenize("never"), scale: 0.5});
    const both = {
        ...second,
        async change(logits: Float64Array, prompt: readonly number[], response: readonly number[]) {
            const changed = (await first?.change(logits, prompt, response)) as Float64Array;
            return await second.change(changed, prompt, response);
        }
    };
    const prompt = model.tokenize("the hen and the");
    const wanted = await greedy(main, both, prompt, 10, (token) => model.isEogToken(token as Token));
    expect(wanted.length).toBeGreaterThan(5);
    const {context} = await align(model, {guides: [first?.guide as Guide, second.guide]});
    expect(await generate(context.getSequence(), prompt, wanted.length)).toEqual(wanted);
});

it("A guide that is configured while a batch is under way begins with the next token", async () => {
    const one = await guidanceCase(model, {negativePrompt: model.tokenize("never and ever"), scale: 3});
    const {context, aligner} = await align(model, {guides: [one.guide]});
    const switching: Guide = {
        guide() {},
        decoding() {
            aligner.configure({guides: [one.guide]});
        }
    };
    aligner.configure({guides: [switching]});
    const prompt = model.tokenize("once there was");
    const tokens = await generate(context.getSequence(), prompt, 8);
    const main = await PlainLogits.of(model);
    const logits = await main.after([...prompt]);
    expect(tokens[0]).toBe(logits.indexOf(Math.max(...logits)));
    const rest = await greedy(
        main,
        {...one, change: (own, _, response) => one.change(own, [], [tokens[0] as number, ...response])},
        [...prompt, tokens[0] as number],
        7,
        (token) => model.isEogToken(token as Token)
    );
    expect(rest.length).toBeGreaterThan(3);
    expect(tokens.slice(1, 1 + rest.length)).toEqual(rest);
});

it("After a batch that fails, the guide decodes its text anew", async () => {
    const {context} = await align(model, {guides: [guide()], sequences: 2});
    const [one, two] = [context.getSequence(), context.getSequence()];
    const prompt = model.tokenize("the hen and the");
    const expected = await generate(one, prompt, 12);
    await one.clearHistory();
    const start = await generate(one, prompt, 4);
    const unknown = [2 ** 31 - 1] as unknown as Token[];
    const outcomes = await Promise.allSettled([
        generate(one, start.slice(-1) as Token[], 4),
        two.evaluateWithoutGeneratingNewTokens(unknown)
    ]);
    expect(outcomes.map(({status}) => status)).toEqual(["rejected", "rejected"]);
    expect([...start, ...(await generate(one, start.slice(-1) as Token[], 8))]).toEqual(expected);
});

it("Sequences for which there is no place are refused", async () => {
    const found = await refusal(() => align(model, {guides: [guide()], sequences: 4, lanes: 250}));
    expect(found).toEqual({
        code: "LANES_LIMIT",
        message: expect.stringMatching(/^250 lanes do not fit beside 9 sequences: at most \d+ are possible/)
    });
});
