/** Objects, tools and refusals of the real `ai` package on contexts of ours. */
import type {LanguageModelV4CallOptions, LanguageModelV4Message, LanguageModelV4StreamPart} from "@ai-sdk/provider";
import {generateObject, generateText, isStepCount, jsonSchema, Output, streamText, tool} from "ai";
import {GeneralChatWrapper, type LlamaContext} from "node-llama-cpp";
import {describe, expect, it} from "vitest";
import {z} from "zod";
import {mara} from "../../lib/ai-sdk/index.js";
import {align} from "../align/harness.js";
import {alignedTiny} from "../support/aligned-tiny.js";
import {failure} from "../support/failure.js";
import {bytesBehind, scripted} from "../support/scripted-judge.js";
import {decisionsOf} from "./decisions.js";

const tiny = alignedTiny();
const {aligned} = tiny;

/** A call that has to be of one tool. */
const mustCall: Pick<LanguageModelV4CallOptions, "prompt" | "tools" | "toolChoice"> = {
    prompt: [{role: "user", content: [{type: "text", text: "What is the weather in Rome?"}]}],
    tools: [
        {
            type: "function",
            name: "getWeather",
            inputSchema: {type: "object", properties: {city: {enum: ["Paris", "Rome"]}}}
        }
    ],
    toolChoice: {type: "required"}
};

describe("generateObject", () => {
    const schema = z.object({
        mood: z.enum(["good", "bad"]),
        count: z.union([z.literal(1), z.literal(2)]),
        tags: z.array(z.enum(["a", "b"])).length(2)
    });

    it("gives an object of the schema", async () => {
        const {context} = await aligned();
        const {object, finishReason, providerMetadata} = await generateObject({
            model: mara(context),
            schema,
            prompt: "How is it?"
        });
        expect(schema.parse(object)).toEqual(object);
        expect(finishReason).toBe("stop");
        expect(decisionsOf({providerMetadata}).length).toBeGreaterThan(0);
        const {output} = await generateText({
            model: mara(context),
            output: Output.object({schema}),
            prompt: "How is it?"
        });
        expect(output).toEqual(object);
    });

    it("warns of keywords that no grammar holds, and refuses those that it would take wrongly", async () => {
        const {context} = await aligned();
        const languageModel = mara(context);
        const {warnings} = await generateObject({
            model: languageModel,
            schema: z.object({word: z.string().regex(/^a/).max(2)}),
            prompt: "A word",
            experimental_repairText: async () => '{"word": "a"}'
        });
        expect(warnings).toEqual([expect.objectContaining({feature: "the JSON schema's pattern"})]);
        const both = jsonSchema({allOf: [{type: "object"}]});
        expect(await failure(() => generateObject({model: languageModel, schema: both, prompt: "?"}))).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining("schema.allOf")
        });
    });
});

