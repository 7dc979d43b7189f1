/** Guides follow whatever is done to a sequence. Each text is compared with that of a guide that computes the whole text anew each time. */
import {join} from "node:path";
import {
    GeneralChatWrapper,
    LlamaChatSession,
    type LlamaContextSequence,
    type LlamaModel,
    type SequenceEvaluateOptions,
    type Token,
    TokenBias
} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {type AlignedContextOptions, contrast, type MaraAgent} from "../../lib/index.js";
import {agentFor, align} from "../align/harness.js";
import {temporaryFolder} from "../cli/helpers.js";
import {generate, loadTinyModel} from "../support/models.js";
import {Oracle} from "../support/predictors.js";
import {likeReference, slowly} from "./like-reference.js";
import {type Case, contrastCase, guidanceCase, valueCase} from "./reference.js";
import {watchDecodes} from "./watch-decodes.js";

const folder = temporaryFolder();

let model: LlamaModel;
let other: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
    other = await loadTinyModel({seed: 5, sharpness: 2});
    agent = await agentFor(model, 8);
});
afterAll(() => Promise.all([model?.dispose(), other?.dispose()]));

const cases = async (): Promise<Case[]> => [
    await guidanceCase(model, {negativePrompt: model.tokenize("never and ever"), scale: 1.7}),
    await contrastCase({amateur: other, weight: 0.6}),
    await valueCase({tuned: other, base: model, weight: 0.7})
];

const alike = async <T>(run: (sequences: LlamaContextSequence[]) => Promise<T>, options?: AlignedContextOptions) =>
    await likeReference(model, await cases(), run, options);

const first = ([sequence]: LlamaContextSequence[]) => sequence as LlamaContextSequence;

