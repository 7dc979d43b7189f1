/** The real @langchain/core on contexts of ours. */
import {
    AIMessage,
    type AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    type UsageMetadata
} from "@langchain/core/messages";
import {StringOutputParser} from "@langchain/core/output_parsers";
import {ChatPromptTemplate} from "@langchain/core/prompts";
import {tool} from "@langchain/core/tools";
import {GeneralChatWrapper, type LlamaContext} from "node-llama-cpp";
import {describe, expect, it} from "vitest";
import {z} from "zod";
import type {DecisionRecord} from "../../lib/index.js";
import {ChatMara} from "../../lib/langchain/index.js";
import {align} from "../align/harness.js";
import {rejectAll} from "../support/agents.js";
import {alignedTiny} from "../support/aligned-tiny.js";
import {failure} from "../support/failure.js";
import {bytesBehind, scripted} from "../support/scripted-judge.js";
import {sessionAnswer} from "../support/session.js";

const tiny = alignedTiny();
const {aligned} = tiny;
const prompts = ["Who are you?", "1, 2, 3,", "The sky is", "Why not?", "Once upon a time"];

/** TypeScript's exactOptionalPropertyTypes, which this project has on, makes `never` of it in LangChain's types. */
function usageOf({usage_metadata}: AIMessageChunk): UsageMetadata {
    return usage_metadata as unknown as UsageMetadata;
}

function decisionsOf({response_metadata}: {response_metadata: Record<string, unknown>}): DecisionRecord[] {
    return (response_metadata.mara as {decisions: DecisionRecord[]}).decisions;
}

const weather = tool(() => "21 degrees", {
    name: "getWeather",
    description: "Current weather of a city",
    schema: z.object({city: z.enum(["Paris", "Rome"])})
});

describe("invoke", () => {
    it("answers as a chat session in an aligned context does, and tells the tokens and the decisions", async () => {
        const {context} = await aligned();
        const {context: other} = await aligned();
        const chat = new ChatMara({context, maxTokens: 12});
        const answer = await chat.invoke([new SystemMessage("Be brief."), new HumanMessage("Who are you?")]);
        expect(answer.content).toBe(await sessionAnswer(other, "Who are you?", "Be brief."));
        expect(answer.usage_metadata).toMatchObject({output_tokens: 12});
        expect(answer.response_metadata.finish_reason).toBe("length");
        expect(decisionsOf(answer).some(({chosenRank, fallback}) => chosenRank > 0 || fallback)).toBe(true);
    });

    it("ends at a stop text, and keeps text that could have begun one", async () => {
        const {context} = await aligned();
        const chat = new ChatMara({context, maxTokens: 12});
        const whole = (await chat.invoke("Who are you?")).content as string;
        const stopped = await chat.invoke("Who are you?", {stop: [whole.slice(4, 6)]});
        expect(stopped.content).toBe(whole.slice(0, whole.indexOf(whole.slice(4, 6))));
        expect(stopped.response_metadata.finish_reason).toBe("stop");
        const begun = await chat.invoke("Who are you?", {stop: [`${whole.slice(-3)} X`]});
        expect([begun.content, begun.response_metadata.finish_reason]).toEqual([whole, "length"]);
    });

    it("takes settings from the model, and from the call before them", async () => {
        const {context} = await aligned();
        const strict = new ChatMara({context, maxTokens: 6, settings: {agent: rejectAll(64)}});
        const fallbacks = async (options = {}) =>
            decisionsOf(await strict.invoke("Why not?", options)).filter(({fallback}) => fallback).length;
        expect(await fallbacks()).toBeGreaterThan(0);
        expect(await fallbacks({settings: {enabled: false}})).toBe(0);
        const brief = await strict.invoke("Why not?", {decisions: false, maxTokens: 3});
        expect([brief.response_metadata.mara, usageOf(brief).output_tokens]).toEqual([undefined, 3]);
    });

    it("goes through prompts and parsers, and goes on with a conversation where it was read already", async () => {
        const {context} = await aligned({sequences: 2});
        const chat = new ChatMara({context, maxTokens: 8});
        const chain = ChatPromptTemplate.fromMessages([["human", "The {thing} is"]]).pipe(chat);
        const text = await chain.pipe(new StringOutputParser()).invoke({thing: "sky"});
        const next = await chat.invoke([new HumanMessage("The sky is"), new AIMessage(text), new HumanMessage("And?")]);
        expect(usageOf(next).input_token_details?.cache_read).toBeGreaterThan(200);
        expect(context.sequencesLeft).toBe(1);
    });
});

describe("Many calls at once", () => {
    it("share the context's sequences, wait in turn, and get what each gets alone", async () => {
        const {context} = await aligned({sequences: 2});
        const {context: other} = await aligned();
        const answers = await new ChatMara({context, maxTokens: 12}).batch(prompts);
        expect(context.sequencesLeft).toBe(0);
        for (const [i, {content}] of answers.entries())
            expect(content).toBe(await sessionAnswer(other, prompts[i] as string));
    });
});

