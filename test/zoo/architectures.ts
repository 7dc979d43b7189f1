/** The parts that llama.cpp (src/models/*.cpp) reads of each architecture: metadata, and tensors by the spread of their values. */
import type {GgufValue} from "../support/gguf.js";

export const width = 64;
export const layers = 2;
export const heads = 4;
export const kvHeads = 2;
export const headWidth = 16;
export const feed = 96;
const experts = 4;

/** `gain`: spread of a matrix's outputs for inputs of spread 1. `mean` and `spread`: of values as they are. */
export type TensorRule = {shape: readonly number[]} & ({gain: number} | {mean: number; spread: number});

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
    /** Tensors of each layer, without `blk.N.`. */
    readonly layer: Readonly<Record<string, TensorRule>>;
}

const matrix = (inputs: number, outputs: number, gain = 1): TensorRule => ({shape: [inputs, outputs], gain});
const norm = (size: number): TensorRule => ({shape: [size], mean: 1, spread: 0.2});
const bias = (...shape: number[]): TensorRule => ({shape, mean: 0, spread: 0.1});
const kvWidth = kvHeads * headWidth;

const attention = {
    "attn_q.weight": matrix(width, width, 1.5),
    "attn_k.weight": matrix(width, kvWidth, 1.5),
    "attn_v.weight": matrix(width, kvWidth, 1.5),
    "attn_output.weight": matrix(width, width)
};
const fusedAttention = (keys: number) => ({
    "attn_qkv.weight": matrix(width, width + 2 * keys, 1.5),
    "attn_output.weight": matrix(width, width)
});
const headNorms = {"attn_q_norm.weight": norm(headWidth), "attn_k_norm.weight": norm(headWidth)};
const gated = {
    "ffn_gate.weight": matrix(width, feed, 1.5),
    "ffn_up.weight": matrix(width, feed),
    "ffn_down.weight": matrix(feed, width)
};
const expert = (inputs: number, outputs: number): TensorRule => ({shape: [inputs, outputs, experts], gain: 1.5});
const routed = {
    "ffn_gate_inp.weight": matrix(width, experts, 2),
    "ffn_gate_exps.weight": expert(width, feed),
    "ffn_up_exps.weight": expert(width, feed),
    "ffn_down_exps.weight": expert(feed, width)
};
const layerNorm = (name: string) => ({[`${name}.weight`]: norm(width), [`${name}.bias`]: bias(width)});
const norms = {"attn_norm.weight": norm(width), "ffn_norm.weight": norm(width)};
const postNorms = {"post_attention_norm.weight": norm(width), "post_ffw_norm.weight": norm(width)};
const moe: Record<string, GgufValue> = {
    expert_count: {u32: experts},
    expert_used_count: {u32: 2},
    expert_feed_forward_length: {u32: feed}
};
/** A layer with a window, then one without. */
const windowed = (window: number): Record<string, GgufValue> => ({
    "attention.sliding_window": {u32: window},
    "attention.sliding_window_pattern": {u32: 2}
});
const layerNormEpsilon: Record<string, GgufValue> = {"attention.layer_norm_epsilon": {f32: 1e-5}};
const window = 16;

