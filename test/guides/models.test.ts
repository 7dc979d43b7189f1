/** Guides by models that are not plain transformers, of such models, and with functions. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {agentFor} from "../align/harness.js";
import {generate, loadTinyModel} from "../support/models.js";
import {scripted} from "../support/scripted-judge.js";
import {askForWeather, weatherCall} from "../support/weather.js";
import {architectures} from "../zoo/architectures.js";
import {loadZooModel} from "../zoo/model.js";
import {recurrentArchitectures} from "../zoo/recurrent.js";
import {likeReference} from "./like-reference.js";
import {contrastCase, guidanceCase, valueCase} from "./reference.js";

type Architecture = (typeof architectures)[string];

let model: LlamaModel;
let recurrent: LlamaModel;
let windowed: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    recurrent = await loadZooModel(recurrentArchitectures.mamba2 as Architecture, "F32");
    windowed = await loadZooModel(architectures.gemma3 as Architecture, "F32");
});
afterAll(() => Promise.all([model?.dispose(), recurrent?.dispose(), windowed?.dispose()]));

/** Generates, takes some of it back and goes on, on two sequences at once. */
async function goOn(of: LlamaModel): Promise<void> {
    const cases =
        of === model
            ? [
                  await contrastCase({amateur: recurrent, weight: 0.6}),
                  await valueCase({tuned: windowed, base: recurrent, weight: 0.3})
              ]
            : [
                  await contrastCase({amateur: model, weight: 0.6}),
                  await guidanceCase(of, {negativePrompt: of.tokenize("never and ever"), scale: 1.5})
              ];
    const agent = await agentFor(of, 8);
    for (const own of [{}, {agent}])
        await likeReference(
            of,
            cases,
            (sequences) =>
                Promise.all(
                    sequences.map(async (sequence, i) => {
                        const prompt = of.tokenize(["the hen and the", "once there was"][i] as string);
                        const found = await generate(sequence, prompt, 30);
                        const end = sequence.nextTokenIndex;
                        await sequence.eraseContextTokenRanges([{start: end - 3, end}]);
                        return [found, await generate(sequence, of.tokenize("and"), 8)];
                    })
                ),
            {...own, sequences: 2}
        );
}

it("A recurrent model and one with windows guide as a slow reference does", () => goOn(model));
it("A recurrent model is guided", () => goOn(recurrent));
it("A model with windows is guided", () => goOn(windowed));

it("A function is called, and guides follow the call and its result", async () => {
    const cases = [await valueCase({tuned: windowed, weight: 0.1})];
    const options = {contextSize: 2048, candidates: {topK: 256, topP: 1}};
    await likeReference(
        model,
        cases,
        async ([contextSequence]) => {
            if (contextSequence === undefined) throw new Error("no sequence");
            const {session, calls} = await askForWeather(model, contextSequence);
            expect(calls).toEqual([{city: "Paris"}]);
            return session.getChatHistory();
        },
        {...options, judge: scripted(model, weatherCall)}
    );
});
