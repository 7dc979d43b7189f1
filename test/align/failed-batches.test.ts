/** A batch that llama.cpp refuses leaves nothing behind, also where it is decoded in parts of which the first ones succeed. */
import type {LlamaContextSequence, Token} from "node-llama-cpp";
import {expect, it, onTestFinished} from "vitest";
import {randomAgent} from "../support/agents.js";
import {generate, small} from "../support/models.js";
import {firstWord} from "../support/tiny-model.js";
import {architectures} from "../zoo/architectures.js";
import {loadZooModel} from "../zoo/model.js";
import {recurrentArchitectures} from "../zoo/recurrent.js";
import {align, expectCacheInStep, modes} from "./harness.js";

const zoo = {...architectures, ...recurrentArchitectures};
const names = ["llama", "gemma3", "mamba2", "qwen35", "jamba"];

const text = (from: number, length: number) => Array.from({length}, (_, i) => (firstWord + ((from + i) % 40)) as Token);
const unknown = [2 ** 31 - 1] as unknown as Token[];

const evaluate = (sequence: LlamaContextSequence, tokens: Token[]) =>
    sequence.evaluateWithoutGeneratingNewTokens(tokens);

const cases = modes.flatMap((mode) => names.map((name) => ({name, mode})));

async function open(name: string, mode: (typeof modes)[number]) {
    const model = await loadZooModel(zoo[name] as (typeof zoo)[string]);
    const agent = randomAgent(model.embeddingVectorSize, 5);
    onTestFinished(async () => {
        agent.dispose();
        await model.dispose();
    });
    const options = {...small, lanes: 3, agent, mode, sequences: 2};
    return {...(await align(model, options)), again: async () => (await align(model, options)).context.getSequence()};
}

it.each(cases)("$name, $mode: a prompt decoded in part", async ({name, mode}) => {
    const {context, aligner, again} = await open(name, mode);
    const [one, two] = [context.getSequence(), context.getSequence()];
    await evaluate(one, text(0, 10));
    const outcomes = await Promise.allSettled([
        evaluate(one, text(10, 70)),
        evaluate(two, [...text(0, 69), ...unknown])
    ]);
    expect(outcomes.map(({status}) => status)).toEqual(["rejected", "rejected"]);
    expect(one.nextTokenIndex).toBe(10);
    expectCacheInStep(one, aligner);
    const reference = await again();
    await evaluate(reference, text(0, 10));
    expect(await generate(one, text(20, 5), 5)).toEqual(await generate(reference, text(20, 5), 5));
});

it.each(cases)("$name, $mode: a token decoded while it was decided", async ({name, mode}) => {
    const {context, aligner, again} = await open(name, mode);
    const [one, two] = [context.getSequence(), context.getSequence()];
    const disturb = () => refusedBy(() => evaluate(two, unknown));
    const others: Promise<unknown>[] = [];
    await refusedBy(async () => {
        for await (const _ of one.evaluate(text(0, 10), {yieldEogToken: true})) others.push(disturb());
    });
    await Promise.all(others);
    expectCacheInStep(one, aligner);
    const reference = await again();
    await evaluate(reference, [...one.contextTokens]);
    expect(await generate(one, text(20, 5), 5)).toEqual(await generate(reference, text(20, 5), 5));
});

async function refusedBy(act: () => Promise<unknown>): Promise<void> {
    await expect(act()).rejects.toThrow("Eval has failed");
}
