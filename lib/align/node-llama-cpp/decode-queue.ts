import type {LlamaContext} from "node-llama-cpp";
import {contextInternals} from "./internals.js";

/** What waits for node-llama-cpp's next batches. */
export class DecodeQueue {
    readonly #context: LlamaContext;

    constructor(context: LlamaContext) {
        this.#context = context;
    }

    /** Takes out what waits to be decoded for a sequence; whoever awaits it gets `error`. */
    reject(sequence: number, error: Error): void {
        const internals = contextInternals(this.#context);
        const waiting = internals._queuedDecodes.filter(({sequenceId}) => sequenceId === sequence);
        if (waiting.length > 0) internals._dispatchErrorForQueuedDecodesAndDequeue(new Set(waiting), error);
    }
}
