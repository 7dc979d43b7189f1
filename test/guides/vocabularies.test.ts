/** Guides whose models have other vocabularies than the guided one. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {contrast, guidance, valueModel} from "../../lib/index.js";
import {align, refusal} from "../align/harness.js";
import {generate, loadTinyModel} from "../support/models.js";
import {byteLevelEnd, byteLevelPairs, loadByteLevelModel, loadReordered} from "../support/other-vocabularies.js";
import {PlainLogits} from "../support/plain-logits.js";
import {bos, eos} from "../support/tiny-model.js";
import {type Case, greedy} from "./reference.js";

let model: LlamaModel;
let byteLevel: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    byteLevel = await loadByteLevelModel();
});
afterAll(() => Promise.all([model?.dispose(), byteLevel?.dispose()]));

const texts = ["once there was", "the hen and the", "he said ä"];
const length = 10;

it("The same vocabulary in another order gives the same text: a round trip is the identity", async () => {
    const {model: own, reordered} = await loadReordered();
    for (const make of [
        (amateur: LlamaModel) => contrast({amateur, weight: 0.8}),
        (tuned: LlamaModel) => valueModel({tuned, weight: 0.8}),
        (tuned: LlamaModel) => valueModel({tuned, base: own, weight: -0.8})
    ]) {
        const [straight, mapped] = [make(own), make(reordered)];
        const found: number[][][] = [];
        for (const guide of [straight, mapped]) {
            const {context} = await align(model, {guides: [guide]});
            const sequence = context.getSequence();
            const answers: number[][] = [];
            for (const text of texts) {
                await sequence.clearHistory();
                answers.push(await generate(sequence, model.tokenize(text), length));
            }
            found.push(answers);
            const shares = guide.mapped(context);
            expect(shares).toHaveLength(guide === straight ? 0 : 1);
            for (const {tokens, probability, exactProbability} of shares) {
                // Everything but the unknown token.
                expect(tokens).toBeGreaterThan(0.995);
                expect(probability).toBeGreaterThan(0.995);
                expect(exactProbability).toBe(probability);
            }
        }
        expect(found[1]).toEqual(found[0]);
    }
    await Promise.all([own.dispose(), reordered.dispose()]);
});

/** The bytes of a text in the byte-level model's tokens, the longest first. */
function spellBytes(bytes: Buffer): number[] {
    const tokens: number[] = [];
    for (let at = 0; at < bytes.length; ) {
        const pair = byteLevelPairs[bytes.subarray(at, at + 2).toString("latin1")];
        tokens.push(pair ?? (bytes[at] as number));
        at += pair === undefined ? 1 : 2;
    }
    return tokens;
}

/** The byte-level tokens of one of the guided model's. */
function spell(token: number): number[] {
    if (token === bos || token === eos) return [byteLevelEnd];
    if (token === 0) return [];
    if (token < 259) return spellBytes(Buffer.of(token - 3));
    return spellBytes(Buffer.from(model.detokenize([token as Token], true), "utf8"));
}

const logSum = (logits: Float64Array) => {
    const best = Math.max(...logits);
    return best + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - best), 0));
};

it("Another tokenizer's model guides as a slow reference does, and the shares are told", async () => {
    const main = await PlainLogits.of(model);
    const plain = await PlainLogits.of(byteLevel);
    const after = async (text: readonly number[], own: Float64Array) => {
        const logits = await plain.after(text.flatMap(spell));
        const offset = logSum(own) - logSum(logits);
        return own.map((_, token) => {
            const [head] = spell(token);
            return head === undefined ? Number.NaN : (logits[head] as number) + offset;
        });
    };
    const one: Case = {
        name: "contrast with a byte-level model",
        guide: contrast({amateur: byteLevel, weight: 0.8, plausibility: 0.05}),
        async change(logits, prompt, response) {
            const amateur = await after([...prompt, ...response], logits);
            const best = Math.max(...logits);
            return logits.map((logit, token) => {
                if (Math.exp(logit - best) < 0.05) return Number.NEGATIVE_INFINITY;
                const other = amateur[token] as number;
                return Number.isNaN(other) ? logit : logit + 0.8 * (logit - other);
            });
        }
    };
    const {context} = await align(model, {guides: [one.guide]});
    const sequence = context.getSequence();
    for (const text of texts) {
        await sequence.clearHistory();
        const prompt = model.tokenize(text);
        const wanted = await greedy(main, one, prompt, length, (token) => model.isEogToken(token as Token));
        expect(wanted.length).toBeGreaterThan(3);
        expect(await generate(sequence, prompt, wanted.length), text).toEqual(wanted);
    }
    const [share] = (one.guide as ReturnType<typeof contrast>).mapped(context);
    // 94 characters, the space, 256 bytes, three pairs and both ends, of 407 tokens.
    expect(share).toMatchObject({model: "amateur", probability: expect.closeTo(1, 2)});
    expect(share?.exactProbability).toBeGreaterThan(0.3);
    expect(share?.exactProbability).toBeLessThan(0.95);
    expect(share?.tokens).toBeGreaterThan(0.7);
    expect(share?.tokens).toBeLessThan(0.95);
});

it("A model that can say too little of what the guided model says is refused", async () => {
    const few = await loadByteLevelModel({bytes: 0x61});
    const {context} = await align(model, {guides: [contrast({amateur: few, weight: 0.5})]});
    const sequence = context.getSequence();
    expect(await refusal(() => generate(sequence, model.tokenize("once"), 8))).toEqual({
        code: "GUIDE_VOCABULARY",
        message: expect.stringMatching(
            /^Only \d\d\.\d % of the probability could be mapped to tokens of amateur, less than 90 %\. Take a model/
        )
    });
    const {context: lenient} = await align(model, {guides: [contrast({amateur: few, weight: 0.5, minMapped: 0})]});
    expect(await generate(lenient.getSequence(), model.tokenize("once"), 4)).toHaveLength(4);
    await few.dispose();
});

it("A guide by the model itself maps nothing", async () => {
    const guide = guidance({negativePrompt: "no", scale: 2});
    const {context} = await align(model, {guides: [guide]});
    expect(guide.mapped(context)).toEqual([]);
});
