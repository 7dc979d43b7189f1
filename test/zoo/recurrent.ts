/** Recurrent architectures, and hybrid ones: a recurrent layer, then one with attention. */
import type {GgufValue} from "../support/gguf.js";
import {
    type Architecture,
    attention,
    bias,
    experts,
    feed,
    gated,
    headNorms,
    heads,
    headWidth,
    kvHeads,
    kvWidth,
    layerNormEpsilon,
    matrix,
    moe,
    norm,
    norms,
    routed,
    values,
    width
} from "./parts.js";
import {rwkvArchitectures} from "./rwkv.js";

const inner = 2 * width;
const convolution = 4;
const stateSize = 16;
/** Heads of Mamba 2; the rank of time steps in Mamba 1. */
const steps = 8;
const groups = 1;
const convolved = inner + 2 * groups * stateSize;

const ssm: Record<string, GgufValue> = {
    "ssm.conv_kernel": {u32: convolution},
    "ssm.inner_size": {u32: inner},
    "ssm.state_size": {u32: stateSize},
    "ssm.time_step_rank": {u32: steps}
};
const ssm2: Record<string, GgufValue> = {...ssm, "ssm.group_count": {u32: groups}};

const mamba = {
    "ssm_in.weight": matrix(width, 2 * inner),
    "ssm_conv1d.weight": values(0, 0.6, convolution, inner),
    "ssm_conv1d.bias": bias(inner),
    "ssm_x.weight": matrix(inner, steps + 2 * stateSize, 2),
    "ssm_dt.weight": values(0, 0.3, steps, inner),
    "ssm_dt.bias": bias(inner),
    ssm_a: values(-1, 0.2, stateSize, inner),
    ssm_d: values(1, 0.2, inner),
    "ssm_out.weight": matrix(inner, width, 2)
};
const mamba2 = {
    "ssm_in.weight": matrix(width, inner + convolved + steps),
    "ssm_conv1d.weight": values(0, 0.6, convolution, convolved),
    "ssm_conv1d.bias": bias(convolved),
    "ssm_dt.bias": bias(steps),
    ssm_a: values(-0.5, 0.1, 1, steps),
    ssm_d: values(1, 0.2, 1, steps),
    "ssm_norm.weight": values(1, 0.2, inner / groups, groups),
    "ssm_out.weight": matrix(inner, width)
};
const noHeadsFirst: Record<string, GgufValue> = {"attention.head_count_kv": {i32s: [0, kvHeads]}};

/** Gated delta nets (Qwen): key heads, and twice as many value heads. */
const deltaKeys = 2 * stateSize;
const deltaValues = 4 * stateSize;
const delta: Record<string, GgufValue> = {
    "ssm.conv_kernel": {u32: convolution},
    "ssm.inner_size": {u32: deltaValues},
    "ssm.state_size": {u32: stateSize},
    "ssm.time_step_rank": {u32: 4},
    "ssm.group_count": {u32: 2},
    full_attention_interval: {u32: 2}
};
const deltaNet = {
    "attn_qkv.weight": matrix(width, 2 * deltaKeys + deltaValues),
    "attn_gate.weight": matrix(width, deltaValues),
    "ssm_conv1d.weight": values(0, 0.6, convolution, 2 * deltaKeys + deltaValues),
    "ssm_dt.bias": bias(4),
    ssm_a: values(-0.3, 0.05, 4),
    "ssm_norm.weight": norm(stateSize),
    "ssm_out.weight": matrix(deltaValues, width)
};
const alphaAndBeta = {"ssm_beta.weight": matrix(width, 4), "ssm_alpha.weight": matrix(width, 4)};
const gatedAttention = {
    "attn_q.weight": matrix(width, 2 * width, 1.5),
    "attn_k.weight": matrix(width, kvWidth, 1.5),
    "attn_v.weight": matrix(width, kvWidth, 1.5),
    "attn_output.weight": matrix(width, width),
    ...headNorms
};
const qwenNorms = {"attn_norm.weight": norm(width), "post_attention_norm.weight": norm(width)};
const sharedExpert = {
    "ffn_gate_shexp.weight": matrix(width, feed, 1.5),
    "ffn_up_shexp.weight": matrix(width, feed),
    "ffn_down_shexp.weight": matrix(feed, width)
};
const qwenExperts = {...routed, "ffn_gate_inp_shexp.weight": values(0, 0.2, width), ...sharedExpert};
const sections: Record<string, GgufValue> = {"rope.dimension_sections": {i32s: [4, 2, 2, 0]}};

