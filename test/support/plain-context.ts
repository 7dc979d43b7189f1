import type {LlamaContext, LlamaModel} from "node-llama-cpp";

/** The methods that `AddonContext` of a plain context offers; written down here so that nothing of lib/align is used. */
export interface PlainContext {
    initBatch(size: number): void;
    addToBatch(sequence: number, position: number, tokens: Uint32Array, outputs: Uint32Array): ArrayLike<number>;
    decodeBatch(): Promise<void>;
    removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
    sampleToken(row: number, sampler: object, ...details: unknown[]): Promise<[number, unknown, unknown, number[]]>;
    getEmbedding(count: number): Float64Array;
}

/** The native context behind a plain one. */
export function plainContext(context: LlamaContext): PlainContext {
    return (context as unknown as {_ctx: PlainContext})._ctx;
}

/** A sampler that changes no logit. */
export function plainSampler(model: LlamaModel): object {
    const {_bindings} = model.llama as unknown as {
        _bindings: {AddonSampler: new (model: object) => {applyConfig(config: object): void}};
    };
    const sampler = new _bindings.AddonSampler((model as unknown as {_model: object})._model);
    sampler.applyConfig({});
    return sampler;
}
