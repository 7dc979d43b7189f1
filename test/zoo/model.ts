/** Tiny models of many architectures, with random weights and the tokenizer of the other tiny models. */
import {mkdirSync, renameSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {blockSize, encodeGguf, type GgufTensor, type GgufType, type GgufValue} from "../support/gguf.js";
import {testLlama} from "../support/models.js";
import {type Random, seededRandom} from "../support/random.js";
import {firstWord, modelFolder, tokenizer, vocabularySize} from "../support/tiny-model.js";
import {
    type Architecture,
    feed,
    heads,
    headWidth,
    kvHeads,
    type LayerRules,
    layers,
    type TensorRule,
    width
} from "./parts.js";

/** Spread of the logits. */
const sharpness = 3;
/** Spread of embeddings that are the output matrix as well. It is small, or each token would be the likeliest to follow itself. */
const tiedSpread = 0.4;

export async function loadZooModel(architecture: Architecture, dtype: GgufType = "F32"): Promise<LlamaModel> {
    return await (await testLlama()).loadModel({modelPath: writeZooModel(architecture, dtype)});
}

function writeZooModel(architecture: Architecture, dtype: GgufType): string {
    const file = encodeGguf({...metadataOf(architecture), ...tokenizer()}, tensorsOf(architecture, dtype));
    mkdirSync(modelFolder, {recursive: true});
    const path = join(modelFolder, `zoo-${architecture.id}-${dtype}.gguf`);
    writeFileSync(`${path}.${process.pid}`, file);
    renameSync(`${path}.${process.pid}`, path);
    return path;
}

function metadataOf({id, metadata}: Architecture): Record<string, GgufValue> {
    const own: Record<string, GgufValue> = {
        vocab_size: {u32: vocabularySize},
        context_length: {u32: 2048},
        embedding_length: {u32: width},
        block_count: {u32: layers},
        feed_forward_length: {u32: feed},
        "attention.head_count": {u32: heads},
        "attention.head_count_kv": {u32: kvHeads},
        "attention.key_length": {u32: headWidth},
        "attention.value_length": {u32: headWidth},
        "attention.layer_norm_rms_epsilon": {f32: 1e-5},
        "rope.dimension_count": {u32: headWidth},
        "rope.freq_base": {f32: 10_000},
        ...metadata
    };
    const named = Object.entries(own).map(([key, value]) => [`${id}.${key}`, value] as const);
    return {
        "general.architecture": {string: id},
        "general.name": {string: "tiny"},
        ...Object.fromEntries(named)
    };
}

function tensorsOf({tied = false, tensors, layer}: Architecture, dtype: GgufType): Record<string, GgufTensor> {
    const random = seededRandom(7);
    const words = (gain: number): GgufTensor => {
        const tensor = fill(random, {shape: [width, vocabularySize], gain}, dtype);
        // Neither bytes nor an end: texts are to grow long.
        return {...tensor, values: tensor.values.map((value, i) => (i / width < firstWord ? 0.02 * value : value))};
    };
    const all: Record<string, GgufTensor> = {
        "token_embd.weight": tied ? words(tiedSpread) : fill(random, {shape: [width, vocabularySize], gain: 5}, dtype),
        "output_norm.weight": fill(
            random,
            {shape: [width], mean: tied ? sharpness / tiedSpread : 1, spread: 0.2},
            dtype
        )
    };
    if (!tied) all["output.weight"] = words(sharpness);
    for (const [name, rule] of Object.entries(tensors ?? {})) all[name] = fill(random, rule, dtype);
    for (let i = 0; i < layers; i++) {
        const rules = Array.isArray(layer) ? (layer[i] as LayerRules) : (layer as LayerRules);
        for (const [name, rule] of Object.entries(rules)) all[`blk.${i}.${name}`] = fill(random, rule, dtype);
    }
    return all;
}

function fill(random: Random, rule: TensorRule, dtype: GgufType): GgufTensor {
    const {shape} = rule;
    const length = shape.reduce((product, size) => product * size);
    const {mean, spread} = "gain" in rule ? {mean: 0, spread: rule.gain / Math.sqrt(shape[0] as number)} : rule;
    // llama.cpp has biases and norms in single precision only.
    // Blocks do not reach from one row into the next. llama.cpp's own quantiser keeps such matrices in half precision, too.
    const fits = dtype === "F32" || dtype === "F16" || (shape[0] as number) % blockSize === 0;
    const type = "gain" in rule ? (fits ? dtype : "F16") : "F32";
    return {shape, type, values: Float32Array.from({length}, () => mean + random.normal() * spread)};
}
