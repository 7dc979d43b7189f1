import {GgmlType, type LlamaContext} from "node-llama-cpp";
import {native} from "../../native.js";
import {contextInternals} from "../node-llama-cpp/internals.js";

/**
 * Types of weights whose products llama.cpp rounds alike for a token in a batch and for one alone, on x64 processors with AVX2; verified by
 * test/align/independence.test.ts. Older ones round Q4_0 and Q8_0 otherwise, and nobody has looked at arm64.
 */
const alike = new Set<number>([GgmlType.Q4_0, GgmlType.Q4_1, GgmlType.Q8_0, GgmlType.Q5_K, GgmlType.Q6_K]);

/** True if a batch may be decoded token by token without a change of any bit. More cells than 256 on several threads are another matter. */
export function isRoundedAlike(context: LlamaContext): boolean {
    const {model, flashAttention, kvCacheKeyType, kvCacheValueType} = context;
    const {fullTensorInfo, tensorInfo} = model.fileInfo;
    const matrices = (fullTensorInfo ?? tensorInfo ?? []).filter(({dimensions}) => dimensions.length > 1);
    return (
        native().kernels().includes("avx2") &&
        contextInternals(context)._loraAdapters?.size === 0 &&
        matrices.length > 0 &&
        matrices.every(({ggmlType}) => alike.has(ggmlType)) &&
        flashAttention !== false &&
        model.flashAttentionSupported &&
        kvCacheKeyType === GgmlType.F16 &&
        kvCacheValueType === GgmlType.F16
    );
}
