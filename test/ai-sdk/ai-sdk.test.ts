/** The real `ai` package on contexts of ours. */
import type {LanguageModelV4Message} from "@ai-sdk/provider";
import {generateObject, generateText, isStepCount, jsonSchema, type LanguageModel, Output, streamText, tool} from "ai";
import {GeneralChatWrapper, LlamaChatSession, type LlamaContext, type LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {z} from "zod";
import {mara} from "../../lib/ai-sdk/index.js";
import type {DecisionRecord, MaraAgent} from "../../lib/index.js";
import {agentFor, align, plain} from "../align/harness.js";
import {acceptAll, rejectAll} from "../support/agents.js";
import {failure} from "../support/failure.js";
import {loadTinyModel} from "../support/models.js";
import {bytesBehind, scripted} from "../support/scripted-judge.js";

// The AI SDK prints the warnings of a call.
(globalThis as {AI_SDK_LOG_WARNINGS?: boolean}).AI_SDK_LOG_WARNINGS = false;

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel();
    agent = await agentFor(model, 5);
});
afterAll(() => model?.dispose());

const aligned = (options = {}) => align(model, {agent, contextSize: 1024, ...options});
const prompts = ["Who are you?", "1, 2, 3,", "The sky is", "Why not?", "Once upon a time"];

async function sessionAnswer(context: LlamaContext, prompt: string): Promise<string> {
    const sequence = context.getSequence();
    const session = new LlamaChatSession({contextSequence: sequence});
    const answer = await session.prompt(prompt, {maxTokens: 12});
    session.dispose({disposeSequence: true});
    return answer;
}

function decisionsOf({providerMetadata: {mara} = {}}: {providerMetadata: Record<string, unknown> | undefined}) {
    const {decisions} = mara as {decisions: DecisionRecord[]};
    return decisions;
}

describe("generateText", () => {
    it("answers as a chat session in an aligned context does, and tells the tokens and the decisions", async () => {
        const {context} = await aligned();
        const {context: other, aligner} = await aligned();
        const expected: DecisionRecord[] = [];
        aligner.onDecision(({sequence: _, ...decision}) => void expected.push(decision));
        const answer = await generateText({model: mara(context), prompt: "Who are you?", maxOutputTokens: 12});
        expect(answer.text).toBe(await sessionAnswer(other, "Who are you?"));
        expect(answer.finishReason).toBe("length");
        expect(answer.usage).toMatchObject({outputTokens: 12, inputTokenDetails: {cacheReadTokens: 0}});
        expect(answer.response.modelId).toBe("tiny");
        const decisions = decisionsOf(answer);
        expect(decisions.some(({chosenRank, fallback}) => chosenRank > 0 || fallback)).toBe(true);
        expect(decisions.map(({position, chosenRank}) => [position, chosenRank])).toEqual(
            expected.map(({position, chosenRank}) => [position, chosenRank])
        );
    });

    it("answers as a plain context does where the call says so, and tells no decisions", async () => {
        const {context} = await aligned();
        const answer = await generateText({
            model: mara(context),
            prompt: "Who are you?",
            maxOutputTokens: 12,
            temperature: 0,
            providerOptions: {mara: {enabled: false}}
        });
        const {context: embedding} = await aligned({enabled: false});
        expect(answer.text).toBe(await sessionAnswer(embedding, "Who are you?"));
        expect(decisionsOf(answer)).toEqual([]);
        const again = await generateText({model: mara(context), prompt: "Who are you?", maxOutputTokens: 12});
        expect(decisionsOf(again).length).toBeGreaterThan(0);
    });

    it("works on a plain context, and ends at a stop text", async () => {
        const context = await plain(model, {contextSize: 1024});
        const whole = await generateText({model: mara(context), prompt: "The sky is", maxOutputTokens: 24});
        const stop = whole.text.slice(8, 10);
        const cut = await generateText({
            model: mara(context, {decisions: false}),
            prompt: "The sky is",
            maxOutputTokens: 24,
            stopSequences: [stop]
        });
        expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
        expect(cut.finishReason).toBe("stop");
        expect(cut.providerMetadata).toBeUndefined();
    });

    it("goes on with a conversation where it was read already", async () => {
        const {context} = await aligned({sequences: 2});
        const languageModel = mara(context);
        const first = await generateText({model: languageModel, prompt: "The sky is", maxOutputTokens: 8});
        const messages = [
            {role: "user" as const, content: "The sky is"},
            {role: "assistant" as const, content: first.text},
            {role: "user" as const, content: "And the sea?"}
        ];
        const second = await generateText({model: languageModel, messages, maxOutputTokens: 8});
        expect(second.usage.inputTokenDetails.cacheReadTokens).toBeGreaterThanOrEqual(
            first.usage.inputTokens as number
        );
        expect(context.sequencesLeft).toBe(1);
    });

    it("takes the settings of its language model, of the call, and of the context, in this order", async () => {
        const {context} = await align(model, {agent: acceptAll(64), contextSize: 1024});
        const fallbacks = async (languageModel: LanguageModel, settings = {}) => {
            const answer = await generateText({
                model: languageModel,
                prompt: "Why not?",
                maxOutputTokens: 6,
                providerOptions: {mara: settings}
            });
            return decisionsOf(answer).filter(({fallback}) => fallback).length;
        };
        const strict = mara(context, {settings: {agent: rejectAll(64)}});
        expect(await fallbacks(mara(context))).toBe(0);
        expect(await fallbacks(strict)).toBeGreaterThan(0);
        expect(await fallbacks(mara(context), {threshold: 1})).toBeGreaterThan(0);
        expect(await fallbacks(strict, {enabled: false})).toBe(0);
        expect(await fallbacks(mara(context))).toBe(0);
        const few = await generateText({model: mara(context), prompt: "Why not?", maxOutputTokens: 6, topK: 2});
        expect(Math.max(...decisionsOf(few).map(({candidates}) => candidates.length))).toBe(2);
    });
});

