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
import type {Judge} from "../../lib/index.js";
import {loadTinyModel} from "../support/models.js";
import {firstWord} from "../support/tiny-model.js";
import {align, expectCacheInStep, modes} from "./harness.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel();
});
afterAll(() => model?.dispose());

/** Accepts, from the first position that it is asked about, only the letters of the script; behind it, anything. */
function scripted(script: string): Judge {
    const accepted = new Map<number, string>();
    let start: number | undefined;
    return {
        judge({candidates, position, sequence}) {
            start ??= position;
            let said = model.detokenize(sequence.contextTokens.slice(start), true);
            // The context's tokens lack those under evaluation, and the judge is not asked where the grammar allows one letter only.
            for (let at = Math.max(start, sequence.contextTokens.length); at < position; at++)
                said += accepted.get(at) ?? script.charAt(said.length);
            const texts = candidates.map((token) => model.detokenize([token], true));
            const wanted =
                script.startsWith(said) && said.length < script.length ? script.charAt(said.length) : undefined;
            const verdicts = texts.map((text) => (wanted === undefined || text === wanted ? 1 : 0));
            if (wanted !== undefined && verdicts.includes(1)) accepted.set(position, wanted);
            return verdicts;
        }
    };
}

it.each(modes)("The handler is called with the arguments, and its result goes into the chat (%s)", async (mode) => {
    const judge = scripted('||call: getWeather({"city": "Paris"})');
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
