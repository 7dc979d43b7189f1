/** The real `ai` package on contexts of ours. */
import {generateText, type LanguageModel, streamText} from "ai";
import {describe, expect, it} from "vitest";
import {mara} from "../../lib/ai-sdk/index.js";
import type {DecisionRecord} from "../../lib/index.js";
import {align, plain} from "../align/harness.js";
import {acceptAll, rejectAll} from "../support/agents.js";
import {alignedTiny} from "../support/aligned-tiny.js";
import {failure} from "../support/failure.js";
import {sessionAnswer} from "../support/session.js";
import {decisionsOf} from "./decisions.js";

const tiny = alignedTiny();
const {aligned} = tiny;
const prompts = ["Who are you?", "1, 2, 3,", "The sky is", "Why not?", "Once upon a time"];

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
        const context = await plain(tiny.model, {contextSize: 1024});
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
        const begun = streamText({
            model: mara(context),
            prompt: "The sky is",
            maxOutputTokens: 24,
            stopSequences: [`${whole.text.slice(-3)} X`]
        });
        expect([await begun.text, await begun.finishReason]).toEqual([whole.text, "length"]);
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
        const {context} = await align(tiny.model, {agent: acceptAll(64), contextSize: 1024});
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
