import type {LlamaContext} from "node-llama-cpp";

interface StockContext {
    getSequenceKvCacheMaxPosition(sequence: number): number;
}

/** The last position in the KV cache, hidden cells included: -1 when it is empty. */
export function lastCell(context: LlamaContext, sequence: number): number {
    const native = (context as unknown as {_ctx: StockContext})._ctx;
    const stock = Object.getPrototypeOf(native) as StockContext;
    return stock.getSequenceKvCacheMaxPosition.call(native, sequence);
}
