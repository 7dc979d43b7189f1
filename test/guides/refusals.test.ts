import {writeFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {contrast, type Guide, guidance, type MaraAgent, valueModel} from "../../lib/index.js";
import {align, refusal} from "../align/harness.js";
import {temporaryFolder} from "../cli/helpers.js";
import {acceptAll} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {writeTinyModel} from "../support/tiny-model.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    agent = acceptAll(model.embeddingVectorSize);
});
afterAll(() => model?.dispose());

const folder = temporaryFolder();

describe("A guide's options are checked", () => {
    it.each<[string, () => unknown, string]>([
        [
            "guidance without a prompt",
            () => guidance({scale: 1} as never),
            "a text or tokens for negativePrompt but received undefined"
        ],
        ["an empty prompt", () => guidance({negativePrompt: [], scale: 1}), "a text or tokens for negativePrompt"],
        [
            "an empty text",
            () => guidance({negativePrompt: "", scale: 1}),
            'a text or tokens for negativePrompt but received ""'
        ],
        [
            "a scale that is no number",
            () => guidance({negativePrompt: "no", scale: Number.NaN}),
            "a finite number for scale but received NaN"
        ],
        ["a misspelt name", () => guidance({negativPrompt: "no", scale: 1} as never), 'Did you mean "negativePrompt"?'],
        [
            "contrast without an amateur",
            () => contrast({weight: 1} as never),
            "a path of a .gguf file or a LlamaModel for amateur"
        ],
        [
            "a plausibility of 0",
            () => contrast({amateur: model, weight: 1, plausibility: 0}),
            "a number in (0, 1] for plausibility but received 0"
        ],
        [
            "a value model without a model",
            () => valueModel({} as never),
            "a path of a .gguf file or a LlamaModel for tuned"
        ],
        [
            "a base that is no model",
            () => valueModel({tuned: model, base: 3 as never}),
            "a path of a .gguf file or a LlamaModel for base but received 3"
        ]
    ])("%s", async (_, make, message) => {
        expect(await refusal(async () => make())).toEqual({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining(message)
        });
    });
});

describe("A guide's model is refused when the context is created", () => {
    it("if there is no such file", async () => {
        const guides = [valueModel({tuned: join(folder, "missing.gguf")})];
        expect(await refusal(() => align(model, {guides}))).toEqual({
            code: "MODEL_NOT_FOUND",
            message: expect.stringMatching(/There is no model file .*missing\.gguf for tuned\. Give a \.gguf file\./)
        });
    });

    it("if the file is no model", async () => {
        const broken = join(folder, "broken.gguf");
        writeFileSync(broken, "no model");
        expect(await refusal(() => align(model, {guides: [contrast({amateur: broken, weight: 1})]}))).toEqual({
            code: "MODEL_UNSUPPORTED",
            message: expect.stringMatching(/^Could not load .*broken\.gguf for amateur: /)
        });
    });

    it("if a token of the negative prompt is none of the model's", async () => {
        const guides = [guidance({negativePrompt: [1, 999_999] as Token[], scale: 1.5})];
        expect(await refusal(() => align(model, {guides}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: expect.stringMatching(/tokens of the model, from 0 to \d+, for negativePrompt.*999999/)
        });
    });

    it("in a context that is configured later, at the next token", async () => {
        const {context, aligner} = await align(model, {agent});
        aligner.configure({guides: [valueModel({tuned: join(folder, "missing.gguf")})]});
        const sequence = context.getSequence();
        expect(await refusal(() => generate(sequence, model.tokenize("once"), 4))).toEqual({
            code: "GUIDE_FAILED",
            message: expect.stringMatching(/^A guide threw: There is no model file .*missing\.gguf for tuned/)
        });
        aligner.configure({guides: []});
        await sequence.clearHistory();
        expect(await generate(sequence, model.tokenize("once"), 4)).toHaveLength(4);
    });
});

describe("A guide from a file", () => {
    it("does as the same guide from a loaded model, in several contexts and after others were disposed", async () => {
        const tuned = await loadTinyModel({seed: 5, sharpness: 2});
        const fromFile = valueModel({tuned: writeTinyModel({seed: 5, sharpness: 2}), base: model, weight: 0.7});
        const loaded = valueModel({tuned, base: model, weight: 0.7});
        const prompt = model.tokenize("the hen and the");
        const texts: number[][] = [];
        for (const guides of [[loaded], [fromFile], [fromFile]]) {
            const {context} = await align(model, {guides});
            texts.push(await generate(context.getSequence(), prompt, 16));
            await context.dispose();
        }
        const {context} = await align(model, {agent});
        expect(texts[0]).not.toEqual(await generate(context.getSequence(), prompt, 16));
        expect(texts[1]).toEqual(texts[0]);
        expect(texts[2]).toEqual(texts[0]);
        await tuned.dispose();
    });

    it("takes effect when it is configured in mid-generation, and none when the aligner is off", async () => {
        const guide = guidance({negativePrompt: model.tokenize("never and ever"), scale: 3});
        const prompt = model.tokenize("once there was");
        const {context, aligner} = await align(model, {agent});
        const tokens: number[] = [];
        for await (const token of context.getSequence().evaluate([...prompt])) {
            tokens.push(token);
            if (tokens.length === 4) aligner.configure({guides: [guide]});
            if (tokens.length === 8) aligner.enabled = false;
            if (tokens.length === 12) break;
        }
        const other = await align(model, {agent});
        const start = await generate(other.context.getSequence(), prompt, 4);
        expect(tokens.slice(0, 4)).toEqual(start);
        const guided = await align(model, {agent, guides: [guide]});
        const sequence = guided.context.getSequence();
        guided.aligner.enabled = false;
        const unguided = await generate(sequence, prompt, 12);
        expect(unguided.slice(0, 4)).toEqual(start);
        expect(unguided).not.toEqual(tokens);
    });
});

describe("A guide's model that is disposed before its context", () => {
    it.each(["before an answer", "during it"])("ends generation %s", async (when) => {
        const amateur = await loadTinyModel({seed: 5, sharpness: 2});
        const {context} = await align(model, {guides: [contrast({amateur, weight: 0.5})]});
        const sequence = context.getSequence();
        const prompt = model.tokenize("the hen and the");
        await generate(sequence, prompt, 4);
        const write = async () => {
            let count = 0;
            if (when === "before an answer") await amateur.dispose();
            for await (const _ of sequence.evaluate(model.tokenize(" once"))) {
                if (++count === 2 && when === "during it") void amateur.dispose();
                if (count === 64) break;
            }
        };
        expect(await refusal(write)).toEqual({
            code: "GUIDE_FAILED",
            message: expect.stringContaining("The model of the guide, or its context, is disposed")
        });
        await context.dispose();
        expect(amateur.disposed).toBe(true);
    });
});

describe("Tokens that an earlier guide has left out", () => {
    it.each([-1, 0, 1.5])("stay out with a guidance of scale %d", async (scale) => {
        const prompt = model.tokenize("the hen and the");
        const {context: plain} = await align(model, {agent});
        const banned = new Set(await generate(plain.getSequence(), prompt, 8));
        const ban: Guide = {
            guide(logits) {
                for (const token of banned) logits[token] = Number.NEGATIVE_INFINITY;
            }
        };
        const {context} = await align(model, {guides: [ban, guidance({negativePrompt: "never", scale})]});
        const tokens = await generate(context.getSequence(), prompt, 8);
        expect(tokens.filter((token) => banned.has(token))).toEqual([]);
        expect(tokens.length).toBeGreaterThan(0);
    });
});
