/** Tiny models whose vocabularies differ from that of the other tiny models. */
import type {LlamaModel} from "node-llama-cpp";
import type {GgufTensor, GgufValue} from "./gguf.js";
import {loadTinyModel} from "./models.js";
import {seededRandom} from "./random.js";
import {firstWord, tokenizer, vocabularySize} from "./tiny-model.js";

const width = 64;

function rows(count: number, seed: number, spread: number): GgufTensor {
    const {normal} = seededRandom(seed);
    return {
        shape: [width, count],
        type: "F32",
        values: Float32Array.from({length: count * width}, () => normal() * spread)
    };
}

function permuted({shape, type, values}: GgufTensor, order: readonly number[]): GgufTensor {
    const moved = Float32Array.from(values);
    for (const [to, from] of order.entries()) moved.set(values.subarray(from * width, (from + 1) * width), to * width);
    return {shape, type, values: moved};
}

/** A model, and the same with its words in another order: token i of the second is token `order[i]` of the first. */
export async function loadReordered(): Promise<{model: LlamaModel; reordered: LlamaModel; order: number[]}> {
    const order = Array.from({length: vocabularySize}, (_, i) => i);
    const {normal} = seededRandom(31);
    const keys = new Map(order.map((token) => [token, token < firstWord ? token : firstWord + Math.abs(normal())]));
    order.sort((a, b) => (keys.get(a) as number) - (keys.get(b) as number));
    const tensors = {"token_embd.weight": rows(vocabularySize, 7, 0.7), "output.weight": rows(vocabularySize, 8, 0.25)};
    const own = tokenizer();
    const arrange = <T>(values: readonly T[]) => order.map((from) => values[from] as T);
    const {strings} = own["tokenizer.ggml.tokens"] as {strings: string[]};
    const {f32s} = own["tokenizer.ggml.scores"] as {f32s: number[]};
    const metadata = {
        "tokenizer.ggml.tokens": {strings: arrange(strings)},
        "tokenizer.ggml.scores": {f32s: arrange(f32s)}
    };
    const moved = {
        "token_embd.weight": permuted(tensors["token_embd.weight"], order),
        "output.weight": permuted(tensors["output.weight"], order)
    };
    return {
        model: await loadTinyModel({seed: 41, tensors}),
        reordered: await loadTinyModel({seed: 41, tensors: moved, metadata}),
        order
    };
}

/** GPT-2's characters for bytes, in the order of the bytes. */
const byteCharacters: string[] = [];
for (let byte = 0, hidden = 0x100; byte < 0x100; byte++) {
    const isPrinted = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    byteCharacters.push(String.fromCharCode(isPrinted ? byte : hidden++));
}

/** More tokens of the byte-level model, as GPT-2 writes them. */
const pairs = ["th", "he", "Ġt"];
const pairMerges = ["t h", "h e", "Ġ t"];
/** Its tokens by their text: every byte, and some pairs. The end of texts comes last. */
export const byteLevelEnd = 256 + pairs.length;
export const byteLevelPairs: Readonly<Record<string, number>> = {th: 256, he: 257, " t": 258};

/** A model with a byte-level tokenizer. `bytes`: only this many of the bytes have tokens. */
export async function loadByteLevelModel({bytes = 256, seed = 51} = {}): Promise<LlamaModel> {
    const tokens = [
        ...byteCharacters.map((character, byte) => (byte < bytes ? character : `[${byte}]`)),
        ...pairs,
        "<|end|>"
    ];
    const types = tokens.map((_, token) => (token === byteLevelEnd ? 3 : token >= bytes && token < 256 ? 5 : 1));
    const metadata: Record<string, GgufValue> = {
        "llama.vocab_size": {u32: tokens.length},
        "tokenizer.ggml.model": {string: "gpt2"},
        "tokenizer.ggml.pre": {string: "gpt-2"},
        "tokenizer.ggml.tokens": {strings: tokens},
        "tokenizer.ggml.scores": {f32s: tokens.map(() => 0)},
        "tokenizer.ggml.token_type": {i32s: types},
        "tokenizer.ggml.merges": {strings: pairMerges},
        "tokenizer.ggml.bos_token_id": {u32: byteLevelEnd},
        "tokenizer.ggml.eos_token_id": {u32: byteLevelEnd},
        "tokenizer.ggml.unknown_token_id": {u32: byteLevelEnd},
        "tokenizer.ggml.add_bos_token": {bool: false}
    };
    const tensors = {"token_embd.weight": rows(tokens.length, 9, 0.7), "output.weight": rows(tokens.length, 10, 0.25)};
    return await loadTinyModel({seed: seed + bytes, metadata, tensors});
}
