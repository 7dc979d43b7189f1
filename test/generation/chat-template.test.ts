/** Token ids of prompts by the model's own chat template, as the authors' code makes them. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {promptTokens} from "../../lib/index.js";
import {failure} from "../support/failure.js";
import {testLlama} from "../support/models.js";
import {writeTinyModel} from "../support/tiny-model.js";

const question = {prompt: "Where is my parcel?", format: "template"} as const;
/** The default that SmolLM2's template puts where no system prompt is given; the demo's has none. */
const smolSystem =
    "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n";

for (const {name, path, system} of [
    {name: "the demo's model", path: demoModelPath, system: ""},
    {name: "SmolLM2", path: process.env.MARA_TEST_MODEL, system: smolSystem}
])
    describe.skipIf(path === undefined)(name, () => {
        let model: LlamaModel;
        beforeAll(async () => {
            model = await (await testLlama()).loadModel({modelPath: path as string, vocabOnly: true});
        });
        afterAll(async () => model.dispose());

        const ids = (text: string) => model.tokenize(text, true);

        it("reads a prompt as apply_chat_template and its tokenizer give it", () => {
            const user = "<|im_start|>user\nWhere is my parcel?<|im_end|>\n<|im_start|>assistant\n";
            const tokens = promptTokens(model, question);
            expect(tokens).toEqual(ids(system + user));
            const [start] = ids("<|im_start|>");
            expect(tokens[0]).toBe(start);
            expect(tokens[1]).not.toBe(start);
            const own = promptTokens(model, {...question, system: "Be brief."});
            expect(own).toEqual(ids(`<|im_start|>system\nBe brief.<|im_end|>\n${user}`));
        });

        it("reads it otherwise as a session would: another system prompt, and a doubled BOS", () => {
            const tokens = promptTokens(model, {prompt: question.prompt});
            const [start] = ids("<|im_start|>");
            expect(tokens.slice(0, 2)).toEqual([start, start]);
            expect(model.detokenize([...tokens])).toContain("You are a helpful, respectful and honest assistant.");
        });
    });

it("A template that cannot be read is refused", async () => {
    const metadata = {"tokenizer.chat_template": {string: "{% if"}};
    const model = await (await testLlama()).loadModel({modelPath: writeTinyModel({metadata}), vocabOnly: true});
    expect(await failure(() => promptTokens(model, question))).toEqual({
        code: "MODEL_UNSUPPORTED",
        message: expect.stringMatching(
            /^The model's chat template cannot be used: .*\. The prompt format "session" does without it\.$/
        )
    });
    await model.dispose();
});