describe("Tools", () => {
    const calls: unknown[] = [];
    const weather = tool({
        description: "Current weather of a city",
        inputSchema: z.object({city: z.enum(["Paris", "Rome"])}),
        execute: (input) => {
            calls.push(input);
            return {celsius: 21};
        }
    });

    it("are called by the AI SDK with what the model wrote, and their results go into the next step", async () => {
        const judge = scripted(tiny.model, '||call: getWeather({"city": "Paris"})');
        const guides = [bytesBehind];
        const candidates = {topK: 256, topP: 1};
        const {context} = await align(tiny.model, {judge, guides, contextSize: 2048, candidates});
        calls.length = 0;
        const inputs: string[] = [];
        const result = streamText({
            model: mara(context, {chatWrapper: new GeneralChatWrapper()}),
            prompt: "What is the weather in Paris?",
            tools: {getWeather: weather},
            stopWhen: isStepCount(2),
            maxOutputTokens: 48
        });
        for await (const part of result.fullStream) if (part.type === "tool-input-delta") inputs.push(part.delta);
        expect(calls).toEqual([{city: "Paris"}]);
        expect(JSON.parse(inputs.join(""))).toEqual({city: "Paris"});
        const [first, second] = await result.steps;
        expect(first?.finishReason).toBe("tool-calls");
        expect(first?.toolResults).toMatchObject([{toolName: "getWeather", output: {celsius: 21}}]);
        // The second step reads the call and its result behind what the first one read.
        expect(second?.usage.inputTokens).toBeGreaterThan(first?.usage.inputTokens as number);
    });

    it.each(["required", {type: "tool", toolName: "getWeather"}] as const)("must be called: %o", async (toolChoice) => {
        const {context} = await aligned();
        const other = tool({inputSchema: z.object({}), execute: () => 0});
        const {toolCalls, text, finishReason} = await generateText({
            model: mara(context),
            prompt: "What is the weather in Rome?",
            tools: typeof toolChoice === "string" ? {getWeather: weather} : {getWeather: weather, other},
            toolChoice
        });
        expect(toolCalls).toHaveLength(1);
        expect(toolCalls[0]).toMatchObject({
            toolName: "getWeather",
            input: {city: expect.stringMatching(/^(Paris|Rome)$/)}
        });
        expect([text, finishReason]).toEqual(["", "tool-calls"]);
    });

    it("are not called where a stop text cuts the call that must come", async () => {
        const {context} = await aligned();
        const {content, finishReason} = await mara(context).doGenerate({
            ...mustCall,
            stopSequences: ["}"]
        });
        expect(content).toEqual([]);
        expect(finishReason).toMatchObject({unified: "stop"});
    });

    it("are told as they are written where one must be called, also where the call is cut short", async () => {
        const {context} = await aligned();
        const languageModel = mara(context);
        const partsOf = async (maxOutputTokens?: number) => {
            const {stream} = await languageModel.doStream({
                ...mustCall,
                ...(maxOutputTokens !== undefined && {maxOutputTokens})
            });
            const given: LanguageModelV4StreamPart[] = [];
            for await (const part of stream as unknown as AsyncIterable<LanguageModelV4StreamPart>) given.push(part);
            return given;
        };
        const parts = await partsOf();
        const types = parts.map(({type}) => type);
        const deltas = parts.flatMap((part) => (part.type === "tool-input-delta" ? [part.delta] : []));
        expect(deltas.length).toBeGreaterThan(2);
        const [start, end, whole] = (["tool-input-start", "tool-input-end", "tool-call"] as const).map((wanted) =>
            parts.find(({type}) => type === wanted)
        );
        const id = (start as {id: string}).id;
        expect(start).toMatchObject({toolName: "getWeather"});
        expect(end).toMatchObject({id});
        expect(whole).toMatchObject({toolCallId: id, toolName: "getWeather", input: deltas.join("")});
        expect(types.filter((type) => type.startsWith("tool-"))).toEqual([
            "tool-input-start",
            ...deltas.map(() => "tool-input-delta"),
            "tool-input-end",
            "tool-call"
        ]);

        const written = parts.find(({type}) => type === "finish");
        const output = (written as {usage: {outputTokens: {total: number}}}).usage.outputTokens.total;
        const cut = (await partsOf(output - 4)).filter(({type}) => type.startsWith("tool-") || type === "finish");
        expect(cut[0]).toMatchObject({type: "tool-input-start", toolName: "getWeather"});
        expect(cut.at(-2)).toMatchObject({type: "tool-input-end"});
        expect(cut.at(-1)).toMatchObject({finishReason: {unified: "length"}});
        expect(cut.some(({type}) => type === "tool-call")).toBe(false);
    });

    it("are not offered with toolChoice none", async () => {
        const {context} = await aligned();
        const given = {model: mara(context), prompt: "The sky is", maxOutputTokens: 8};
        const without = await generateText(given);
        const none = await generateText({...given, tools: {getWeather: weather}, toolChoice: "none"});
        expect(none.text).toBe(without.text);
        expect(none.usage.inputTokens).toBe(without.usage.inputTokens);
    });
});

describe("What cannot be is refused", () => {
    it.each([
        [
            "files",
            {messages: [{role: "user", content: [{type: "image", image: new Uint8Array(3), mediaType: "image/png"}]}]},
            "text"
        ],
        ["a conversation that fills the context", {prompt: "far ".repeat(2000)}, "contextSize"],
        [
            "settings that are none",
            {prompt: "?", providerOptions: {mara: {treshold: 0.4}}},
            'Did you mean "threshold"?'
        ],
        ["numbers out of range", {prompt: "?", topK: 1000}, "topK"]
    ] as const)("%s", async (_, given, word) => {
        const {context} = await aligned();
        const call = () =>
            generateText({model: mara(context), maxRetries: 0, ...(given as unknown as {prompt: string})});
        const {code, message} = await failure(call).catch((error) => ({code: error.name, message: String(error)}));
        expect([code, message]).toEqual(["INVALID_ARGUMENT", expect.stringContaining(word)]);
    });

    it("a call without its result, and a result without a call", async () => {
        const {context} = await aligned();
        const call = {type: "tool-call" as const, toolCallId: "1", toolName: "a", input: {}};
        const result = {
            type: "tool-result" as const,
            toolCallId: "2",
            toolName: "a",
            output: {type: "text" as const, value: "b"}
        };
        const user = {role: "user" as const, content: [{type: "text" as const, text: "?"}]};
        const asked = (message: LanguageModelV4Message) =>
            failure(() => mara(context).doGenerate({prompt: [user, message]}));
        expect(await asked({role: "assistant", content: [call]})).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining("a result after it")
        });
        expect(await asked({role: "tool", content: [result]})).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining("a call before it")
        });
    });

    it("what is no context", async () => {
        expect(await failure(() => mara({} as LlamaContext))).toMatchObject({code: "INVALID_ARGUMENT"});
        const {context} = await aligned();
        expect(await failure(() => mara(context, {modelID: "x"} as never))).toMatchObject({
            message: expect.stringContaining('Did you mean "modelId"?')
        });
    });
});
