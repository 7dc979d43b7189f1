/** What node-llama-cpp's sessions and completions do when aligned, as the table in docs/compatibility.md says. */
import {
    GeneralChatWrapper,
    LlamaChatSession,
    LlamaCompletion,
    type LlamaContext,
    type LlamaModel,
    LlamaText,
    resolveChatWrapper,
    type Token
} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it, onTestFinished} from "vitest";
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

    it("an engine for completions of prompts gives and keeps the same ones", async () => {
        const {wanted, aligner} = await likePlain(model, mode, async (context) => {
            const session = new LlamaChatSession({contextSequence: context.getSequence()});
            const heard: string[] = [];
            let isDone = () => {};
            const done = new Promise<void>((resolve) => {
                isDone = resolve;
            });
            const engine = session.createPromptCompletionEngine({
                maxPreloadTokens: 80,
                onGeneration: (prompt, completion) => {
                    heard.push(`${prompt}|${completion}`);
                    isDone();
                }
            });
            const first = engine.complete("Tell me about");
            await done;
            const known = engine.complete("Tell me about");
            engine.dispose();
            // Whoever comes next waits for the engine's last token.
            const answer = await session.prompt(text, {maxTokens: 8});
            return {first, heard: heard[0], isKept: `Tell me about|${known}`.startsWith(heard[0] as string), answer};
        });
        expect(wanted).toMatchObject({first: "", isKept: true});
        expect(wanted.heard?.length).toBeGreaterThan("Tell me about|".length);
        expect(wanted.answer.length).toBeGreaterThan(5);
        expect(aligner.stats().decisions).toBeGreaterThan(0);
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

    it("a gap in a text is filled alike, also where the context shifts", async () => {
        const [prefix, suffix, middle] = ["<|", "|>", "|"].map((sign) => model.tokenize(sign).at(-1) as Token);
        const filling = await (await testLlama()).loadModel({
            modelPath: demoModelPath,
            metadataOverrides: {
                tokenizer: {
                    ggml: {fim_pre_token_id: prefix, fim_suf_token_id: suffix, fim_mid_token_id: middle} as object
                }
            }
        });
        onTestFinished(() => filling.dispose());
        const endless = await (await testLlama()).createGrammar({grammar: 'root ::= [a-z]+ " " root'});
        const {wanted, aligner} = await likePlain(
            filling,
            mode,
            async (context) => {
                const sequence = context.getSequence();
                const completion = new LlamaCompletion({contextSequence: sequence});
                const tokens: Token[] = [];
                const first = await completion.generateInfillCompletion("The sea", " in the morning", {maxTokens: 12});
                const text = [...sequence.contextTokens];
                const shifted = await completion.generateInfillCompletion("The moon", " at night", {
                    maxTokens: 150,
                    contextShiftSize: 40,
                    grammar: endless,
                    onToken: (some) => void tokens.push(...some)
                });
                return [completion.infillSupported, first, text, shifted, tokens] as const;
            },
            {contextSize: 128}
        );
        const [isSupported, first, text, , tokens] = wanted;
        expect(isSupported).toBe(true);
        expect(first.length).toBeGreaterThan(5);
        for (const token of [prefix, suffix, middle]) expect(text).toContain(token);
        expect(tokens).toHaveLength(150);
        expect(aligner.stats().decisions).toBeGreaterThan(0);
    });

    it("a thought is cut at its budget, and the answer goes on behind it", async () => {
        class ThinkingChatWrapper extends GeneralChatWrapper {
            override settings = {
                ...GeneralChatWrapper.defaultSettings,
                segments: {
                    thought: {prefix: LlamaText("<think>"), suffix: LlamaText("</think>"), openOnResponseStart: true}
                }
            };
        }
        const think = async (context: LlamaContext, thoughtTokens: number) => {
            const sequence = context.getSequence();
            const session = new LlamaChatSession({contextSequence: sequence, chatWrapper: new ThinkingChatWrapper()});
            const [thought, answer]: [Token[], Token[]] = [[], []];
            await session.prompt(text, {
                maxTokens: 24,
                budgets: {thoughtTokens},
                onResponseChunk: ({type, tokens}) => void (type === "segment" ? thought : answer).push(...tokens)
            });
            const written = model.detokenize(sequence.contextTokens);
            sequence.dispose();
            return {thought, answer, written};
        };
        const {wanted, aligner} = await likePlain(model, mode, async (context) => [
            await think(context, 6),
            await think(context, Number.POSITIVE_INFINITY)
        ]);
        const [cut, whole] = wanted;
        expect(cut?.thought).toHaveLength(6);
        expect(cut?.answer.length).toBeGreaterThan(3);
        expect(cut?.written).toContain("</think>");
        expect(whole?.thought.length).toBeGreaterThan(6);
        expect(aligner.stats().decisions).toBeGreaterThan(0);
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