describe("stream", () => {
    it("gives the text in pieces, then the tokens and the decisions", async () => {
        const {context} = await aligned();
        const {context: other} = await aligned();
        const chunks: AIMessageChunk[] = [];
        for await (const chunk of await new ChatMara({context, maxTokens: 12}).stream("1, 2, 3,")) chunks.push(chunk);
        expect(chunks.length).toBeGreaterThan(3);
        const whole = chunks.reduce((sum, chunk) => sum.concat(chunk));
        expect(whole.content).toBe(await sessionAnswer(other, "1, 2, 3,"));
        expect(whole.usage_metadata).toMatchObject({output_tokens: 12});
        expect(decisionsOf(whole).length).toBeGreaterThan(0);
    });

    it("ends when it is aborted, or its reader goes away, and frees its sequence", async () => {
        const {context} = await aligned();
        const chat = new ChatMara({context});
        const abort = new AbortController();
        const reading = async () => {
            for await (const _ of await chat.stream("1, 2, 3,", {signal: abort.signal})) abort.abort();
        };
        await expect(reading()).rejects.toThrow(/abort/i);
        for await (const _ of await chat.stream("1, 2, 3,")) break;
        // The one sequence is free again, or this would wait forever.
        expect(usageOf(await chat.invoke("Why not?", {maxTokens: 4})).output_tokens).toBe(4);
    });

    it("ends with the refusal of what cannot be", async () => {
        const {context} = await aligned();
        const reading = async () => {
            for await (const _ of await new ChatMara({context}).stream("far ".repeat(2000)));
        };
        expect(await failure(reading)).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining("contextSize")
        });
    });
});

describe("Tools", () => {
    it("are called by the caller with what the model wrote, streamed or not, and their results are read", async () => {
        const judge = () => scripted(tiny.model, '||call: getWeather({"city": "Paris"})');
        const guides = [bytesBehind];
        const candidates = {topK: 256, topP: 1};
        const {context} = await align(tiny.model, {judge: judge(), guides, contextSize: 2048, candidates});
        const chat = new ChatMara({context, chatWrapper: new GeneralChatWrapper(), maxTokens: 48});
        const question = new HumanMessage("What is the weather in Paris?");
        const able = chat.bindTools([weather]);
        const answer = await able.invoke([question], {settings: {judge: judge()}});
        expect(answer.tool_calls).toMatchObject([{name: "getWeather", args: {city: "Paris"}}]);
        expect(answer.response_metadata.finish_reason).toBe("tool-calls");

        let whole: AIMessageChunk | undefined;
        for await (const chunk of await able.stream([question], {settings: {judge: judge()}}))
            whole = whole?.concat(chunk) ?? chunk;
        expect(whole?.tool_calls).toMatchObject([{name: "getWeather", args: {city: "Paris"}}]);

        const [call] = answer.tool_calls ?? [];
        const result = await weather.invoke({...call, type: "tool_call"} as never);
        expect(result).toBeInstanceOf(ToolMessage);
        const next = await able.invoke([question, answer, result as ToolMessage], {maxTokens: 4});
        expect(usageOf(next).input_tokens).toBeGreaterThan(usageOf(answer).input_tokens);
    });

    it.each(["any", "getWeather"])("must be called with tool_choice %s, streamed or not", async (tool_choice) => {
        const {context} = await aligned();
        const able = new ChatMara({context}).bindTools([weather], {tool_choice});
        const answer = await able.invoke("What is the weather in Rome?");
        const wanted = {name: "getWeather", args: {city: expect.stringMatching(/^(Paris|Rome)$/)}};
        expect(answer.tool_calls).toMatchObject([wanted]);
        const chunks: AIMessageChunk[] = [];
        for await (const chunk of await able.stream("What is the weather in Rome?")) chunks.push(chunk);
        expect(chunks.reduce((sum, chunk) => sum.concat(chunk)).tool_calls).toMatchObject([wanted]);
        // As the arguments are written.
        const pieces = chunks.flatMap(({tool_call_chunks = []}) => tool_call_chunks);
        expect(pieces.length).toBeGreaterThan(2);
        expect(pieces[0]).toMatchObject({name: "getWeather", index: 0, id: expect.any(String)});
        expect(JSON.parse(pieces.map(({args}) => args).join(""))).toEqual(answer.tool_calls?.[0]?.args);
    });

    it("are not offered with tool_choice none", async () => {
        const {context} = await aligned();
        const chat = new ChatMara({context, maxTokens: 4});
        const none = await chat.bindTools([weather], {tool_choice: "none"}).invoke("The sky is");
        const without = await chat.invoke("The sky is");
        expect(usageOf(none).input_tokens).toBe(usageOf(without).input_tokens);
    });
});

describe("withStructuredOutput", () => {
    const schema = z.object({mood: z.enum(["good", "bad"]), tags: z.array(z.enum(["a", "b"])).length(2)});

    it.each([
        ["zod's schema", schema],
        ["a JSON schema", z.toJSONSchema(schema)]
    ])("gives an object of %s", async (_, given) => {
        const {context} = await aligned();
        const able = new ChatMara({context}).withStructuredOutput(given, {includeRaw: true});
        const {parsed, raw} = await able.invoke("How is it?");
        expect(schema.parse(parsed)).toEqual(parsed);
        expect(decisionsOf(raw).length).toBeGreaterThan(0);
    });
});

describe("What cannot be is refused", () => {
    it.each([
        ["pictures", [new HumanMessage({content: [{type: "image_url", image_url: "data:,"}]})], {}, "text"],
        ["numbers out of range", "?", {topK: 1000}, "topK"],
        ["a tool that is none of those given", "?", {tool_choice: "none of them", tools: [weather]}, "tool"],
        [
            "a call without its result",
            [new AIMessage({content: "", tool_calls: [{name: "a", args: {}, id: "1"}]})],
            {},
            "result"
        ]
    ])("%s", async (_, input, options, word) => {
        const {context} = await aligned();
        expect(await failure(() => new ChatMara({context}).invoke(input, options as object))).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining(word)
        });
    });

    it("what is no context", async () => {
        expect(await failure(() => new ChatMara({context: {} as LlamaContext}))).toMatchObject({
            code: "INVALID_ARGUMENT"
        });
    });
});
