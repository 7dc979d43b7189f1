/** Parts that architectures are made of: metadata, and tensors by the spread of their values. */
import type {GgufValue} from "../support/gguf.js";

export const width = 64;
export const layers = 2;
export const heads = 4;
export const kvHeads = 2;
export const headWidth = 16;
export const feed = 96;
export const experts = 4;

/** `gain`: spread of a matrix's outputs for inputs of spread 1. `mean` and `spread`: of values as they are. */
export type TensorRule = {shape: readonly number[]} & ({gain: number} | {mean: number; spread: number});

export type LayerRules = Readonly<Record<string, TensorRule>>;

export interface Architecture {
    /** `general.architecture`. */
    readonly id: string;
    /** Tokens that a layer with a sliding window attends to. */
    readonly window?: number;
    /** Keys behind the architecture's name and a dot. */
    readonly metadata?: Readonly<Record<string, GgufValue>>;
    /** Output matrix: the embedding's where there is none of its own. Default false. */
    readonly tied?: boolean;
    /** Tensors outside the layers, beside the embedding, the output and its norm. */
    readonly tensors?: Readonly<Record<string, TensorRule>>;
    /** Tensors of each layer, without `blk.N.`; one record for all of them, or one for each. */
    readonly layer: LayerRules | readonly LayerRules[];
    /** Its layers, or some of them, are recurrent. */
    readonly recurrent?: boolean;
}

export const matrix = (inputs: number, outputs: number, gain = 1): TensorRule => ({shape: [inputs, outputs], gain});
export const norm = (size: number): TensorRule => ({shape: [size], mean: 1, spread: 0.2});
export const bias = (...shape: number[]): TensorRule => ({shape, mean: 0, spread: 0.1});
export const kvWidth = kvHeads * headWidth;

export const attention = {
    "attn_q.weight": matrix(width, width, 1.5),
    "attn_k.weight": matrix(width, kvWidth, 1.5),
    "attn_v.weight": matrix(width, kvWidth, 1.5),
    "attn_output.weight": matrix(width, width)
};
export const fusedAttention = (keys: number) => ({
    "attn_qkv.weight": matrix(width, width + 2 * keys, 1.5),
    "attn_output.weight": matrix(width, width)
});
export const headNorms = {"attn_q_norm.weight": norm(headWidth), "attn_k_norm.weight": norm(headWidth)};
export const gated = {
    "ffn_gate.weight": matrix(width, feed, 1.5),
    "ffn_up.weight": matrix(width, feed),
    "ffn_down.weight": matrix(feed, width)
};
const expert = (inputs: number, outputs: number): TensorRule => ({shape: [inputs, outputs, experts], gain: 1.5});
export const routed = {
    "ffn_gate_inp.weight": matrix(width, experts, 2),
    "ffn_gate_exps.weight": expert(width, feed),
    "ffn_up_exps.weight": expert(width, feed),
    "ffn_down_exps.weight": expert(feed, width)
};
export const layerNorm = (name: string) => ({[`${name}.weight`]: norm(width), [`${name}.bias`]: bias(width)});
export const norms = {"attn_norm.weight": norm(width), "ffn_norm.weight": norm(width)};
export const postNorms = {"post_attention_norm.weight": norm(width), "post_ffw_norm.weight": norm(width)};
export const moe: Record<string, GgufValue> = {
    expert_count: {u32: experts},
    expert_used_count: {u32: 2},
    expert_feed_forward_length: {u32: feed}
};
/** A layer with a window, then one without. */
export const windowed = (window: number): Record<string, GgufValue> => ({
    "attention.sliding_window": {u32: window},
    "attention.sliding_window_pattern": {u32: 2}
});
export const layerNormEpsilon: Record<string, GgufValue> = {"attention.layer_norm_epsilon": {f32: 1e-5}};
export const window = 16;
/** Values of single precision, whatever the model's type. */
export const values = (mean: number, spread: number, ...shape: number[]): TensorRule => ({shape, mean, spread});
