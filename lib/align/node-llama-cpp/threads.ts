import type {LlamaContext} from "node-llama-cpp";
import {type AddonContext, contextInternals} from "./internals.js";

/** Runs one decode of `context` with the threads that node-llama-cpp's thread splitter grants it. */
export async function withThreads<T>(
    context: LlamaContext,
    stock: AddonContext,
    run: (threads: number) => Promise<T>
): Promise<T> {
    const allocation = await contextInternals(context)._threadSplitterConsumer?.getAllocationToConsume();
    if (!allocation) return await run(stock.getThreads());
    const [threads, handle] = allocation;
    try {
        stock.setThreads(threads);
        return await run(threads);
    } finally {
        handle.dispose();
    }
}