export const architectures: Readonly<Record<string, Architecture>> = {
    gemma2: {
        id: "gemma2",
        window,
        tied: true,
        metadata: {...windowed(window), attn_logit_softcapping: {f32: 50}, final_logit_softcapping: {f32: 30}},
        layer: {...norms, ...attention, ...gated, ...postNorms}
    },
    gemma3: {
        id: "gemma3",
        window,
        tied: true,
        metadata: windowed(window),
        layer: {...norms, ...attention, ...headNorms, ...gated, ...postNorms}
    },
    "gpt-oss": {
        id: "gpt-oss",
        window,
        metadata: {...windowed(window), ...moe},
        layer: {
            "attn_norm.weight": norm(width),
            "post_attention_norm.weight": norm(width),
            ...attention,
            "attn_output.bias": bias(width),
            "attn_sinks.weight": bias(heads),
            ...routed,
            "ffn_gate_inp.bias": bias(experts),
            "ffn_gate_exps.bias": bias(feed, experts),
            "ffn_up_exps.bias": bias(feed, experts),
            "ffn_down_exps.bias": bias(width, experts)
        }
    },
    cohere2: {
        id: "cohere2",
        window,
        tied: true,
        metadata: {...windowed(window), ...layerNormEpsilon, logit_scale: {f32: 1}},
        layer: {"attn_norm.weight": norm(width), ...attention, ...gated}
    },
    "olmo2 with a window": {
        id: "olmo2",
        window,
        metadata: windowed(window),
        layer: {
            ...attention,
            "attn_q_norm.weight": norm(width),
            "attn_k_norm.weight": norm(kvWidth),
            ...gated,
            ...postNorms
        }
    },
    "llama with a key that llama.cpp ignores": {
        id: "llama",
        metadata: {"attention.sliding_window": {u32: window}},
        layer: {...norms, ...attention, ...gated}
    },
    qwen2: {
        id: "qwen2",
        layer: {
            ...norms,
            ...attention,
            "attn_q.bias": bias(width),
            "attn_k.bias": bias(kvWidth),
            "attn_v.bias": bias(kvWidth),
            ...gated
        }
    },
    qwen3: {id: "qwen3", tied: true, layer: {...norms, ...attention, ...headNorms, ...gated}},
    qwen3moe: {id: "qwen3moe", metadata: moe, layer: {...norms, ...attention, ...headNorms, ...routed}},
    phi3: {
        id: "phi3",
        metadata: {"attention.sliding_window": {u32: window}},
        layer: {
            ...norms,
            ...fusedAttention(kvWidth),
            "ffn_up.weight": matrix(width, 2 * feed),
            "ffn_down.weight": matrix(feed, width)
        }
    },
    falcon: {
        id: "falcon",
        metadata: layerNormEpsilon,
        tensors: {"output_norm.bias": bias(width)},
        layer: {
            ...layerNorm("attn_norm"),
            ...fusedAttention(kvWidth),
            "ffn_up.weight": matrix(width, feed),
            "ffn_down.weight": matrix(feed, width)
        }
    },
    "bloom (ALiBi)": {
        id: "bloom",
        metadata: {...layerNormEpsilon, "attention.head_count_kv": {u32: heads}},
        tensors: {"output_norm.bias": bias(width), ...layerNorm("token_embd_norm")},
        layer: {
            ...layerNorm("attn_norm"),
            ...layerNorm("ffn_norm"),
            ...fusedAttention(width),
            "attn_qkv.bias": bias(3 * width),
            "attn_output.bias": bias(width),
            "ffn_up.weight": matrix(width, feed),
            "ffn_up.bias": bias(feed),
            "ffn_down.weight": matrix(feed, width),
            "ffn_down.bias": bias(width)
        }
    },
    "deepseek2 (MLA)": {
        id: "deepseek2",
        metadata: {
            leading_dense_block_count: {u32: layers},
            ...moe,
            expert_shared_count: {u32: 1},
            "attention.head_count_kv": {u32: 1},
            "attention.q_lora_rank": {u32: 32},
            "attention.kv_lora_rank": {u32: 32},
            "attention.key_length": {u32: 40},
            "attention.value_length": {u32: 32},
            "attention.key_length_mla": {u32: 24},
            "attention.value_length_mla": {u32: headWidth},
            "rope.dimension_count": {u32: 8}
        },
        layer: {
            ...norms,
            "attn_q_a.weight": matrix(width, 32),
            "attn_q_a_norm.weight": norm(32),
            "attn_q_b.weight": matrix(32, heads * 24, 1.5),
            "attn_kv_a_mqa.weight": matrix(width, 40, 1.5),
            "attn_kv_a_norm.weight": norm(32),
            "attn_k_b.weight": {shape: [16, 32, heads], gain: 1.5},
            "attn_v_b.weight": {shape: [32, headWidth, heads], gain: 1.5},
            "attn_output.weight": matrix(heads * headWidth, width),
            ...gated
        }
    }
};
