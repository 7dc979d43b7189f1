/** The parts that llama.cpp (src/models/*.cpp) reads of each architecture. */
import {
    type Architecture,
    attention,
    bias,
    experts,
    feed,
    fusedAttention,
    gated,
    headNorms,
    heads,
    headWidth,
    kvWidth,
    layerNorm,
    layerNormEpsilon,
    layers,
    matrix,
    moe,
    norm,
    norms,
    postNorms,
    routed,
    width,
    window,
    windowed
} from "./parts.js";
import {recurrentArchitectures} from "./recurrent.js";

const plainFeed = {
    "ffn_up.weight": matrix(width, feed),
    "ffn_up.bias": bias(feed),
    "ffn_down.weight": matrix(feed, width),
    "ffn_down.bias": bias(width)
};

/** The layer of GPT-2 and GPT-NeoX: fused attention and a plain feed-forward network, all with biases. */
const gptLayer = {
    ...layerNorm("attn_norm"),
    ...layerNorm("ffn_norm"),
    ...fusedAttention(width),
    "attn_qkv.bias": bias(3 * width),
    "attn_output.bias": bias(width),
    ...plainFeed
};

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
            "attention.key_length_mla": {u32: 40},
            "attention.value_length_mla": {u32: headWidth},
            "rope.dimension_count": {u32: 8}
        },
        layer: {
            ...norms,
            "attn_q_a.weight": matrix(width, 32),
            "attn_q_a_norm.weight": norm(32),
            "attn_q_b.weight": matrix(32, heads * 40, 1.5),
            "attn_kv_a_mqa.weight": matrix(width, 40, 1.5),
            "attn_kv_a_norm.weight": norm(32),
            // Rows of a block, or they would be in half precision where the other weights are quantised, and batches rounded otherwise.
            "attn_k_b.weight": {shape: [32, 32, heads], gain: 1.5},
            "attn_v_b.weight": {shape: [32, headWidth, heads], gain: 1.5},
            "attn_output.weight": matrix(heads * headWidth, width),
            ...gated
        }
    },
    llama: {id: "llama", layer: {...norms, ...attention, ...gated}},
    gemma: {id: "gemma", tied: true, layer: {...norms, ...attention, ...gated}},
    granite: {
        id: "granite",
        metadata: {logit_scale: {f32: 1}, residual_scale: {f32: 0.8}},
        layer: {...norms, ...attention, ...gated}
    },
    smollm3: {id: "smollm3", tied: true, layer: {...norms, ...attention, ...gated}},
    "phi3 with two sets of RoPE factors": {
        id: "phi3",
        metadata: {"rope.scaling.original_context_length": {u32: 4096}},
        tensors: {
            "rope_factors_long.weight": {shape: [headWidth / 2], mean: 4, spread: 1},
            "rope_factors_short.weight": {shape: [headWidth / 2], mean: 1, spread: 0.1}
        },
        layer: {
            ...norms,
            ...fusedAttention(kvWidth),
            "ffn_up.weight": matrix(width, 2 * feed),
            "ffn_down.weight": matrix(feed, width)
        }
    },
    "command-r": {
        id: "command-r",
        tied: true,
        metadata: {...layerNormEpsilon, logit_scale: {f32: 1}},
        layer: {"attn_norm.weight": norm(width), ...attention, ...gated}
    },
    stablelm: {
        id: "stablelm",
        metadata: layerNormEpsilon,
        tensors: {"output_norm.bias": bias(width)},
        layer: {...layerNorm("attn_norm"), ...layerNorm("ffn_norm"), ...attention, ...gated}
    },
    starcoder2: {
        id: "starcoder2",
        metadata: layerNormEpsilon,
        tensors: {"output_norm.bias": bias(width)},
        layer: {
            ...layerNorm("attn_norm"),
            ...layerNorm("ffn_norm"),
            ...attention,
            "attn_output.bias": bias(width),
            ...plainFeed
        }
    },
    gptneox: {
        id: "gptneox",
        metadata: {
            ...layerNormEpsilon,
            use_parallel_residual: {bool: true},
            "attention.head_count_kv": {u32: heads}
        },
        tensors: {"output_norm.bias": bias(width)},
        layer: gptLayer
    },
    "gpt2 (positions learnt)": {
        id: "gpt2",
        metadata: {...layerNormEpsilon, "attention.head_count_kv": {u32: heads}},
        tensors: {
            "output_norm.bias": bias(width),
            "position_embd.weight": {shape: [width, 2048], mean: 0, spread: 0.3}
        },
        layer: gptLayer
    },
    ...recurrentArchitectures
};
