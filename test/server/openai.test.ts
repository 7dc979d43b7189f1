/** OpenAI's own client against a running server. */
import OpenAI from "openai";
import {zodResponseFormat} from "openai/helpers/zod";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {z} from "zod";
import {type Listening, listen} from "../../lib/server/listen.js";
import {hasDemo, needsDemo} from "../cli/helpers.js";
import {demoServer, longAnswer, question} from "./helpers.js";

describe.skipIf(!hasDemo)(`The openai package${needsDemo}`, () => {
    let listening: Listening;
    let openai: OpenAI;
    beforeAll(async () => {
        const {server} = await demoServer({apiKey: "key"});
        listening = await listen(server, {host: "127.0.0.1", port: 0, hasKey: true, isOpen: false});
        openai = new OpenAI({baseURL: `${listening.url}/v1`, apiKey: "key", maxRetries: 0});
    });
    afterAll(() => listening.stop(0));

    const ask = {model: "demo:house", messages: question as {role: "user"; content: string}[]};

    it("lists models, chats and streams", async () => {
        const names: string[] = [];
        for await (const {id} of openai.models.list()) names.push(id);
        expect(names).toEqual(["demo", "demo:house"]);
        const {choices, usage} = await openai.chat.completions.create(ask);
        const text = choices[0]?.message.content;
        const runner = openai.chat.completions.stream({...ask, stream_options: {include_usage: true}});
        let streamed = "";
        runner.on("content", (delta) => (streamed += delta));
        const final = await runner.finalChatCompletion();
        expect(streamed).toBe(text);
        expect(final.choices[0]?.message.content).toBe(text);
        expect((await runner.totalUsage()).completion_tokens).toBe(usage?.completion_tokens);
    });

    it("parses JSON by a schema of zod's", async () => {
        const Facts = z.object({place: z.enum(["sauna", "bar"]), floor: z.int(), open: z.boolean()});
        const {choices} = await openai.chat.completions.parse({
            ...ask,
            response_format: zodResponseFormat(Facts, "facts")
        });
        expect(Facts.parse(choices[0]?.message.parsed)).toEqual(JSON.parse(choices[0]?.message.content ?? ""));
    });

    it("runs tools until the answer", async () => {
        const calls: unknown[] = [];
        const parameters = {type: "object", properties: {room: {enum: ["sauna", "bar"]}}, required: ["room"]};
        const find = {
            name: "find",
            description: "Finds a room",
            parameters,
            function: (given: string) => `{"calls": ${calls.push(given)}}`
        };
        const tools = [{type: "function" as const, function: find}];
        const forced = {type: "function" as const, function: {name: "find"}};
        const runner = openai.chat.completions.runTools({
            ...ask,
            tools: tools as never,
            tool_choice: forced,
            stream: true
        });
        await runner.done();
        expect(calls).toHaveLength(1);
        expect(["sauna", "bar"]).toContain(JSON.parse(calls[0] as string).room);
    });

    it("throws its own errors, and aborts", async () => {
        await expect(openai.chat.completions.create({...ask, model: "x"})).rejects.toThrow(OpenAI.NotFoundError);
        await expect(openai.chat.completions.create({...ask, temperature: 9})).rejects.toMatchObject({
            param: "temperature"
        });
        const stranger = new OpenAI({baseURL: `${listening.url}/v1`, apiKey: "wrong", maxRetries: 0});
        await expect(stranger.models.list()).rejects.toThrow(OpenAI.AuthenticationError);
        const stream = await openai.chat.completions.create({...ask, ...(longAnswer as object), stream: true});
        for await (const {choices} of stream) if (choices[0]?.delta.content) break;
        const health = async () => (await (await fetch(`${listening.url}/health`)).json()) as {busy: number};
        await expect.poll(async () => (await health()).busy, {interval: 5}).toBe(0);
    });
});
