/**
 * Tiny models of many architectures: an agent that accepts everything changes nothing, lanes and serial agree with each other and with
 * a decoder that shares nothing with them, and sequences at once write what each writes alone. Texts are several windows long, and long
 * enough that the cells of windows are used up again and again.
 */
import {type LlamaContext, LlamaGrammarEvaluationState, type LlamaModel, type Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {countEmbeddings, readEmbeddings} from "../../lib/align/node-llama-cpp/embeddings.js";
import {type AlignedContextOptions, createAlignedContext, MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent, randomTensors} from "../support/agents.js";
import {failure} from "../support/failure.js";
import type {GgufType} from "../support/gguf.js";
import {generate, precise, testLlama} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {ReferenceDecoder} from "../support/reference-decoder.js";
import {writeTinyEncoder} from "../support/tiny-encoder.js";
import {firstWord, vocabularySize} from "../support/tiny-model.js";
import {architectures} from "./architectures.js";
import {loadZooModel} from "./model.js";
import {width} from "./parts.js";

/** The type of the models' weights: single precision in CI, and each of several where `npm run zoo` makes the table. */
const dtype = (process.env.MARA_ZOO_TYPE ?? "F32") as GgufType;
/** `npm run zoo` runs some of the architectures at a time. */
const some = process.env.MARA_ZOO_ARCHITECTURES?.split("|");
const chosen = Object.entries(architectures).filter(([name]) => some?.includes(name) ?? true);
/** Half-precision weights stand in single precision otherwise, or llama.cpp's own rounding by batch would become other text. */
const isPrecise = dtype === "F32" || dtype === "F16";
/** In this precision the order in which sums are taken shows: a difference in rounding would become other text. */
const defaults = {
    flashAttention: true,
    experimentalKvCacheKeyType: "F16",
    experimentalKvCacheValueType: "F16"
} as const;
/**
 * Three lanes and small batches keep the cells for windows few: 16 tokens for each of 5 sequences, and a batch. From 64 tokens on a batch is
 * computed in tiles of cells, which shows where single precision does not hide it.
 */
const options = {
    ...precise,
    ...(!isPrecise && defaults),
    contextSize: 512,
    batchSize: isPrecise ? 64 : 63,
    lanes: 3
} as const;
const length = 180;

const random = seededRandom(5);
const promptOf = (count: number) =>
    Array.from({length: count}, () => random.integer(firstWord, vocabularySize - 1) as Token);
const prompts = [promptOf(40), promptOf(5), promptOf(23), promptOf(70)];

async function write(
    model: LlamaModel,
    own: AlignedContextOptions,
    texts: readonly (readonly Token[])[],
    count: number
): Promise<{tokens: number[][]; rejected: number}> {
    const {context, aligner} = await createAlignedContext(model, {...options, ...own, sequences: texts.length});
    const tokens = await all(context, texts, count);
    const {evaluatedCandidates, generatedTokens} = aligner.stats();
    await context.dispose();
    return {tokens, rejected: evaluatedCandidates - generatedTokens};
}

async function all(context: LlamaContext, texts: readonly (readonly Token[])[], count: number): Promise<number[][]> {
    const sequences = texts.map(() => context.getSequence());
    return await Promise.all(texts.map((text, i) => generate(sequences[i] as (typeof sequences)[number], text, count)));
}

async function writePlain(model: LlamaModel, own: {contextSize?: number}, text: readonly Token[], count: number) {
    const {lanes: _, ...stock} = options;
    const context = await model.createContext({...stock, ...own});
    const [tokens] = await all(context, [text], count);
    await context.dispose();
    return tokens;
}

describe.each(chosen)("%s", (_, architecture) => {
    let model: LlamaModel;
    const tensors = randomTensors(width, 42, {bias: -2});
    const strict = MaraAgent.fromTensors(tensors, {dtype: "f32", threads: 1});
    const [prompt = []] = prompts;
    beforeAll(async () => {
        model = await loadZooModel(architecture, dtype);
    });
    afterAll(() => model?.dispose());

    it("writes as a plain context does when everything is accepted", async () => {
        const expected = await writePlain(model, {}, prompt, length);
        expect(expected).toHaveLength(length);
        for (const mode of ["lanes", "serial"] as const)
            expect((await write(model, {agent: acceptAll(width), mode}, [prompt], length)).tokens[0], mode).toEqual(
                expected
            );
    });

    it("does so when the context is full", async () => {
        const expected = await writePlain(model, {contextSize: 96}, prompt, 120);
        for (const mode of ["lanes", "serial"] as const) {
            const {tokens} = await write(model, {agent: acceptAll(width), mode, contextSize: 96}, [prompt], 120);
            expect(tokens[0], mode).toEqual(expected);
        }
    });

    it("gives the same in lanes and one by one, and what the reference gives", async () => {
        const lanes = await write(model, {agent: strict, mode: "lanes"}, [prompt], length);
        expect(lanes.rejected).toBeGreaterThan(isPrecise ? 256 : 128);
        expect((await write(model, {agent: strict, mode: "serial"}, [prompt], length)).tokens).toEqual(lanes.tokens);
        const {lanes: _lanes, ...stock} = options;
        const reference = await ReferenceDecoder.create(model, {...stock, batchSize: 256}, !isPrecise);
        const settings = {topK: 40, topP: 0.95, minP: 0, threshold: 0.5, fallbackIndex: 0, seed: 0} as const;
        const written = lanes.tokens[0] as number[];
        const rule = {...settings, strategy: "first", order: "best-first"} as const;
        for (const start of isPrecise ? [0, 60, 150] : [0, 20]) {
            const run = await reference.run(prompt, tensors, rule, 4, {written: written.slice(0, start)});
            expect(run.tokens, `from ${start}`).toEqual(written.slice(start, start + run.tokens.length));
        }
        await reference.dispose();
    });

    const isShifting = architecture.window === undefined && architecture.recurrent !== true;
    if (isShifting)
        it("gives the same in lanes and one by one when the context is full", async () => {
            const own = {agent: strict, contextSize: 96};
            const lanes = await write(model, {...own, mode: "lanes"}, [prompt], 120);
            expect((await write(model, {...own, mode: "serial"}, [prompt], 120)).tokens).toEqual(lanes.tokens);
        });

    it("keeps to a grammar, as a plain context does", async () => {
        const grammar = await (await testLlama()).createGrammar({grammar: 'root ::= ([a-m] [n-z] " "?)+'});
        const own = () => ({grammarEvaluationState: new LlamaGrammarEvaluationState({model, grammar})});
        const {lanes: _lanes, ...stock} = options;
        const plain = await model.createContext(stock);
        const expected = await generate(plain.getSequence(), prompt, 40, own());
        await plain.dispose();
        expect(model.detokenize(expected as Token[])).toMatch(/^ ?([a-m][n-z] ?)+[a-m]?$/);
        const rejecting: number[][] = [];
        for (const mode of ["lanes", "serial"] as const)
            for (const agent of [acceptAll(width), strict]) {
                const {context} = await createAlignedContext(model, {...options, agent, mode});
                const tokens = await generate(context.getSequence(), prompt, 40, own());
                if (agent === strict) rejecting.push(tokens);
                else expect(tokens, mode).toEqual(expected);
                await context.dispose();
            }
        expect(model.detokenize(rejecting[0] as Token[])).toMatch(/^ ?([a-m][n-z] ?)+[a-m]?$/);
        expect(rejecting[0]).toEqual(rejecting[1]);
    });

    const isWindowed = architecture.window !== undefined;
    const types = isWindowed && dtype === "F32" ? (["F32", "Q8_0"] as const) : [dtype];
    it.each(types)("gives each of four sequences at once what it gives alone (%s)", async (type) => {
        const isOther = type !== dtype;
        const of = isOther ? await loadZooModel(architecture, type) : model;
        const own = {...(isOther && defaults), agent: strict, mode: "lanes"} as const;
        // Where node-llama-cpp cuts a longer one depends on the others, and later parts stand in other tiles of layers with a window.
        const texts = isOther || !isPrecise ? prompts.map((text) => text.slice(0, 60)) : prompts;
        const together = await write(of, own, texts, 100);
        expect(together.rejected).toBeGreaterThan(256);
        for (const [i, text] of texts.entries())
            expect(together.tokens[i], `sequence ${i}`).toEqual((await write(of, own, [text], 100)).tokens[0]);
        if (isOther) await of.dispose();
    });

    it("gives the embeddings that a student is made from", async () => {
        expect(countEmbeddings(model)).toBe(vocabularySize);
        const rows = await readEmbeddings(model, [firstWord, vocabularySize - 1]);
        // Quantised, a weight may be nothing.
        expect(rows.every((value) => Number.isFinite(value) && (value !== 0 || !isPrecise))).toBe(true);
        expect(rows.subarray(0, width)).not.toEqual(rows.subarray(width));
    });

    it("goes on after tokens were erased and others put in their place", async () => {
        const agent = randomAgent(width, 42, {bias: -2});
        const texts: number[][] = [];
        for (const mode of ["lanes", "serial"] as const) {
            const {context} = await createAlignedContext(model, {...options, agent, mode});
            const sequence = context.getSequence();
            const text: number[] = [];
            for (const back of [1, 60, 8]) {
                text.push(...(await generate(sequence, prompt, 60)));
                const end = sequence.nextTokenIndex;
                await sequence.eraseContextTokenRanges([{start: end - back, end}]);
                text.push(...(await generate(sequence, prompt.slice(0, 3), 20)));
            }
            // The text that is left gives the same tokens as it does from its beginning.
            const rest = [...sequence.contextTokens];
            const next = await generate(sequence, prompt.slice(0, 1), 10);
            const fresh = (await createAlignedContext(model, {...options, agent, mode: "lanes"})).context;
            const expected = await generate(fresh.getSequence(), [...rest, ...prompt.slice(0, 1)], 10);
            if (mode === "lanes" || !isWindowed) expect(next, mode).toEqual(expected);
            texts.push(text);
            await fresh.dispose();
            await context.dispose();
        }
        if (!isWindowed) expect(texts[0]).toEqual(texts[1]);
    });
});

it("An encoder is refused", async () => {
    const model = await (await testLlama()).loadModel({modelPath: writeTinyEncoder().path});
    expect(await failure(() => createAlignedContext(model, {...options, agent: acceptAll(32)}))).toMatchObject({
        code: "MODEL_UNSUPPORTED"
    });
    await model.dispose();
});
