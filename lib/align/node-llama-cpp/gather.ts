/** Has sequences that generate at once share batches. */
import {DisposedError, type LlamaContext, type LlamaContextSequence} from "node-llama-cpp";
import {requireContextInternals} from "./compatibility.js";
import {DecodeQueue} from "./decode-queue.js";
import {contextInternals, sequenceInternals} from "./internals.js";

type AfterBatch = ((length: number) => unknown) | undefined;

/** Parameters of `_decodeTokens`, the last of which is `afterBatchAction`. */
export const decodeParameters = 7;

/**
 * node-llama-cpp starts its next batch as soon as the last one ends, with the sequences that wait by then. Those that have just got
 * a token cannot ask again so soon, so sequences that fell out of step would stay apart, each in a batch of its own. The end of a
 * batch waits for its actions, which therefore last until the next turn of the event loop.
 */
export function gatherSequence(sequence: LlamaContextSequence, queue: DecodeQueue): void {
    if (sequence.context.totalSequences === 1) return;
    const internals = sequenceInternals(sequence);
    const decode = internals._decodeTokens;
    if (decode.length !== decodeParameters) return;
    internals._decodeTokens = async (...args) => {
        const action = args[decodeParameters - 1] as AfterBatch;
        args[decodeParameters - 1] = async (length: number) => {
            await action?.(length);
            await new Promise((resolve) => setImmediate(resolve));
            queue.endBatch();
        };
        return await decode.apply(sequence, args);
    };
}

/**
 * Does for a plain context what `createAlignedContext` does for its own: sequences that generate at once share batches, and whoever clears or cuts
 * another one waits for one batch. Sequences that were taken before stay as they are.
 * @throws MaraError UNSUPPORTED_VERSION
 */
export function gatherSequences(context: LlamaContext): void {
    requireContextInternals(context);
    const queue = new DecodeQueue(context);
    const addon = contextInternals(context)._ctx;
    const disposeSequence = addon.disposeSequence;
    const value = (sequence: number) => {
        queue.reject(sequence, new DisposedError());
        return disposeSequence.call(addon, sequence);
    };
    Object.defineProperty(addon, "disposeSequence", {value, configurable: true});
    const getSequence = context.getSequence;
    context.getSequence = (options = {}) => {
        const sequence = getSequence.call(context, options);
        queue.observe(sequence);
        gatherSequence(sequence, queue);
        return sequence;
    };
}
