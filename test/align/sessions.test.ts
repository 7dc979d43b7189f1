import {
    type ChatHistoryItem,
    defineChatSessionFunction,
    LlamaChatSession,
    LlamaCompletion,
    type LlamaContext,
    type LlamaModel
} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {MaraAgent} from "../../lib/index.js";
import {rejectAll} from "../support/agents.js";
import {describeWithTestModel, generate, loadTestModel, testLlama} from "../support/models.js";
import {agentFor, align, expectCacheInStep, modes, plain, rejections} from "./harness.js";

describeWithTestModel("High-level generation, aligned", () => {
    let model: LlamaModel;
    let agent: MaraAgent;
    beforeAll(async () => {
        model = await loadTestModel();
        agent = await agentFor(model, 6);
    });
    afterAll(() => model?.dispose());

    const sessionOn = (context: LlamaContext) => new LlamaChatSession({contextSequence: context.getSequence()});

    it("streams a chat answer, the same in both modes", async () => {
        const answers: string[] = [];
        for (const mode of modes) {
            const {context, aligner} = await align(model, {agent, mode, contextSize: 512});
            const session = sessionOn(context);
            const chunks: string[] = [];
            const answer = await session.prompt("Tell me about the sea.", {
                maxTokens: 24,
                onTextChunk: (chunk) => void chunks.push(chunk)
            });
            expect(aligner.mode).toBe(mode);
            expect(chunks.length).toBeGreaterThan(10);
            expect(chunks.join("")).toBe(answer);
            expect(rejections(aligner.stats())).toBeGreaterThan(8);
            expectCacheInStep(session.sequence, aligner);
            answers.push(answer);
        }
        expect(answers[0]?.length).toBeGreaterThan(20);
        expect(answers[1]).toBe(answers[0]);
    });

    it("decodes on with an agent in the machine's fastest format", async () => {
        // On CPUs with AMX, the agent's kernel and llama.cpp's share a thread and its tile registers.
        const fast = MaraAgent.fromTensors(agent.tensors());
        const {context, aligner} = await align(model, {agent: fast, strategy: "max-prob", contextSize: 512});
        const answer = await sessionOn(context).prompt("Tell me about the sea.", {maxTokens: 16});
        expect(answer.length).toBeGreaterThan(5);
        expect(aligner.stats().evaluatedCandidates).toBeGreaterThan(32);

        const {context: stock} = await align(model, {agent: fast, enabled: false, contextSize: 512});
        const after = await sessionOn(stock).prompt("Tell me about the sea.", {maxTokens: 16});
        const expected = await sessionOn(await plain(model, {contextSize: 512})).prompt("Tell me about the sea.", {
            maxTokens: 16
        });
        expect(after).toBe(expected);
        fast.dispose();
    });

    it.each(modes)("completes a text (%s)", async (mode) => {
        const {context} = await align(model, {agent, mode, sequences: 2});
        const prompt = "The three primary colours are";
        const completion = new LlamaCompletion({contextSequence: context.getSequence()});
        const {response, metadata} = await completion.generateCompletionWithMeta(prompt, {maxTokens: 16});
        expect(metadata.stopReason).toBe("maxTokens");
        const sequence = context.getSequence();
        const tokens = await generate(sequence, model.tokenize(prompt), 16);
        expect(response).toBe(model.detokenize(tokens as typeof sequence.contextTokens, false, model.tokenize(prompt)));
    });

    it.each(modes)("keeps to a JSON schema though the agent rejects a lot (%s)", async (mode) => {
        const grammar = await (await testLlama()).createGrammarForJsonSchema({
            type: "object",
            properties: {
                name: {type: "string", maxLength: 12},
                colour: {enum: ["red", "green", "blue"]},
                ripe: {type: "boolean"}
            }
        });
        const {context, aligner} = await align(model, {agent, mode, contextSize: 512});
        const answer = await sessionOn(context).prompt("Describe an apple.", {grammar, maxTokens: 80});
        const fruit = grammar.parse(answer);
        expect(["red", "green", "blue"]).toContain(fruit.colour);
        expect(typeof fruit.ripe).toBe("boolean");
        expect(fruit.name.length).toBeLessThanOrEqual(12);
        expect(rejections(aligner.stats())).toBeGreaterThan(2);
    });

    it.each(modes)("calls functions exactly as plain greedy decoding does when all is rejected (%s)", async (mode) => {
        const description = "Current weather of a city";
        const shown = (city: string, celsius: number): ChatHistoryItem[] => [
            {type: "user", text: `What is the weather in ${city}?`},
            {
                type: "model",
                response: [
                    {type: "functionCall", name: "getWeather", description, params: {city}, result: {celsius}},
                    `It is ${celsius} degrees in ${city}.`
                ]
            }
        ];
        const ask = async (context: LlamaContext) => {
            const calls: unknown[] = [];
            const getWeather = defineChatSessionFunction({
                description,
                params: {type: "object", properties: {city: {type: "string"}}},
                handler: (params) => {
                    calls.push(params);
                    return {celsius: 21};
                }
            });
            const session = sessionOn(context);
            // A model this small calls only functions that it has seen being called.
            session.setChatHistory([...session.getChatHistory(), ...shown("Rome", 25), ...shown("Oslo", 4)]);
            const answer = await session.prompt("What is the weather in Paris?", {
                functions: {getWeather},
                maxTokens: 40
            });
            return {calls, answer};
        };
        const expected = await ask(await plain(model, {contextSize: 1024}));
        expect(expected).toEqual({calls: [{city: "Paris"}], answer: "It is 21 degrees in Paris."});
        const {context, aligner} = await align(model, {
            agent: rejectAll(model.embeddingVectorSize),
            mode,
            contextSize: 1024,
            candidates: {topK: 3, topP: 1}
        });
        expect(await ask(context)).toEqual(expected);
        expect(aligner.stats().fallbacks).toBeGreaterThan(10);
    });

    it.each(modes)("stops at maxTokens (%s)", async (mode) => {
        const {context, aligner} = await align(model, {agent, mode, contextSize: 512});
        const {stopReason, responseText} = await sessionOn(context).promptWithMeta("Count to one hundred.", {
            maxTokens: 7
        });
        expect(stopReason).toBe("maxTokens");
        expect(aligner.stats().generatedTokens).toBe(7);
        expect(responseText.length).toBeGreaterThan(0);
    });

    it("stops at a custom trigger", async () => {
        const {context} = await align(model, {agent, contextSize: 512, sequences: 2});
        const whole = await sessionOn(context).prompt("Tell me about the sea.", {maxTokens: 20});
        const trigger = whole.slice(12, 16);
        const {stopReason, responseText} = await sessionOn(context).promptWithMeta("Tell me about the sea.", {
            maxTokens: 20,
            customStopTriggers: [trigger]
        });
        expect(stopReason).toBe("customStopTrigger");
        expect(responseText).toBe(whole.slice(0, whole.indexOf(trigger)));
    });

    it.each(modes)("goes on after an abort in mid-answer as if it had ended there (%s)", async (mode) => {
        const {context, aligner} = await align(model, {agent, mode, contextSize: 512});
        const aborted = sessionOn(context);
        const controller = new AbortController();
        let chunks = 0;
        await aborted.prompt("Tell me about the sea.", {
            signal: controller.signal,
            stopOnAbortSignal: true,
            onTextChunk: () => void (++chunks === 6 && controller.abort())
        });
        const {generatedTokens} = aligner.stats();
        expect(generatedTokens).toBeLessThan(12);
        expectCacheInStep(aborted.sequence, aligner);

        const reference = await align(model, {agent, mode, contextSize: 512});
        const session = sessionOn(reference.context);
        await session.prompt("Tell me about the sea.", {maxTokens: generatedTokens});
        expect(aborted.sequence.contextTokens).toEqual(session.sequence.contextTokens);
        const next = {maxTokens: 16};
        expect(await aborted.prompt("And the sky?", next)).toBe(await session.prompt("And the sky?", next));
        expectCacheInStep(aborted.sequence, aligner);
    });

    it("rejects an aborted prompt with the signal's reason", async () => {
        const {context, aligner} = await align(model, {agent, contextSize: 512});
        const session = sessionOn(context);
        const controller = new AbortController();
        const reason = new Error("enough");
        const prompt = session.prompt("Tell me about the sea.", {
            signal: controller.signal,
            onTextChunk: () => controller.abort(reason)
        });
        await expect(prompt).rejects.toBe(reason);
        expectCacheInStep(session.sequence, aligner);
    });

    it.each(modes)("shifts a full context during an answer (%s)", async (mode) => {
        const {context, aligner} = await align(model, {agent, mode, contextSize: 256});
        const session = sessionOn(context);
        const {responseText, stopReason} = await session.promptWithMeta(
            `Continue this list: ${Array.from({length: 38}, (_, i) => `item ${i}`).join(", ")}`,
            {maxTokens: 40}
        );
        expect(stopReason).toBe("maxTokens");
        expect(responseText.length).toBeGreaterThan(20);
        expect(aligner.stats().generatedTokens).toBe(40);
        expect(session.sequence.nextTokenIndex).toBeLessThan(256);
        expectCacheInStep(session.sequence, aligner);
    });

    it.each(modes)("answers several sessions at once (%s)", async (mode) => {
        const questions = ["Tell me about the sea.", "What is a tree?", "Say something kind."];
        const {context, aligner} = await align(model, {agent, mode, contextSize: 512, sequences: 3});
        const sessions = questions.map(() => sessionOn(context));
        const answers = await Promise.all(
            sessions.map((session, i) => session.prompt(questions[i] as string, {maxTokens: 12}))
        );
        expect(aligner.stats().generatedTokens).toBeLessThanOrEqual(36);
        for (const [i, session] of sessions.entries()) {
            expect(answers[i]?.length).toBeGreaterThan(3);
            expect(session.getChatHistory().at(-1)).toMatchObject({type: "model", response: [answers[i]]});
            expectCacheInStep(session.sequence, aligner);
            const {generatedTokens} = aligner.stats(session.sequence);
            expect(generatedTokens).toBeGreaterThan(3);
        }
    });
});
