/** A model that really calls a function: a judge lets a tiny model say the call, letter by letter. */
import {
    defineChatSessionFunction,
    GeneralChatWrapper,
    LlamaChatSession,
    type LlamaModel,
    type Token,
    TokenBias
} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {loadTinyModel} from "../support/models.js";
import {scripted} from "../support/scripted-judge.js";
import {firstWord} from "../support/tiny-model.js";
import {align, expectCacheInStep, modes} from "./harness.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel();
});
afterAll(() => model?.dispose());

it.each(modes)("The handler is called with the arguments, and its result goes into the chat (%s)", async (mode) => {
    const judge = scripted(model, '||call: getWeather({"city": "Paris"})');
    const {context} = await align(model, {judge, mode, contextSize: 2048, candidates: {topK: 256, topP: 1}});
    const sequence = context.getSequence();
    const session = new LlamaChatSession({contextSequence: sequence, chatWrapper: new GeneralChatWrapper()});
    const calls: unknown[] = [];
    const getWeather = defineChatSessionFunction({
        description: "Current weather of a city",
        params: {type: "object", properties: {city: {type: "string"}}},
        handler: (params) => {
            calls.push(params);
            return {celsius: 21};
        }
    });
    // With bytes far behind, every letter is among the candidates.
    const tokenBias = TokenBias.for(model);
    for (let token = 3; token < firstWord; token++) tokenBias.set(token as Token, {logit: -20});
    await session.prompt("What is the weather in Paris?", {functions: {getWeather}, tokenBias, maxTokens: 48});
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