/** Kimi's delta attention. Its layers have no key heads, and MLA is the attention of the others. */
const kdaWidth = heads * headWidth;
const latent = 32;
const rotated = 8;
const kda: Record<string, GgufValue> = {
    "kda.head_dim": {u32: headWidth},
    "ssm.conv_kernel": {u32: convolution},
    "attention.head_count_kv": {i32s: [0, 1]},
    "attention.kv_lora_rank": {u32: latent},
    "attention.key_length": {u32: latent + rotated},
    "attention.value_length": {u32: latent},
    "attention.key_length_mla": {u32: headWidth + rotated},
    "attention.value_length_mla": {u32: headWidth},
    "rope.dimension_count": {u32: rotated},
    ...moe,
    expert_shared_count: {u32: 1},
    expert_gating_func: {u32: 2},
    leading_dense_block_count: {u32: 1}
};
const kdaLayer = {
    "ssm_conv1d_q.weight": values(0, 0.6, convolution, 1, kdaWidth, 1),
    "ssm_conv1d_k.weight": values(0, 0.6, convolution, 1, kdaWidth, 1),
    "ssm_conv1d_v.weight": values(0, 0.6, convolution, 1, kdaWidth, 1),
    "attn_q.weight": matrix(width, kdaWidth, 1.5),
    "attn_k.weight": matrix(width, kdaWidth, 1.5),
    "attn_v.weight": matrix(width, kdaWidth, 1.5),
    "ssm_beta.weight": matrix(width, heads),
    ssm_a: values(-0.3, 0.05, 1, heads),
    "ssm_dt.bias": bias(kdaWidth),
    "ssm_norm.weight": norm(headWidth),
    "attn_output.weight": matrix(kdaWidth, width)
};
const mla = {
    "attn_q.weight": matrix(width, heads * (headWidth + rotated), 1.5),
    "attn_kv_a_mqa.weight": matrix(width, latent + rotated, 1.5),
    "attn_kv_a_norm.weight": norm(latent),
    "attn_k_b.weight": values(0, 0.35, headWidth, latent, heads),
    "attn_v_b.weight": values(0, 0.25, latent, headWidth, heads),
    "attn_output.weight": matrix(heads * headWidth, width)
};
const biasedExperts = {...routed, "exp_probs_b.bias": bias(experts), ...sharedExpert};

const all: Readonly<Record<string, Architecture>> = {
    mamba: {id: "mamba", metadata: ssm, layer: {"attn_norm.weight": norm(width), ...mamba}},
    mamba2: {id: "mamba2", metadata: ssm2, layer: {"attn_norm.weight": norm(width), ...mamba2}},
    jamba: {
        id: "jamba",
        metadata: {...ssm, ...noHeadsFirst},
        layer: [
            {
                ...norms,
                ...mamba,
                "ssm_dt_norm.weight": norm(steps),
                "ssm_b_norm.weight": norm(stateSize),
                "ssm_c_norm.weight": norm(stateSize),
                ...gated
            },
            {...norms, ...attention, ...gated}
        ]
    },
    granitehybrid: {
        id: "granitehybrid",
        metadata: {...ssm2, ...noHeadsFirst, logit_scale: {f32: 1}},
        layer: [
            {...norms, ...mamba2, ...gated},
            {...norms, ...attention, ...gated}
        ]
    },
    "falcon-h1 (both in each layer)": {
        id: "falcon-h1",
        metadata: ssm2,
        layer: {"attn_norm.weight": norm(width), ffn_norm: norm(width), ...mamba2, ...attention, ...gated}
    },
    nemotron_h: {
        id: "nemotron_h",
        metadata: {
            ...ssm2,
            ...layerNormEpsilon,
            "attention.head_count_kv": {i32s: [0, kvHeads]},
            feed_forward_length: {i32s: [0, 0]}
        },
        layer: [
            {"attn_norm.weight": norm(width), ...mamba2},
            {"attn_norm.weight": norm(width), ...attention}
        ]
    },
    qwen3next: {
        id: "qwen3next",
        metadata: {...delta, ...moe},
        layer: [
            {...qwenNorms, ...deltaNet, "ssm_ba.weight": matrix(width, 8), ...qwenExperts},
            {...qwenNorms, ...gatedAttention, ...qwenExperts}
        ]
    },
    qwen35: {
        id: "qwen35",
        metadata: {...delta, ...sections},
        layer: [
            {...qwenNorms, ...deltaNet, ...alphaAndBeta, ...gated},
            {...qwenNorms, ...gatedAttention, ...gated}
        ]
    },
    qwen35moe: {
        id: "qwen35moe",
        metadata: {...delta, ...sections, ...moe},
        layer: [
            {...qwenNorms, ...deltaNet, ...alphaAndBeta, ...qwenExperts},
            {...qwenNorms, ...gatedAttention, ...qwenExperts}
        ]
    },
    "kimi-linear (KDA, MLA)": {
        id: "kimi-linear",
        metadata: kda,
        layer: [
            {
                ...norms,
                ...kdaLayer,
                "ssm_f_a.weight": matrix(width, headWidth),
                "ssm_f_b.weight": values(0, 0.25, headWidth, kdaWidth),
                "ssm_g_a.weight": matrix(width, headWidth),
                "ssm_g_b.weight": values(0, 0.25, headWidth, kdaWidth),
                ...gated
            },
            {...norms, ...mla, ...biasedExperts}
        ]
    },
    "bailingmoe3 (KDA, MLA)": {
        id: "bailingmoe3",
        metadata: {...kda, "kda.gate_lower_bound": {f32: -5}},
        layer: [
            {
                ...norms,
                ...kdaLayer,
                "ssm_f_a.weight": matrix(width, kdaWidth),
                "ssm_g_a.weight": matrix(width, kdaWidth),
                ...gated
            },
            {...norms, ...mla, "attn_gate.weight": matrix(width, heads), ...biasedExperts}
        ]
    },
    "minimax-01 (lightning attention)": {
        id: "minimax-01",
        metadata: {...moe, residual_scale: {f32: 1}, full_attention_interval: {u32: 2}},
        layer: [
            {
                ...norms,
                "attn_norm_2.weight": norm(width),
                "attn_qkv.weight": matrix(width, 3 * width),
                "attn_gate.weight": matrix(width, width),
                "attn_output.weight": matrix(width, width),
                ...routed
            },
            {...norms, ...attention, ...routed}
        ]
    },
    ...rwkvArchitectures
};

export const recurrentArchitectures: Readonly<Record<string, Architecture>> = Object.fromEntries(
    Object.entries(all).map(([name, architecture]) => [name, {...architecture, recurrent: true}])
);
