/** What node-llama-cpp's sessions and completions do when aligned, as the table in docs/compatibility.md says. */
import {
    LlamaChatSession,
    LlamaCompletion,
    type LlamaContext,
    type LlamaModel,
    resolveChatWrapper,
    type Token
} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {testLlama} from "../support/models.js";
import {modes} from "./harness.js";
import {likePlain} from "./like-plain.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
});
afterAll(() => model?.dispose());

const text = "Tell me about the sea.";

describe.each(modes)("With an agent that accepts everything (%s)", (mode) => {
    const say = async (context: LlamaContext, options: Parameters<LlamaChatSession["promptWithMeta"]>[1] = {}) => {
        const session = new LlamaChatSession({contextSequence: context.getSequence()});
        const tokens: Token[] = [];
        const chunks: unknown[] = [];
        const {responseText, stopReason} = await session.promptWithMeta(text, {
            maxTokens: 24,
            onToken: (some: Token[]) => void tokens.push(...some),
            onResponseChunk: (chunk: unknown) => void chunks.push(chunk),
            ...options
        } as object);
        return {responseText, stopReason, tokens, chunks};
    };

    it.each([
        ["maxTokens", {maxTokens: 7}],
        ["responsePrefix and trimWhitespaceSuffix", {responsePrefix: "The", trimWhitespaceSuffix: true}],
        ["customStopTriggers", {customStopTriggers: [" the"]}],
        [
            "penalties and evaluationPriority",
            {
                repeatPenalty: {penalty: 1.4, lastTokens: 8},
                dryRepeatPenalty: {strength: 2, allowedLength: 1},
                evaluationPriority: 2
            }
        ]
    ] as const)("a session answers alike with %s", async (_, options) => {
        const {wanted, aligner} = await likePlain(model, mode, (context) => say(context, options as object));
        expect(wanted.responseText.length).toBeGreaterThan(2);
        expect(wanted.tokens.length).toBeGreaterThan(1);
        expect(wanted.chunks.length).toBeGreaterThan(1);
        expect(aligner.stats().decisions).toBeGreaterThan(0);
    });

    it("a session completes a user's prompt, and preloads one", async () => {
        const {wanted} = await likePlain(model, mode, async (context) => {
            const session = new LlamaChatSession({contextSequence: context.getSequence()});
            await session.preloadPrompt("Tell me");
            return [
                session.sequence.contextTokens,
                await session.completePrompt("Tell me about", {maxTokens: 8}),
                await session.prompt("What is the moon?", {maxTokens: 8})
            ];
        });
        expect(wanted[1]?.length).toBeGreaterThan(5);
        expect(wanted[2]?.length).toBeGreaterThan(5);
    });

    it("a session's questions are decided as in a plain context", async () => {
        const yes: number[] = [];
        const {wanted, aligner} = await likePlain(model, mode, async (context) => {
            const session = new LlamaChatSession({contextSequence: context.getSequence()});
            await session.prompt(text, {maxTokens: 8});
            const {sea, word} = await session.decide({
                sea: {type: "noul", instruction: "Is this about the sea?"},
                word: {type: "choice", instruction: "Which word?", criteria: {sea: null, moon: null}}
            });
            yes.push(sea.value);
            return word.choice;
        });
        expect(["sea", "moon"]).toContain(wanted);
        expect(yes[1]).toBeCloseTo(yes[0] as number, 5);
        expect(aligner.stats().decisions).toBeGreaterThan(0);
    });

    it("a completion is written alike, also where the context shifts", async () => {
        await likePlain(
            model,
            mode,
            async (context) => {
                const completion = new LlamaCompletion({contextSequence: context.getSequence()});
                const infill = completion.infillSupported;
                const first = await completion.generateCompletion("The sea", {maxTokens: 12});
                const shifted = await completion.generateCompletion("The moon", {maxTokens: 150, contextShiftSize: 40});
                return [infill, first, shifted];
            },
            {contextSize: 128}
        );
    });

    it("the end of a text is given out only if asked for", async () => {
        const turn = resolveChatWrapper(model).generateContextState({
            chatHistory: [
                {type: "user", text},
                {type: "model", response: []}
            ]
        }).contextText;
        const until = async (context: LlamaContext, yieldEogToken: boolean) => {
            const tokens: Token[] = [];
            const sequence = context.getSequence();
            for await (const token of sequence.evaluate(turn.tokenize(model.tokenizer), {yieldEogToken})) {
                tokens.push(token);
                if (tokens.length === 120 || model.isEogToken(token)) break;
            }
            return tokens;
        };
        const {wanted: whole} = await likePlain(model, mode, (context) => until(context, true));
        const {wanted: cut} = await likePlain(model, mode, (context) => until(context, false));
        expect(model.isEogToken(whole.at(-1) as Token)).toBe(true);
        expect(cut).toEqual(whole.slice(0, -1));
    });
});
