import {mkdirSync, renameSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {encodeGguf, type GgufTensor, type GgufType, type GgufValue} from "./gguf.js";
import {type Random, seededRandom} from "./random.js";

export interface TinyModelOptions {
    seed?: number;
    /** Type of the matrices; norms are F32. K-quants need a width that is a multiple of 256. Default "F32". */
    dtype?: GgufType;
    /** Default 64. */
    width?: number;
    /** Default 2. */
    layers?: number;
    /** Default 4. */
    heads?: number;
    /** Fewer than `heads` for grouped-query attention. Default `heads`. */
    kvHeads?: number;
    /** Context length that the model says it was trained for. Default 2048. */
    trainContext?: number;
    /** Spread of the logits: the larger, the fewer candidates within top-p. Default 3: mostly a few, now and then one. */
    sharpness?: number;
    /** More GGUF metadata, or other values of it. */
    metadata?: Readonly<Record<string, GgufValue>>;
    /** More tensors. */
    tensors?: Readonly<Record<string, GgufTensor>>;
}

export const modelFolder = fileURLToPath(new URL("../../.test-models", import.meta.url));

/** llama.h: LLAMA_FTYPE_… */
const fileTypes = {F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q8_0: 7, Q4_K: 15, Q5_K: 17, Q6_K: 18} as const;

export const bos = 1;
export const eos = 2;

/** SentencePiece tokens: control, bytes, single characters, and some pieces so that words are not spelled out. */
const characters = Array.from({length: 94}, (_, i) => String.fromCharCode(33 + i));
const pieces =
    "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as ou io le ve co me de hi ri ro ic the and ing";
const words = ["▁", ...characters, ...pieces.split(" "), "▁t", "▁a", "▁s", "▁the", "▁and"];
const bytes = Array.from({length: 256}, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, "0")}>`);
const vocabulary = ["<unk>", "<s>", "</s>", ...bytes, ...words];
export const vocabularySize = vocabulary.length;
/** The first token that is text of its own rather than control or a byte. */
export const firstWord = 3 + bytes.length;

const template =
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] }}" +
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\n' }}{% endfor %}" +
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}";

/** Writes a Llama model with random weights and a tokenizer. @returns its path; the same options give the same file */
export function writeTinyModel(options: TinyModelOptions = {}): string {
    const {seed = 1, dtype = "F32", width = 64, layers = 2, heads = 4, kvHeads = heads, sharpness = 3} = options;
    const {trainContext = 2048, metadata, tensors} = options;
    const shape = {width, layers, heads, kvHeads, feed: 2 * width};
    const file = encodeGguf(
        {...architecture(shape, trainContext, dtype), ...tokenizer(), ...metadata},
        {...weights(seededRandom(seed), shape, dtype, sharpness), ...tensors}
    );
    const more = [...Object.keys(metadata ?? {}), ...Object.keys(tensors ?? {})];
    // No file's name may be long.
    const named = more
        .join("+")
        .replaceAll(/[^\w.+-]/g, "_")
        .slice(0, 100);
    const extra = more.length === 0 ? "" : `-${named}`;
    const name = `tiny-${dtype}-w${width}-l${layers}-h${heads}.${kvHeads}-c${trainContext}-x${sharpness}-s${seed}${extra}`;
    mkdirSync(modelFolder, {recursive: true});
    const path = join(modelFolder, `${name}.gguf`);
    // Renamed into place: another process may have the file of the same name mapped.
    writeFileSync(`${path}.${process.pid}`, file);
    renameSync(`${path}.${process.pid}`, path);
    return path;
}

interface Shape {
    width: number;
    layers: number;
    heads: number;
    kvHeads: number;
    feed: number;
}

function architecture(shape: Shape, trainContext: number, dtype: GgufType): Record<string, GgufValue> {
    return {
        "general.architecture": {string: "llama"},
        "general.name": {string: "tiny"},
        "general.file_type": {u32: fileTypes[dtype]},
        "llama.vocab_size": {u32: vocabulary.length},
        "llama.context_length": {u32: trainContext},
        "llama.embedding_length": {u32: shape.width},
        "llama.block_count": {u32: shape.layers},
        "llama.feed_forward_length": {u32: shape.feed},
        "llama.attention.head_count": {u32: shape.heads},
        "llama.attention.head_count_kv": {u32: shape.kvHeads},
        "llama.attention.layer_norm_rms_epsilon": {f32: 1e-5},
        "llama.rope.dimension_count": {u32: shape.width / shape.heads},
        "llama.rope.freq_base": {f32: 10_000}
    };
}

/** Metadata of the tokenizer. */
export function tokenizer(): Record<string, GgufValue> {
    const types = {normal: 1, unknown: 2, control: 3, byte: 6};
    const typeOf = (token: number) =>
        token === 0 ? types.unknown : token <= eos ? types.control : token < firstWord ? types.byte : types.normal;
    return {
        "tokenizer.ggml.model": {string: "llama"},
        "tokenizer.ggml.tokens": {strings: vocabulary},
        // Longer pieces first: that is what a score decides.
        "tokenizer.ggml.scores": {f32s: vocabulary.map((text, token) => (token < firstWord ? 0 : text.length - 10))},
        "tokenizer.ggml.token_type": {i32s: vocabulary.map((_, token) => typeOf(token))},
        "tokenizer.ggml.bos_token_id": {u32: bos},
        "tokenizer.ggml.eos_token_id": {u32: eos},
        "tokenizer.ggml.unknown_token_id": {u32: 0},
        "tokenizer.ggml.add_bos_token": {bool: true},
        "tokenizer.ggml.add_space_prefix": {bool: false},
        "tokenizer.chat_template": {string: template}
    };
}

function weights(random: Random, shape: Shape, type: GgufType, sharpness: number): Record<string, GgufTensor> {
    const {width, layers, heads, kvHeads, feed} = shape;
    const normal = (length: number, spread: number) => Float32Array.from({length}, () => random.normal() * spread);
    /** `gain` is the spread of the outputs for inputs of spread 1. */
    const matrix = (inputs: number, outputs: number, gain: number): GgufTensor => ({
        shape: [inputs, outputs],
        type,
        values: normal(inputs * outputs, gain / Math.sqrt(inputs))
    });
    const norm = (): GgufTensor => ({
        shape: [width],
        type: "F32",
        values: normal(width, 0.2).map((value) => 1 + value)
    });

    const tensors: Record<string, GgufTensor> = {
        "token_embd.weight": {shape: [width, vocabulary.length], type, values: normal(width * vocabulary.length, 0.7)},
        "output_norm.weight": norm(),
        "output.weight": matrix(width, vocabulary.length, 1)
    };
    const output = tensors["output.weight"] as GgufTensor;
    // Text should be readable, and end now and then.
    for (let i = 0; i < output.values.length; i++) {
        const token = Math.floor(i / width);
        const gain = token >= firstWord ? sharpness : token === eos ? 0.5 * sharpness : 0.1;
        output.values[i] = (output.values[i] as number) * gain;
    }
    const kvWidth = (width / heads) * kvHeads;
    for (let layer = 0; layer < layers; layer++) {
        Object.assign(tensors, {
            [`blk.${layer}.attn_norm.weight`]: norm(),
            [`blk.${layer}.attn_q.weight`]: matrix(width, width, 1.5),
            [`blk.${layer}.attn_k.weight`]: matrix(width, kvWidth, 1.5),
            [`blk.${layer}.attn_v.weight`]: matrix(width, kvWidth, 1.5),
            [`blk.${layer}.attn_output.weight`]: matrix(width, width, 1),
            [`blk.${layer}.ffn_norm.weight`]: norm(),
            [`blk.${layer}.ffn_gate.weight`]: matrix(width, feed, 1.5),
            [`blk.${layer}.ffn_up.weight`]: matrix(width, feed, 1),
            [`blk.${layer}.ffn_down.weight`]: matrix(feed, width, 1)
        });
    }
    return tensors;
}