describe("A guide follows", () => {
    it("several sequences at once, drawn by temperature, with penalties, with an agent and without", async () => {
        const texts = ["once there was", "the hen and the", "he said"];
        const drawn: SequenceEvaluateOptions = {temperature: 0.7, seed: 11, topK: 20};
        for (const own of [{}, {agent}])
            await alike(
                (sequences) =>
                    Promise.all(
                        sequences.map((sequence, i) =>
                            generate(sequence, model.tokenize(texts[i] as string), 12, {
                                ...drawn,
                                repeatPenalty: {punishTokens: () => sequence.contextTokens.slice(-8), penalty: 1.3},
                                tokenBias: TokenBias.for(model).set(model.tokenize("e")[0] as Token, {logit: -2})
                            })
                        )
                    ),
                {...own, sequences: 3}
            );
    });

    it("what is taken back, erased in the middle, shifted and cleared", async () => {
        for (const own of [{}, {agent}])
            await alike(async (sequences) => {
                const sequence = first(sequences);
                const prompt = model.tokenize("the hen and the");
                const found = [await generate(sequence, prompt, 10)];
                await sequence.eraseContextTokenRanges([{start: prompt.length + 3, end: sequence.nextTokenIndex}]);
                found.push(await generate(sequence, model.tokenize("and"), 6));
                await sequence.eraseContextTokenRanges([
                    {start: 2, end: 4},
                    {start: 6, end: 8}
                ]);
                found.push(await generate(sequence, model.tokenize("so"), 6));
                await sequence.clearHistory();
                found.push(await generate(sequence, model.tokenize("once"), 6));
                sequence.dispose();
                found.push(await generate(sequence.context.getSequence(), model.tokenize("a"), 6));
                return found;
            }, own);
    });

    it("a text that outgrows the context", async () => {
        for (const own of [{}, {agent}])
            await alike((sequences) => generate(first(sequences), model.tokenize("once there was"), 70), {
                ...own,
                contextSize: 48
            });
    });

    it("a text that another sequence takes over, of which the guide decodes what is new", async () => {
        const copy = async (from: LlamaContextSequence, to: LlamaContextSequence, length: number) => {
            const internals = to as unknown as {
                _copyStateFromOtherSequence(other: LlamaContextSequence, length: number): Promise<boolean>;
            };
            expect(await internals._copyStateFromOtherSequence(from, length)).toBe(true);
        };
        for (const own of [{}, {agent}])
            await alike(
                async ([one, two]) => {
                    const [source, target] = [one as LlamaContextSequence, two as LlamaContextSequence];
                    const prompt = model.tokenize("the hen and the");
                    const found = [await generate(source, prompt, 8)];
                    await copy(source, target, prompt.length + 3);
                    found.push(await generate(target, model.tokenize("so"), 6));
                    found.push(await generate(source, model.tokenize("and"), 6));
                    return found;
                },
                {...own, sequences: 2}
            );
        const {sizes} = watchDecodes();
        const guides = [contrast({amateur: other, weight: 0.6})];
        const {context} = await align(model, {guides, sequences: 2});
        const [source, target] = [context.getSequence(), context.getSequence()];
        const prompt = model.tokenize("the hen and the dog and the hen once there was");
        await generate(source, prompt, 4);
        const before = [...sizes.values()].map((all) => all.length);
        await copy(source, target, prompt.length);
        await generate(target, model.tokenize("so"), 1);
        const after = [...sizes.values()].map((all, i) => all.slice(before[i]).reduce((sum, size) => sum + size, 0));
        const added = model.tokenize("so").length;
        // The context itself and the guide's.
        expect(after).toEqual([added, added]);
    });

    it("a text that was saved, and is loaded after another or into another sequence", async () => {
        const file = join(folder, "text.state");
        for (const own of [{}, {agent}])
            await alike(
                async ([one, two]) => {
                    const [saved, loading] = [one as LlamaContextSequence, two as LlamaContextSequence];
                    await generate(saved, model.tokenize("the hen and the"), 8);
                    await saved.saveStateToFile(file);
                    const found = [await generate(saved, model.tokenize("and"), 6)];
                    for (const sequence of [saved, loading]) {
                        await sequence.loadStateFromFile(file, {acceptRisk: true});
                        found.push(await generate(sequence, model.tokenize("so"), 6));
                    }
                    return found;
                },
                {...own, sequences: 2}
            );
    });

    it("a text whose tokens were predicted", async () => {
        await alike(
            async ([sequence]) => {
                const {context} = sequence as LlamaContextSequence;
                const text = "once there was a hen and once there was";
                const plain = await generate(sequence as LlamaContextSequence, model.tokenize(text), 16);
                (sequence as LlamaContextSequence).dispose();
                const tokenPredictor = new Oracle(plain as Token[], {
                    prompt: model.tokenize(text).length,
                    wrongEvery: 3
                });
                const predicted = context.getSequence({tokenPredictor});
                expect(await generate(predicted, model.tokenize(text), 16)).toEqual(plain);
                return plain;
            },
            {agent}
        );
    });

    it("a generation that is broken off, and the next", async () => {
        await alike(
            async (sequences) => {
                const session = new LlamaChatSession({
                    contextSequence: first(sequences),
                    chatWrapper: new GeneralChatWrapper()
                });
                const stop = new AbortController();
                const left = await session.prompt("Hello", {
                    signal: stop.signal,
                    stopOnAbortSignal: true,
                    maxTokens: 20,
                    onToken: () => stop.abort()
                });
                const grammar = await model.llama.createGrammar({grammar: 'root ::= [a-e]+ "." [f-j]+ "!"'});
                return [left, await session.prompt("And now?", {maxTokens: 16, grammar})];
            },
            {agent, contextSize: 512}
        );
    });
});

it("Rows tell the whole text and where the response begins", async () => {
    const [one] = (await cases()) as [Case];
    const guide = slowly(one);
    const {context} = await align(model, {guides: [guide]});
    const sequence = context.getSequence();
    const texts: [number[], number][] = [];
    const note = (prompt: readonly Token[], start: number) => texts.push([[...prompt], start]);
    const prompt = model.tokenize("the hen");
    const tokens = await generate(sequence, prompt, 3);
    note(prompt, 2);
    note([...prompt, ...tokens.slice(0, 1)] as Token[], 2);
    note([...prompt, ...tokens.slice(0, 2)] as Token[], 2);
    expect(guide.rows.map(({tokens, responseStart}) => [tokens, responseStart])).toEqual(
        texts.map(([text]) => [text, prompt.length])
    );
    await sequence.eraseContextTokenRanges([{start: 1, end: 2}]);
    const before = [...sequence.contextTokens];
    guide.rows.length = 0;
    await generate(sequence, model.tokenize("and"), 1);
    expect(guide.rows.map(({tokens, responseStart}) => [tokens, responseStart])).toEqual([
        [[...before, ...model.tokenize("and")], before.length + model.tokenize("and").length]
    ]);
});
