import {mkdirSync, renameSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {encodeGguf, type GgufTensor} from "./gguf.js";
import {seededRandom} from "./random.js";
import {modelFolder, tokenizer, vocabularySize} from "./tiny-model.js";

const width = 32;
const heads = 2;
const feed = 64;
const epsilon = 1e-5;

/**
 * A reranker of the Qwen 3 architecture with weights for which anyone can work out the result: queries and keys are zero, so that the attention
 * is the mean over all tokens, values and attention output pass what they get, and the feed-forward network adds nothing.
 */
export interface TinyRanker {
    path: string;
    /** The model's output for these tokens: the probability of the first of its two classes. */
    score(tokens: readonly number[]): number;
}

export function writeTinyRanker(seed = 1): TinyRanker {
    const random = seededRandom(seed);
    const normal = (count: number) => Float32Array.from({length: count}, () => random.normal());
    const embedding = normal(width * vocabularySize);
    const classes = normal(width * 2).map((value) => value / 2);

    const tensor = (shape: readonly number[], values: Float32Array): GgufTensor => ({shape, type: "F32", values});
    const ones = () => tensor([width], new Float32Array(width).fill(1));
    const headOnes = () => tensor([width / heads], new Float32Array(width / heads).fill(1));
    const zeros = (...shape: number[]) => tensor(shape, new Float32Array(shape.reduce((a, b) => a * b)));
    const identity = () =>
        tensor(
            [width, width],
            Float32Array.from({length: width ** 2}, (_, i) => Number(i % (width + 1) === 0))
        );
    const file = encodeGguf(
        {
            "general.architecture": {string: "qwen3"},
            "general.name": {string: "tiny ranker"},
            "qwen3.context_length": {u32: 64},
            "qwen3.embedding_length": {u32: width},
            "qwen3.block_count": {u32: 1},
            "qwen3.feed_forward_length": {u32: feed},
            "qwen3.attention.head_count": {u32: heads},
            "qwen3.attention.head_count_kv": {u32: heads},
            "qwen3.attention.key_length": {u32: width / heads},
            "qwen3.attention.value_length": {u32: width / heads},
            "qwen3.attention.layer_norm_rms_epsilon": {f32: epsilon},
            "qwen3.rope.freq_base": {f32: 10_000},
            "qwen3.classifier.output_labels": {strings: ["yes", "no"]},
            ...tokenizer()
        },
        {
            "token_embd.weight": tensor([width, vocabularySize], embedding),
            "output_norm.weight": ones(),
            "cls.output.weight": tensor([width, 2], classes),
            "blk.0.attn_norm.weight": ones(),
            "blk.0.attn_q.weight": zeros(width, width),
            "blk.0.attn_k.weight": zeros(width, width),
            "blk.0.attn_q_norm.weight": headOnes(),
            "blk.0.attn_k_norm.weight": headOnes(),
            "blk.0.attn_v.weight": identity(),
            "blk.0.attn_output.weight": identity(),
            "blk.0.ffn_norm.weight": ones(),
            "blk.0.ffn_gate.weight": zeros(width, feed),
            "blk.0.ffn_up.weight": zeros(width, feed),
            "blk.0.ffn_down.weight": zeros(feed, width)
        }
    );
    mkdirSync(modelFolder, {recursive: true});
    const path = join(modelFolder, `tiny-ranker-s${seed}.gguf`);
    writeFileSync(`${path}.${process.pid}`, file);
    renameSync(`${path}.${process.pid}`, path);

    const vectorOf = (token: number) => embedding.subarray(token * width, (token + 1) * width);
    const score = (tokens: readonly number[]) => {
        const state = Float64Array.from(vectorOf(tokens.at(-1) as number));
        for (const token of tokens) {
            for (const [i, value] of normalised(vectorOf(token)).entries())
                state[i] = (state[i] as number) + value / tokens.length;
        }
        const output = normalised(state);
        const logit = (row: number) =>
            output.reduce((sum, value, i) => sum + value * (classes[row * width + i] as number), 0);
        return 1 / (1 + Math.exp(logit(1) - logit(0)));
    };
    return {path, score};
}

function normalised(vector: Float32Array | Float64Array): number[] {
    const values = Array.from(vector);
    const mean = values.reduce((sum, value) => sum + value * value, 0) / values.length;
    return values.map((value) => value / Math.sqrt(mean + epsilon));
}
