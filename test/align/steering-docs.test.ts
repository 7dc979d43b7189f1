/** The examples of docs/steering.md, run as they stand there. */
import {readFileSync} from "node:fs";
import type {LlamaContext, LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {type Aligner, createAlignedContext, type MaraAgent, valueModel} from "../../lib/index.js";
import {generate, loadTinyModel, small} from "../support/models.js";
import {writeTinyModel} from "../support/tiny-model.js";
import {agentFor} from "./harness.js";

const page = readFileSync(new URL("../../docs/steering.md", import.meta.url), "utf8");
const [judgeExample, agentsExample, guideExample, valueExample] = [...page.matchAll(/```[jt]s\n([\s\S]*?)```/g)].map(
    ([, code]) => code as string
);

let model: LlamaModel;
let agent: MaraAgent;
let agents: Record<string, MaraAgent>;
const models: Record<string, string> = {
    "small-chat.gguf": writeTinyModel({seed: 5, sharpness: 2}),
    "small-base.gguf": writeTinyModel({seed: 6, sharpness: 2})
};
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    agent = await agentFor(model, 8);
    agents = {"kind.safetensors": agent, "brief.safetensors": await agentFor(model, 9)};
});
afterAll(() => model?.dispose());

interface Made {
    context: LlamaContext;
    aligner: Aligner;
    sequence: LlamaContextSequence;
}

/** Runs an example without its imports and types; gives what it makes. The files that it names are the test's. */
async function run(example: string | undefined): Promise<Made> {
    const code = (example as string).replaceAll(/^import .*$/gm, "").replaceAll(/: (Judge|Guide) =/g, " =");
    const names = {
        model,
        agent,
        MaraAgent: {load: async (file: string) => agents[file]},
        valueModel: ({tuned, base, ...own}: {tuned: string; base: string}) =>
            valueModel({...own, tuned: models[tuned] as string, base: models[base] as string}),
        createAlignedContext: ((own, options) =>
            createAlignedContext(own, {...small, ...options})) satisfies typeof createAlignedContext
    };
    const body = `return (async () => {${code}\nreturn {context, ...(typeof sequence === "object" && {aligner, sequence})};})()`;
    return await new Function(...Object.keys(names), body)(...Object.values(names));
}

it("The judge accepts its words and what is no word, and nothing else while there is a choice", async () => {
    const {context} = await run(judgeExample);
    const tokens = await generate(context.getSequence(), model.tokenize("once there was"), 12);
    expect(tokens).toHaveLength(12);
    const texts = tokens.map((token) => model.detokenize([token as never]).trim());
    expect(texts.filter((text) => !/^[a-z]+$/i.test(text)).length).toBeGreaterThan(6);
    await context.dispose();
});

it("The guide never lets a token be said twice in a row", async () => {
    const {context} = await run(guideExample);
    const prompt = model.tokenize("the hen and the");
    const tokens = [prompt.at(-1), ...(await generate(context.getSequence(), prompt, 40))];
    for (const [i, token] of tokens.slice(1).entries()) expect(token).not.toBe(tokens[i]);
    await context.dispose();
});

it("Two agents judge together, and one of them alone in the sequence that was configured so", async () => {
    const {context, aligner, sequence} = await run(agentsExample);
    const weights = (of?: LlamaContextSequence) => aligner.settings(of).agents.map(({weight}) => weight);
    expect([weights(), weights(sequence)]).toEqual([
        [2, 1],
        [1, 0]
    ]);
    expect(await generate(sequence, model.tokenize("once there was"), 12)).toHaveLength(12);
    await context.dispose();
});

it("What one model has beyond another is added to the logits", async () => {
    const {context} = await run(valueExample);
    const prompt = model.tokenize("the hen and the");
    const tokens = await generate(context.getSequence(), prompt, 12);
    expect(tokens).toHaveLength(12);
    const plain = await model.createContext(small);
    expect(await generate(plain.getSequence(), prompt, 12)).not.toEqual(tokens);
    for (const one of [context, plain]) await one.dispose();
});
