import type {LlamaContext} from "node-llama-cpp";
import {type AddonContext, contextInternals} from "./internals.js";

/** The threads of a context's decodes, as node-llama-cpp's thread splitter grants them. */
export class Threads {
    readonly #context: LlamaContext;
    readonly #stock: AddonContext;

    /** `stock` gives the context's stock methods (`stockContext`). */
    constructor(context: LlamaContext, stock: AddonContext) {
        this.#context = context;
        this.#stock = stock;
    }

    /** The threads that the decode in progress was granted. */
    get granted(): number {
        return this.#stock.getThreads();
    }

    /** Runs one decode with the threads that are granted for it. */
    async run<T>(decode: (threads: number) => Promise<T>): Promise<T> {
        const allocation = await contextInternals(this.#context)._threadSplitterConsumer?.getAllocationToConsume();
        if (!allocation) return await decode(this.granted);
        const [threads, handle] = allocation;
        try {
            this.#stock.setThreads(threads);
            return await decode(threads);
        } finally {
            handle.dispose();
        }
    }
}
