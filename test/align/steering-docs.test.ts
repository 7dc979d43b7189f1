/** The examples of docs/steering.md, run as they stand there. */
import {readFileSync} from "node:fs";
import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {createAlignedContext, type MaraAgent} from "../../lib/index.js";
import {generate, loadTinyModel, small} from "../support/models.js";
import {agentFor} from "./harness.js";

const page = readFileSync(new URL("../../docs/steering.md", import.meta.url), "utf8");
const [judgeExample, , guideExample] = [...page.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code as string);

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    agent = await agentFor(model, 8);
});
afterAll(() => model?.dispose());

/** Runs an example without its imports and types; gives the context that it makes. */
async function run(example: string | undefined): Promise<LlamaContext> {
    const code = (example as string).replaceAll(/^import .*$/gm, "").replaceAll(/: (Judge|Guide) =/g, " =");
    const create: typeof createAlignedContext = (own, options) => createAlignedContext(own, {...small, ...options});
    const body = `return (async () => {${code}\nreturn context;})()`;
    return await new Function("createAlignedContext", "model", "agent", body)(create, model, agent);
}

it("The judge accepts its words and what is no word, and nothing else while there is a choice", async () => {
    const context = await run(judgeExample);
    const tokens = await generate(context.getSequence(), model.tokenize("once there was"), 12);
    expect(tokens).toHaveLength(12);
    const texts = tokens.map((token) => model.detokenize([token as never]).trim());
    expect(texts.filter((text) => !/^[a-z]+$/i.test(text)).length).toBeGreaterThan(6);
    await context.dispose();
});

it("The guide never lets a token be said twice in a row", async () => {
    const context = await run(guideExample);
    const prompt = model.tokenize("the hen and the");
    const tokens = [prompt.at(-1), ...(await generate(context.getSequence(), prompt, 40))];
    for (const [i, token] of tokens.slice(1).entries()) expect(token).not.toBe(tokens[i]);
    await context.dispose();
});
