/** A model that really calls a function: a judge lets a tiny model say the call, letter by letter. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {loadTinyModel} from "../support/models.js";
import {scripted} from "../support/scripted-judge.js";
import {askForWeather, weatherCall} from "../support/weather.js";
import {align, expectCacheInStep, modes} from "./harness.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel();
});
afterAll(() => model?.dispose());

it.each(modes)("The handler is called with the arguments, and its result goes into the chat (%s)", async (mode) => {
    const judge = scripted(model, weatherCall);
    const {context} = await align(model, {judge, mode, contextSize: 2048, candidates: {topK: 256, topP: 1}});
    const sequence = context.getSequence();
    const {session, calls} = await askForWeather(model, sequence);
    expect(calls).toEqual([{city: "Paris"}]);
    const called = session.getChatHistory().flatMap((item) => (item.type === "model" ? item.response : []));
    expect(called).toContainEqual(
        expect.objectContaining({
            type: "functionCall",
            name: "getWeather",
            params: {city: "Paris"},
            result: {celsius: 21}
        })
    );
    expectCacheInStep(sequence, {mode});
});
