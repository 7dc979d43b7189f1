import {expect, it, onTestFinished} from "vitest";
import {answerAll, createAlignedContext, evaluate, valueModel} from "../../lib/index.js";
import {acceptAll} from "../support/agents.js";
import {failure} from "../support/failure.js";
import {loadTinyModel} from "../support/models.js";
import {writeTinyModel} from "../support/tiny-model.js";

it("A guided model is a side: its answers are those that the guide gives alone", async () => {
    const model = await loadTinyModel({seed: 71, sharpness: 3});
    const agent = acceptAll(model.embeddingVectorSize);
    onTestFinished(async () => {
        agent.dispose();
        await model.dispose();
    });
    const tuned = writeTinyModel({seed: 72, sharpness: 3});
    const prompts = ["once there was", "the hen and", "he said"];
    const options = {
        ...{model, agent, prompts, threads: 1, contextSize: 512, maxTokens: 12, sequences: 2, fluency: false},
        rewards: [(_: string, answer: string) => answer.length]
    };
    const side = `guide:value:tuned=${tuned},weight=2`;
    const {sides} = await evaluate({...options, against: ["raw", side]});
    const guided = sides.find(({name}) => name === side);
    const texts = guided?.answers.map(({text}) => text);
    const {context} = await createAlignedContext(model, {
        ...{contextSize: 512, threads: 1, sequences: 2},
        guides: [valueModel({tuned, weight: 2})]
    });
    expect(texts).toEqual((await answerAll(context, prompts, {maxTokens: 12})).map(({text}) => text));
    await context.dispose();
    expect(texts).not.toEqual(sides.find(({name}) => name === "raw")?.answers.map(({text}) => text));
    expect(await failure(() => evaluate({...options, against: ["guide:value"]}))).toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(/^Expected a guide such as .* for against "guide:value" but received "value"$/)
    });
});
