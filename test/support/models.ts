import {
    getLlama,
    type Llama,
    type LlamaContextSequence,
    LlamaLogLevel,
    type LlamaModel,
    type SequenceEvaluateOptions,
    type Token
} from "node-llama-cpp";
import {describe} from "vitest";
import type {AddonContext} from "../../lib/align/node-llama-cpp/internals.js";
import {type TinyModelOptions, writeTinyModel} from "./tiny-model.js";

/** Path of a real chat model (SmolLM2-135M-Instruct in CI), if this machine has one. */
export const testModelPath: string | undefined = process.env.MARA_TEST_MODEL || undefined;

let llama: Promise<Llama> | undefined;

/** node-llama-cpp on the CPU, once per test file. */
export function testLlama(): Promise<Llama> {
    llama ??= getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    return llama;
}

export async function loadTinyModel(options: TinyModelOptions = {}): Promise<LlamaModel> {
    return await (await testLlama()).loadModel({modelPath: writeTinyModel(options)});
}

/** The real model. Only inside `describeWithTestModel`. */
export async function loadTestModel(): Promise<LlamaModel> {
    return await (await testLlama()).loadModel({modelPath: testModelPath as string});
}

/** A `describe` whose tests need the real model; skipped where there is none. */
export function describeWithTestModel(name: string, tests: () => void): void {
    describe.skipIf(testModelPath === undefined)(`${name} (needs MARA_TEST_MODEL)`, tests);
}

/** Context options of every test: one thread, since more than the cores that are free makes llama.cpp many times slower. */
export const small = {contextSize: 256, threads: 1} as const;

/**
 * Everything in float32, where sums taken in another order differ by about 1e-6. With flash attention and an F16 cache, the defaults,
 * such a difference can flip the rounding of a cached value to half precision and so become 1e-3.
 */
export const precise = {
    ...small,
    flashAttention: false,
    experimentalKvCacheKeyType: "F32",
    experimentalKvCacheValueType: "F32"
} as const;

/**
 * True if a token's hidden state is the same bit for bit, decoded alone or with another, in a default context. It depends on the CPU:
 * llama.cpp multiplies batches and single vectors with different kernels, which may sum in another order.
 */
export async function multipliesAlike(model: LlamaModel): Promise<boolean> {
    const context = await model.createContext({...small, ...{_embeddings: true}});
    const {_ctx: native} = context as unknown as {_ctx: AddonContext};
    const decode = async (position: number, tokens: readonly number[]) => {
        native.initBatch(tokens.length);
        native.addToBatch(0, position, Uint32Array.from(tokens), Uint32Array.of(tokens.length - 1));
        await native.decodeBatch();
        return native.getEmbedding(tokens.length);
    };
    let alike = true;
    for (let position = 0; alike && position < 40; position += 2) {
        const pair = [300 + position, 301 + position];
        const together = await decode(position, pair);
        native.removeTokenCellsFromSequence(0, position, -1);
        await decode(position, pair.slice(0, 1));
        const alone = await decode(position + 1, pair.slice(1));
        alike = together.every((value, i) => value === alone[i]);
    }
    await context.dispose();
    return alike;
}

/** Tokens that the sequence generates after `prompt`, an end-of-generation token included. */
export async function generate(
    sequence: LlamaContextSequence,
    prompt: readonly Token[],
    count: number,
    options: SequenceEvaluateOptions = {}
): Promise<number[]> {
    const tokens: number[] = [];
    if (count === 0) return tokens;
    for await (const token of sequence.evaluate([...prompt], {...options, yieldEogToken: true})) {
        tokens.push(token);
        if (tokens.length === count || sequence.model.isEogToken(token)) break;
    }
    return tokens;
}
