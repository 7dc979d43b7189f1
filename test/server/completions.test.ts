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
        const firstTokens = () => client.metric("mara_first_token_seconds_count");
        const before = await firstTokens();
        const only = await client.ok(path, {...greedy, echo: true, max_tokens: 0, logprobs: 0});
        expect(await firstTokens()).toBe(before);
        await client.ok(path, {...greedy, n: 2, max_tokens: 2});
        expect(await firstTokens()).toBe(before + 2);
        expect(only.choices[0]).toMatchObject({text: prompt, finish_reason: "length"});
        expect(only.usage.completion_tokens).toBe(0);
        expect((await client.ok(path, {...greedy, echo: true, max_tokens: 1})).choices[0].logprobs).toBeNull();
    });

    it("tells the log-probability of tokens that have no text: of the end, and of a part of a character", async () => {
        const model = await demoModel();
        const [byte] = model.tokenize("\u{1F98A}") as [Token];
        expect(model.detokenize([byte])).toBe("\uFFFD");
        const {text: rest, finish_reason} = (await client.ok(path, {...greedy, max_tokens: 200})).choices[0];
        expect(finish_reason).toBe("stop");
        for (const [text, logit_bias, reason] of [
            [prompt + rest, undefined, "stop"],
            [prompt, {[byte]: 100}, "length"]
        ] as const) {
            const body = {...greedy, prompt: text, echo: true, logprobs: 1, max_tokens: 1, logit_bias};
            const {choices, usage} = await client.ok(path, body);
            expect(usage.completion_tokens).toBe(reason === "length" ? 1 : 0);
            expect(choices[0]).toMatchObject({text, finish_reason: reason});
            const {token_logprobs, text_offset} = choices[0].logprobs;
            expect(token_logprobs).toHaveLength(model.tokenize(text).length + 1);
            expect(token_logprobs.at(-1)).toBeLessThanOrEqual(0);
            expect(text_offset.at(-1)).toBe(text.length);
            const chunks = await (await client.stream({...body, messages: undefined}, path)).all();
            const streamed = chunks.flatMap((chunk: Json) => chunk.choices[0].logprobs?.token_logprobs ?? []);
            expect(streamed).toHaveLength(token_logprobs.length);
        }
        const stopped = await client.ok(path, {...greedy, logprobs: 1, max_tokens: 8, stop: " "});
        expect(stopped.choices[0].logprobs.tokens.join("")).toBe(stopped.choices[0].text);
    });

    it("keeps text that could have begun a stop text, and tells the tokens of what it shows", async () => {
        const asked = {
            ...greedy,
            prompt: "The breakfast room is on the",
            max_tokens: 60,
            logprobs: 1,
            mara: {trace: true}
        };
        const whole = (await client.ok(path, asked)).choices[0];
        const end = whole.text.slice(-6);
        const cases: [stop: string[], max: number, text: string, reason: string][] = [
            [[`${end}!!`], 60, whole.text, "stop"],
            [[`${end}!!`, `x${end}`], whole.logprobs.tokens.length - 1, whole.text, "length"],
            // Within a token, and complete before another that begins earlier.
            [[whole.text.slice(8, 30), whole.text.slice(10, 12)], 60, whole.text.slice(0, 10), "stop"]
        ];
        for (const [stop, max_tokens, text, finish_reason] of cases) {
            const body = {...asked, stop, max_tokens};
            const {choices, usage} = await client.ok(path, body);
            const [choice] = choices;
            expect(choice).toMatchObject({text, finish_reason});
            expect(choice.logprobs.tokens.join("").startsWith(text)).toBe(true);
            expect(choice.mara.tokens.map((token: Json) => token.text).join("")).toBe(text);
            expect(usage.completion_tokens).toBeLessThanOrEqual(max_tokens);
            const chunks = await (await client.stream({...body, messages: undefined}, path)).all();
            expect(chunks.map((chunk: Json) => chunk.choices[0].text).join("")).toBe(text);
            const streamed = chunks.flatMap((chunk: Json) => chunk.choices[0].logprobs?.tokens ?? []);
            expect(streamed).toEqual(choice.logprobs.tokens);
        }
    });

    it("turns texts into tokens and back, as vLLM does", async () => {
        const model = await demoModel();
        const {bosString, eosString, eos} = model.tokens;
        const info = await client.ok("/tokenizer_info");
        expect(info).toMatchObject({bos_token: bosString, eos_token: eosString});
        expect(info.chat_template).toBe(model.fileInfo.metadata.tokenizer.chat_template);
        const own = model.tokenize(prompt);
        const {tokens, count, max_model_len} = await client.ok("/tokenize", {prompt, add_special_tokens: false});
        expect([tokens, count, max_model_len]).toEqual([own, own.length, model.trainContextSize]);
        expect(await client.ok("/detokenize", {model: "demo", tokens})).toEqual({prompt});
        expect((await client.ok("/tokenize", {prompt: eosString, add_special_tokens: false})).tokens).toEqual([eos]);
        const whole = await client.ok("/tokenize", {prompt});
        expect(whole.tokens.slice(-own.length)).toEqual(own);
        expect(await client.refused("/detokenize", {tokens: [123_456_789]})).toMatchObject({
            status: 400,
            param: "tokens"
        });
    });

    it("says what a prompt may be", async () => {
        for (const prompt of [[1.5], [true], 5, {}]) {
            const {status, message} = await client.refused(path, {...greedy, prompt});
            expect(status).toBe(400);
            expect(message).toMatch(
                /expected a text, the numbers of its tokens \(whole, from 0\), or a list of either/
            );
        }
    });

    it("refuses what it cannot do", async () => {
        // llama.cpp looks through the rest of the text behind each of them.
        const special = "<|im_start|>".repeat(50_000);
        expect(await client.refused("/tokenize", {prompt: special})).toMatchObject({status: 400, param: "prompt"});
        const wrong: [string, object][] = [
            ["prompt", {prompt: undefined}],
            ["prompt", {prompt: [123_456_789]}],
            ["prompt", {prompt: "word ".repeat(5000)}],
            ["prompt[1]", {prompt: ["word", "word ".repeat(5000)]}],
            ["prompt[1]", {prompt: [[1], [123_456_789]]}],
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
