/** The guides that come with the package against a slow reference: plain contexts, whole texts, logits added in float64. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {align} from "../align/harness.js";
import {generate, loadTinyModel} from "../support/models.js";
import {PlainLogits} from "../support/plain-logits.js";
import {type Case, contrastCase, greedy, guidanceCase, valueCase} from "./reference.js";

let model: LlamaModel;
let other: LlamaModel;
let third: LlamaModel;
beforeAll(async () => {
    [model, other, third] = await Promise.all([
        loadTinyModel({seed: 3, sharpness: 2}),
        loadTinyModel({seed: 4, sharpness: 2, width: 32}),
        loadTinyModel({seed: 5, sharpness: 2})
    ]);
});
afterAll(() => Promise.all([model?.dispose(), other?.dispose(), third?.dispose()]));

const texts = ["once there was", "the hen and the", "a", "there is no end in sight for them", "he said"];
const length = 8;

describe("One sequence after the other, each guide gives the reference's tokens", () => {
    const kinds: [string, () => Promise<Case[]>][] = [
        [
            "guidance",
            () => {
                const negativePrompt = model.tokenize("never and ever in the end");
                return Promise.all([0, 0.5, 1, 1.5, 3].map((scale) => guidanceCase(model, {negativePrompt, scale})));
            }
        ],
        [
            "contrast",
            () => {
                const options: [number, number?][] = [[0.5], [1, 0.3], [0, 1], [2, 1e-6], [-0.5]];
                return Promise.all(
                    options.map(([weight, plausibility]) =>
                        contrastCase({amateur: other, weight, ...(plausibility && {plausibility})})
                    )
                );
            }
        ],
        [
            "a value model with its base",
            () =>
                Promise.all(
                    [undefined, 0.5, 1.5, -1, 0].map((weight) =>
                        valueCase({tuned: third, base: other, ...(weight !== undefined && {weight})})
                    )
                )
        ],
        [
            "a value model of its own",
            () => Promise.all([1, 0.3, 2, -0.5, 0.1].map((weight) => valueCase({tuned: other, weight})))
        ]
    ];
    it.each(kinds)("%s, 25 cases", async (_, casesOf) => {
        const main = await PlainLogits.of(model);
        let differing = 0;
        const plain = (await align(model, {guides: [{guide() {}}]})).context.getSequence();
        const unguidedAfter = async (text: string) => {
            await plain.clearHistory();
            return await generate(plain, model.tokenize(text), length);
        };
        for (const one of await casesOf()) {
            const {context} = await align(model, {guides: [one.guide]});
            const sequence = context.getSequence();
            for (const text of texts) {
                const prompt = model.tokenize(text);
                await sequence.clearHistory();
                const wanted = await greedy(main, one, prompt, length, (token) => model.isEogToken(token as Token));
                expect(wanted.length).toBeGreaterThan(0);
                const found = await generate(sequence, prompt, wanted.length);
                expect(found, `${one.name} after ${JSON.stringify(text)}`).toEqual(wanted);
                const unguided = [...(await unguidedAfter(text))].slice(0, wanted.length);
                if (unguided.join() !== wanted.join()) differing++;
            }
        }
        // Of the five strengths at most two leave the text as it is.
        expect(differing).toBeGreaterThan(12);
    });
});
