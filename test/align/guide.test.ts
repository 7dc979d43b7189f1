import {type LlamaModel, type Token, TokenBias} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {Guide, MaraAgent} from "../../lib/index.js";
import {generate, loadTinyModel} from "../support/models.js";
import {vocabularySize} from "../support/tiny-model.js";
import {agentFor, align, refusal, rejections} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    agent = await agentFor(model, 8);
});
afterAll(() => model?.dispose());

const length = 24;
const banned = (logits: Float32Array, tokens: readonly number[]) => {
    for (const token of tokens) logits[token] = Number.NEGATIVE_INFINITY;
};

describe("A guide", () => {
    it("gives the text that the same bias gives in node-llama-cpp's chain, with and without the chain", async () => {
        const prompts = ["once there was", "the hen and the"].map((text) => model.tokenize(text));
        const plain = await align(model, {agent});
        // The guide bans a token that the model likes.
        const liked = [...new Set(await generate(plain.context.getSequence(), prompts[0] as Token[], length))].slice(
            0,
            4
        );
        const tokenBias = TokenBias.for(model);
        for (const token of liked) tokenBias.set(token as Token, "never");
        const expected: number[][] = [];
        for (const prompt of prompts) {
            const {context, aligner} = await align(model, {agent});
            expected.push(await generate(context.getSequence(), prompt, length, {tokenBias}));
            expect(rejections(aligner.stats())).toBeGreaterThan(0);
        }
        const guide: Guide = {
            guide: async (logits) => {
                await new Promise((resolve) => setImmediate(resolve));
                expect(logits).toHaveLength(vocabularySize);
                banned(logits, liked);
            }
        };
        const harmless = TokenBias.for(model).set(liked[0] as Token, {logit: 0});
        for (const options of [{}, {tokenBias: harmless}]) {
            const {context} = await align(model, {agent, guides: [guide], sequences: 2});
            const sequences = prompts.map(() => context.getSequence());
            const tokens = await Promise.all(
                prompts.map((prompt, i) =>
                    generate(sequences[i] as (typeof sequences)[number], prompt, length, options)
                )
            );
            expect(tokens).toEqual(expected);
            for (const token of liked) expect(tokens.flat()).not.toContain(token);
        }
    });

    it("is asked in order, and told where the row stands", async () => {
        const calls: unknown[] = [];
        const guideNamed = (name: string): Guide => ({
            guide: (_, {position, previous, sequence}) => void calls.push([name, position, previous, sequence])
        });
        const {context} = await align(model, {agent, guides: [guideNamed("first"), guideNamed("second")]});
        const sequence = context.getSequence();
        const prompt = model.tokenize("once there was");
        const tokens = await generate(sequence, prompt, 3);
        const previous = [prompt.at(-1), tokens[0], tokens[1]];
        expect(calls).toEqual(
            previous.flatMap((token, i) => [
                ["first", prompt.length + i, token, sequence],
                ["second", prompt.length + i, token, sequence]
            ])
        );
    });

    it("is told what was emitted and what was taken back", async () => {
        const text: number[] = [];
        const guide: Guide = {
            guide: () => {},
            emitted: (token, {position}) => {
                text[position] = token;
            },
            takenBack: ({start, end}) => {
                if (end === undefined || end >= text.length) text.length = Math.min(text.length, start);
            }
        };
        const {context} = await align(model, {agent, guides: [guide]});
        const sequence = context.getSequence();
        const prompt = model.tokenize("the hen and the");
        const first = await generate(sequence, prompt, length);
        expect(text.slice(prompt.length)).toEqual(first);
        await sequence.eraseContextTokenRanges([{start: prompt.length + 5, end: sequence.nextTokenIndex}]);
        expect(text.slice(prompt.length)).toEqual(first.slice(0, 5));
        await sequence.clearHistory();
        expect(text).toEqual([]);
    });

    it.each([
        ["that throws", () => Promise.reject(new Error("lost")), "A guide threw: lost"],
        [
            "that takes the logits away",
            ({buffer}: Float32Array) => void structuredClone(buffer, {transfer: [buffer as ArrayBuffer]}),
            "logits from a guide but received 0; it must not transfer them"
        ],
        ["that leaves NaN", (logits: Float32Array) => void logits.fill(Number.NaN, 7, 8), "NaN"],
        ["that leaves infinity", (logits: Float32Array) => void logits.fill(Infinity, 7, 8), "but received Infinity"],
        [
            "that leaves no token",
            (logits: Float32Array) => void logits.fill(Number.NEGATIVE_INFINITY),
            "but all are -Infinity"
        ],
        ["that does not come to an end", () => new Promise(() => {}), "it took more than 50 ms"]
    ])("%s ends the generation, and the context goes on", async (_, answer, message) => {
        const guide = {guide: answer as Guide["guide"], timeoutMs: 50};
        const {context, aligner} = await align(model, {agent, guides: [guide]});
        const sequence = context.getSequence();
        const prompt = model.tokenize("the hen and the");
        expect(await refusal(() => generate(sequence, prompt, length))).toEqual({
            code: "GUIDE_FAILED",
            message: expect.stringContaining(message)
        });
        aligner.configure({guides: []});
        await sequence.clearHistory();
        const {context: other} = await align(model, {agent});
        expect(await generate(sequence, prompt, length)).toEqual(await generate(other.getSequence(), prompt, length));
    });

    it("needs lanes", async () => {
        const guides = [{guide: () => {}}];
        const wanted = {
            code: "INVALID_ARGUMENT",
            message: "Expected none in serial mode, in which logits cannot be changed, for guides but received Array"
        };
        expect(await refusal(() => align(model, {agent, guides, mode: "serial"}))).toEqual(wanted);
        const {aligner} = await align(model, {agent, mode: "serial"});
        expect(await refusal(() => aligner.configure({guides}))).toEqual(wanted);
        expect(await refusal(() => aligner.configure({guides: [{} as Guide]}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected an object with a method `guide` for guides[0] but received Object"
        });
    });
});