describe("Many calls at once", () => {
    it("share the context's sequences, wait in turn, and get what each gets alone", async () => {
        const {context} = await aligned({sequences: 2});
        const {context: other} = await aligned();
        const languageModel = mara(context);
        const answers = await Promise.all(
            prompts.map(async (prompt) => await generateText({model: languageModel, prompt, maxOutputTokens: 12}))
        );
        expect(context.sequencesLeft).toBe(0);
        for (const [i, {text}] of answers.entries())
            expect(text).toBe(await sessionAnswer(other, prompts[i] as string));
    });

    it("are refused where the caller holds every sequence, and rejected where the context ends", async () => {
        const {context} = await aligned();
        const languageModel = mara(context);
        const call = (abortSignal?: AbortSignal) =>
            generateText({
                model: languageModel,
                prompt: "Why not?",
                maxOutputTokens: 8,
                maxRetries: 0,
                ...(abortSignal && {abortSignal})
            });
        const held = context.getSequence();
        expect(await failure(call)).toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining("sequence")
        });
        held.dispose();
        await new Promise(setImmediate);
        const gone = new AbortController();
        const first = call();
        const waiting = call(gone.signal);
        gone.abort(new Error("changed my mind"));
        await expect(waiting).rejects.toThrow("changed my mind");
        expect((await first).usage.outputTokens).toBe(8);
        await context.dispose();
        expect(await failure(call)).toMatchObject({code: "DECODE_FAILED"});
    });
});

describe("streamText", () => {
    it("gives the text in pieces, then the tokens and the decisions", async () => {
        const {context} = await aligned();
        const {context: other} = await aligned();
        const result = streamText({model: mara(context), prompt: "1, 2, 3,", maxOutputTokens: 12});
        const pieces: string[] = [];
        for await (const piece of result.textStream) pieces.push(piece);
        expect(pieces.length).toBeGreaterThan(3);
        expect(pieces.join("")).toBe(await sessionAnswer(other, "1, 2, 3,"));
        expect((await result.usage).outputTokens).toBe(12);
        expect(decisionsOf({providerMetadata: await result.providerMetadata}).length).toBeGreaterThan(0);
    });

    it("ends when it is aborted, or its reader goes away, and frees its sequence", async () => {
        const {context} = await aligned();
        const languageModel = mara(context);
        const abort = new AbortController();
        const aborted: unknown[] = [];
        const result = streamText({
            model: languageModel,
            prompt: "1, 2, 3,",
            abortSignal: abort.signal,
            onAbort: () => void aborted.push(true),
            onError: ({error}) => void aborted.push(error)
        });
        for await (const _ of result.textStream) abort.abort();
        expect(aborted.length).toBeGreaterThan(0);
        const {stream} = await languageModel.doStream({
            prompt: [{role: "user", content: [{type: "text", text: "Why not?"}]}]
        });
        const reader = stream.getReader();
        await reader.read();
        await reader.cancel();
        // The one sequence is free again, or this would wait forever.
        const {usage} = await generateText({model: languageModel, prompt: "Why not?", maxOutputTokens: 4});
        expect(usage.outputTokens).toBe(4);
    });
});

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
        const judge = scripted(model, '||call: getWeather({"city": "Paris"})');
        const guides = [bytesBehind];
        const candidates = {topK: 256, topP: 1};
        const {context} = await align(model, {judge, guides, contextSize: 2048, candidates});
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
