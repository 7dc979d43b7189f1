import type {LlamaContext, LlamaContextOptions} from "node-llama-cpp";
import type {Beside} from "./further-sequences.js";

/** What guides need to know of the context that they guide. */
export interface GuideHost {
    /** Options that the guides' contexts take over, so that both compute alike. */
    readonly options: LlamaContextOptions;
    /** The guides' tokens that share the context's own batches. */
    readonly beside: Beside;
    /** Each closes what a guide has opened. They are called before the context is disposed. */
    readonly opened: Set<() => Promise<void>>;
}

const hosts = new WeakMap<LlamaContext, GuideHost>();

/** Makes the context known to guides. */
export function hostGuides(context: LlamaContext, options: LlamaContextOptions, beside: Beside): GuideHost {
    const {flashAttention, experimentalKvCacheKeyType, experimentalKvCacheValueType, threads} = options;
    const taken = {flashAttention, experimentalKvCacheKeyType, experimentalKvCacheValueType, threads};
    const given = Object.entries(taken).filter(([, value]) => value !== undefined);
    const host = {
        options: Object.fromEntries(given) as LlamaContextOptions,
        beside,
        opened: new Set<() => Promise<void>>()
    };
    hosts.set(context, host);
    return host;
}

/** The host of an aligned context. */
export function guideHostOf(context: LlamaContext): GuideHost {
    const host = hosts.get(context);
    if (host === undefined) throw new Error("Guides need a context made by createAlignedContext");
    return host;
}
