/** RWKV, which is recurrent throughout. */
import type {GgufValue} from "../support/gguf.js";
import {
    type Architecture,
    bias,
    feed,
    gated,
    layerNorm,
    layerNormEpsilon,
    matrix,
    norms,
    values,
    width
} from "./parts.js";

/** RWKV: the width of the matrices by which a token changes decays, rates and gates. */
const low = 8;
/** llama.cpp's kernels for x86 read this many values of a head at once. */
const rwkvHead = 64;
const rwkv: Record<string, GgufValue> = {
    ...layerNormEpsilon,
    "wkv.head_size": {u32: rwkvHead},
    "attention.head_count": {u32: 0},
    "attention.head_count_kv": {u32: 0}
};
const rwkv6: Record<string, GgufValue> = {...rwkv, time_mix_extra_dim: {u32: low}, time_decay_extra_dim: {u32: low}};
const rwkv6Time = {
    "time_mix_w1.weight": matrix(width, 5 * low),
    "time_mix_w2.weight": values(0, 0.2, low, width, 5),
    "time_mix_lerp_x.weight": values(0.5, 0.2, width, 1, 1),
    "time_mix_lerp_fused.weight": values(0.5, 0.2, width, 1, 1, 5),
    "time_mix_first.weight": values(0, 0.5, rwkvHead, width / rwkvHead),
    "time_mix_decay.weight": values(-1, 0.5, width),
    "time_mix_decay_w1.weight": matrix(width, low),
    "time_mix_decay_w2.weight": values(0, 0.3, low, width),
    "time_mix_key.weight": matrix(width, width),
    "time_mix_value.weight": matrix(width, width),
    "time_mix_receptance.weight": matrix(width, width),
    "time_mix_gate.weight": matrix(width, width),
    "time_mix_output.weight": matrix(width, width)
};
const {"time_mix_first.weight": _, ...withoutFirst} = rwkv6Time;
const timeNorm = layerNorm("time_mix_ln");
const channelMix = {
    "channel_mix_lerp_k.weight": values(0.5, 0.2, width, 1, 1),
    "channel_mix_key.weight": matrix(width, feed),
    "channel_mix_value.weight": matrix(feed, width)
};
const rwkv7: Record<string, GgufValue> = {
    ...rwkv,
    "attention.decay_lora_rank": {u32: low},
    "attention.iclr_lora_rank": {u32: low},
    "attention.value_residual_mix_lora_rank": {u32: low},
    "attention.gate_lora_rank": {u32: low}
};
const lowRank = (name: string) => ({
    [`time_mix_${name}0.weight`]: values(0, 0.5, width),
    [`time_mix_${name}1.weight`]: matrix(width, low),
    [`time_mix_${name}2.weight`]: values(0, 0.3, low, width)
});
const rwkv7Time = {
    ...lowRank("w"),
    ...lowRank("a"),
    ...lowRank("v"),
    "time_mix_g1.weight": matrix(width, low),
    "time_mix_g2.weight": values(0, 0.5, low, width),
    "time_mix_lerp_fused.weight": values(0.5, 0.2, width, 1, 1, 6),
    "time_mix_k_k.weight": values(0.8, 0.1, width),
    "time_mix_k_a.weight": values(1, 0.1, width),
    "time_mix_r_k.weight": values(0, 0.2, width),
    "time_mix_key.weight": matrix(width, width),
    "time_mix_value.weight": matrix(width, width),
    "time_mix_receptance.weight": matrix(width, width),
    "time_mix_output.weight": matrix(width, width)
};
const rwkvNorms = {
    tensors: {"output_norm.bias": bias(width), ...layerNorm("token_embd_norm")},
    layer: {...layerNorm("attn_norm"), ...layerNorm("attn_norm_2")}
};

export const rwkvArchitectures: Readonly<Record<string, Architecture>> = {
    rwkv6: {
        id: "rwkv6",
        metadata: rwkv6,
        tensors: rwkvNorms.tensors,
        layer: {
            ...rwkvNorms.layer,
            ...rwkv6Time,
            ...timeNorm,
            ...channelMix,
            "channel_mix_lerp_r.weight": values(0.5, 0.2, width, 1, 1),
            "channel_mix_receptance.weight": matrix(width, width)
        }
    },
    rwkv6qwen2: {
        id: "rwkv6qwen2",
        metadata: {...rwkv6, token_shift_count: {u32: 1}},
        layer: {...norms, ...withoutFirst, ...gated}
    },
    rwkv7: {
        id: "rwkv7",
        metadata: rwkv7,
        tensors: rwkvNorms.tensors,
        layer: {...rwkvNorms.layer, ...rwkv7Time, ...timeNorm, ...channelMix}
    },
    arwkv7: {
        id: "arwkv7",
        metadata: {...rwkv7, token_shift_count: {u32: 1}},
        layer: {...norms, ...rwkv7Time, ...timeNorm, ...gated}
    }
};
