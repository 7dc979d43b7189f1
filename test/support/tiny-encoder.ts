import {mkdirSync, renameSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {encodeGguf, type GgufTensor} from "./gguf.js";
import {seededRandom} from "./random.js";
import {modelFolder} from "./tiny-model.js";

const width = 32;
const heads = 2;
const feed = 64;
const epsilon = 1e-5;
const positions = 64;
const letters = [..."abcdefghijklmnopqrstuvwxyz"];
const vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ...letters.map((letter) => `▁${letter}`), "▁.", "▁,"];

/**
 * A reranker of the BERT architecture for which anyone can work out the result: queries and keys are zero, so that the attention is the mean over
 * all tokens, values and attention output pass what they get, and the feed-forward network adds nothing. Its words are single letters.
 * @returns the file's path, and what the model gives for tokens: the probability of its one class, by a dense layer on the first token's state
 */
export function writeTinyEncoder(seed = 1): {path: string; score(tokens: readonly number[]): number} {
    const random = seededRandom(seed);
    const normal = (count: number, spread = 1) => Float32Array.from({length: count}, () => random.normal() * spread);
    const embedding = normal(width * vocabulary.length);
    const position = normal(width * positions, 0.3);
    const type = normal(width * 2, 0.3);
    const dense = normal(width * width, 1 / Math.sqrt(width));
    const denseBias = normal(width, 0.1);
    const output = normal(width, 0.5);

    const tensor = (shape: readonly number[], values: Float32Array): GgufTensor => ({shape, type: "F32", values});
    const zeros = (...shape: number[]) => tensor(shape, new Float32Array(shape.reduce((a, b) => a * b)));
    const identity = () =>
        tensor(
            [width, width],
            Float32Array.from({length: width ** 2}, (_, i) => Number(i % (width + 1) === 0))
        );
    const norm = (name: string) => ({
        [`${name}.weight`]: tensor([width], new Float32Array(width).fill(1)),
        [`${name}.bias`]: zeros(width)
    });
    const linear = (name: string, weight: GgufTensor) => ({
        [`${name}.weight`]: weight,
        [`${name}.bias`]: zeros(weight.shape[1] as number)
    });
    const file = encodeGguf(
        {
            "general.architecture": {string: "bert"},
            "general.name": {string: "tiny encoder"},
            "bert.context_length": {u32: positions},
            "bert.embedding_length": {u32: width},
            "bert.block_count": {u32: 1},
            "bert.feed_forward_length": {u32: feed},
            "bert.attention.head_count": {u32: heads},
            "bert.attention.layer_norm_epsilon": {f32: epsilon},
            "bert.attention.causal": {bool: false},
            "bert.pooling_type": {u32: 4},
            "bert.classifier.output_labels": {strings: ["relevant"]},
            "tokenizer.ggml.model": {string: "bert"},
            "tokenizer.ggml.pre": {string: "jina-v2-en"},
            "tokenizer.ggml.tokens": {strings: vocabulary},
            "tokenizer.ggml.token_type": {i32s: vocabulary.map((_, token) => (token < 5 ? 3 : 1))},
            "tokenizer.ggml.token_type_count": {u32: 2},
            "tokenizer.ggml.padding_token_id": {u32: 0},
            "tokenizer.ggml.unknown_token_id": {u32: 1},
            "tokenizer.ggml.cls_token_id": {u32: 2},
            "tokenizer.ggml.bos_token_id": {u32: 2},
            "tokenizer.ggml.seperator_token_id": {u32: 3},
            "tokenizer.ggml.eos_token_id": {u32: 3},
            "tokenizer.ggml.mask_token_id": {u32: 4}
        },
        {
            "token_embd.weight": tensor([width, vocabulary.length], embedding),
            "token_types.weight": tensor([width, 2], type),
            "position_embd.weight": tensor([width, positions], position),
            ...norm("token_embd_norm"),
            ...linear("blk.0.attn_q", zeros(width, width)),
            ...linear("blk.0.attn_k", zeros(width, width)),
            ...linear("blk.0.attn_v", identity()),
            ...linear("blk.0.attn_output", identity()),
            ...norm("blk.0.attn_output_norm"),
            ...linear("blk.0.ffn_up", zeros(width, feed)),
            ...linear("blk.0.ffn_down", zeros(feed, width)),
            ...norm("blk.0.layer_output_norm"),
            "cls.weight": tensor([width, width], dense),
            "cls.bias": tensor([width], denseBias),
            "cls.output.weight": tensor([width, 1], output),
            "cls.output.bias": zeros(1)
        }
    );
    mkdirSync(modelFolder, {recursive: true});
    const path = join(modelFolder, `tiny-encoder-s${seed}.gguf`);
    writeFileSync(`${path}.${process.pid}`, file);
    renameSync(`${path}.${process.pid}`, path);

    const row = (matrix: Float32Array, index: number) => [...matrix.subarray(index * width, (index + 1) * width)];
    const score = (tokens: readonly number[]) => {
        const inputs = tokens.map((token, place) =>
            normalised(sum(sum(row(embedding, token), row(type, 0)), row(position, place)))
        );
        const mean = inputs.reduce(sum).map((value) => value / tokens.length);
        const state = normalised(normalised(sum(mean, inputs[0] as number[])));
        const hidden = Array.from(denseBias, (bias, i) => Math.tanh(bias + dot(row(dense, i), state)));
        return 1 / (1 + Math.exp(-dot(hidden, [...output])));
    };
    return {path, score};
}

const sum = (a: readonly number[], b: readonly number[]) => a.map((value, i) => value + (b[i] as number));
const dot = (a: readonly number[], b: readonly number[]) =>
    a.reduce((total, value, i) => total + value * (b[i] as number), 0);

function normalised(values: readonly number[]): number[] {
    const mean = values.reduce((total, value) => total + value) / values.length;
    const variance = values.reduce((total, value) => total + (value - mean) ** 2, 0) / values.length;
    return values.map((value) => (value - mean) / Math.sqrt(variance + epsilon));
}
