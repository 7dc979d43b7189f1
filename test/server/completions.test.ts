import type {Token} from "node-llama-cpp";
import {beforeAll, describe, expect, it} from "vitest";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {type Client, demoModel, demoServer, type Json} from "./helpers.js";

const path = "/v1/completions";
const prompt = "The breakfast room is on the ground floor";
const greedy = {model: "demo", temperature: 0, prompt};

describe.skipIf(!hasDemo)(`POST ${path}${needsDemo}`, () => {
    let client: Client;
    beforeAll(async () => {
        client = await demoServer();
    });

    it("goes on with a text, whole and as a stream, plain and aligned", async () => {
        for (const model of ["demo", "demo:house"]) {
            const body = {...greedy, model, max_tokens: 8};
            const {choices, usage, object} = await client.ok(path, body);
            expect(object).toBe("text_completion");
            expect(usage.completion_tokens).toBeLessThanOrEqual(8);
            const stream = await client.stream(
                {...body, messages: undefined, stream_options: {include_usage: true}},
                path
            );
            const chunks = await stream.all();
            expect(chunks.map((chunk: Json) => chunk.choices[0]?.text ?? "").join("")).toBe(choices[0].text);
            expect(chunks.at(-2).choices[0].finish_reason).toBe(choices[0].finish_reason);
            expect(chunks.at(-1).usage.completion_tokens).toBe(usage.completion_tokens);
            expect(stream.done).toBe(true);
        }
    });

    it("takes tokens, and several prompts with several answers", async () => {
        const tokens = (await demoModel()).tokenize(prompt);
        const {choices} = await client.ok(path, {...greedy, max_tokens: 6});
        const {text} = choices[0];
        expect((await client.ok(path, {...greedy, prompt: tokens, max_tokens: 6})).choices[0].text).toBe(text);
        const many = await client.ok(path, {...greedy, prompt: ["Good", prompt, "Is there"], n: 2, max_tokens: 6});
        expect(many.choices.map(({index}: Json) => index)).toEqual([0, 1, 2, 3, 4, 5]);
        expect([many.choices[2].text, many.choices[3].text]).toEqual([text, text]);
        const lists = await client.ok(path, {...greedy, prompt: [tokens, tokens], max_tokens: 6});
        expect(lists.choices.map((choice: Json) => choice.text)).toEqual([text, text]);
    });

    it("measures the prompt: echo with log-probabilities equals what the model says itself", async () => {
        const model = await demoModel();
        const tokens = model.tokenize(prompt);
        const expected = await directLogprobs(tokens);
        for (const name of ["demo", "demo:house"]) {
            const body = {...greedy, model: name, prompt: tokens, echo: true, logprobs: 2, max_tokens: 1};
            const {choices, usage} = await client.ok(path, body);
            const {logprobs, text} = choices[0];
            expect(text.startsWith(prompt)).toBe(true);
            expect(logprobs.tokens.slice(0, tokens.length).join("")).toBe(prompt);
            for (const list of Object.values(logprobs))
                expect(list).toHaveLength(tokens.length + usage.completion_tokens);
            expect(logprobs.text_offset.slice(0, 2)).toEqual([0, logprobs.tokens[0].length]);
            const [first, ...told] = logprobs.token_logprobs.slice(0, tokens.length);
            expect(first).toBeNull();
            for (const [i, value] of expected.entries())
                expect(Math.abs((told[i] as number) - value)).toBeLessThan(1e-3);
            for (const [i, top] of logprobs.top_logprobs.slice(1, tokens.length).entries())
                expect(Math.max(...(Object.values(top) as number[]))).toBeGreaterThanOrEqual(
                    (told[i] as number) - 1e-6
                );
        }
        const only = await client.ok(path, {...greedy, echo: true, max_tokens: 0, logprobs: 0});
        expect(only.choices[0]).toMatchObject({text: prompt, finish_reason: "length"});
        expect(only.usage.completion_tokens).toBe(0);
        expect((await client.ok(path, {...greedy, echo: true, max_tokens: 1})).choices[0].logprobs).toBeNull();
    });

    it("refuses what it cannot do", async () => {
        const wrong: [string, object][] = [
            ["prompt", {prompt: undefined}],
            ["prompt", {prompt: [123_456_789]}],
            ["prompt", {prompt: "word ".repeat(5000)}],
            ["max_tokens", {max_tokens: 0}],
            ["best_of", {best_of: 3}],
            ["suffix", {suffix: "x"}],
            ["logprobs", {logprobs: 100}]
        ];
        for (const [param, body] of wrong)
            expect(await client.refused(path, {...greedy, ...body})).toMatchObject({status: 400, param});
    });
});

/** By the probabilities of the whole vocabulary, token for token. */
async function directLogprobs(tokens: readonly Token[]): Promise<number[]> {
    const model = await demoModel();
    const context = await model.createContext({contextSize: 256, threads: 1});
    const options = {temperature: 1, topK: 0, topP: 1};
    const output = await context
        .getSequence()
        .controlledEvaluate(
            tokens.slice(0, -1).map((token) => [token, {generateNext: {probabilities: true, options}}])
        );
    await context.dispose();
    return tokens.slice(1).map((token, i) => Math.log(output[i]?.next?.probabilities?.get(token) ?? 0));
}
