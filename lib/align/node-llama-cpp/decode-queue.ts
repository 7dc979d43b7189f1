import type {LlamaContext, LlamaContextSequence} from "node-llama-cpp";
import {contextInternals, type QueuedDecode, type RowMapper, sequenceInternals} from "./internals.js";

/** Methods of a sequence that wait until no batch is decoded. */
const exclusive = [
    "_eraseContextTokenRanges",
    "saveStateToFile",
    "loadStateFromFile",
    "takeCheckpoint",
    "_takeNamedCheckpoint",
    "_copyStateFromOtherSequence"
] as const;

/**
 * What waits for node-llama-cpp's next batches. node-llama-cpp decodes batch after batch under the context's lock for as long as tokens wait,
 * which they always do while sequences generate in step. Whoever clears, cuts, saves, loads or disposes a sequence, or shifts a full one, asks
 * for the same lock, and would wait until every generation has ended. So once somebody asks, the tokens are put aside at the end of a
 * batch: node-llama-cpp finds none, gives the lock away, and gets them back.
 */
export class DecodeQueue {
    readonly #context: LlamaContext;
    /** Calls of `exclusive` methods under way. */
    #asking = 0;
    /** Numbers of sequences that are to be free again. node-llama-cpp 3.18 does not say when they are. */
    readonly #leaving = new Set<number>();
    #aside: QueuedDecode[] = [];
    /** Rows that a request wanted, by its mapper. */
    readonly #wanted = new WeakMap<RowMapper, number>();

    constructor(context: LlamaContext) {
        this.#context = context;
        const internals = contextInternals(context);
        const {_reclaimUnusedSequenceId: reclaim, _scheduleToFreeReservedThreads: endBatches} = internals;
        internals._reclaimUnusedSequenceId = (sequence) => {
            this.#leaving.add(sequence);
            return reclaim.call(context, sequence);
        };
        const decode = internals._decodeTokens;
        internals._decodeTokens = async (request, mapper) => {
            const own: RowMapper = (...args) => mapper(...args);
            this.#wanted.set(own, rowsOf(request));
            return await decode.call(context, request, own);
        };
        // Called after the last batch, right before the lock is given away.
        internals._scheduleToFreeReservedThreads = () => {
            endBatches.call(context);
            this.#putBack();
        };
    }

    /** Has the sequence's methods that need the context to themselves wait for one batch at most. */
    observe(sequence: LlamaContextSequence): void {
        const methods = sequenceInternals(sequence) as unknown as Record<string, (...args: unknown[]) => unknown>;
        for (const name of exclusive) {
            const method = methods[name];
            if (method === undefined) continue;
            methods[name] = async (...args) => {
                this.#asking++;
                try {
                    return await method.apply(sequence, args);
                } finally {
                    this.#asking--;
                }
            };
        }
    }

    /** At the end of a batch: lets those who wait for the context have it before the next. */
    endBatch(): void {
        if (this.#asking + this.#leaving.size === 0) return;
        const {_queuedDecodes: queued} = contextInternals(this.#context);
        // node-llama-cpp forgets rows of a request that was begun when it gives the lock away.
        const stay = queued.filter((one) => rowsOf(one) < (this.#wanted.get(one.logitDataMapper) ?? 0));
        this.#aside.push(...queued.filter((one) => !stay.includes(one)));
        queued.splice(0, queued.length, ...stay);
    }

    /** Takes out what waits to be decoded for a sequence whose text or number goes; whoever awaits it gets `error`. */
    reject(sequence: number, error: Error): void {
        this.#leaving.delete(sequence);
        const internals = contextInternals(this.#context);
        const waiting = internals._queuedDecodes.filter(({sequenceId}) => sequenceId === sequence);
        if (waiting.length > 0) internals._dispatchErrorForQueuedDecodesAndDequeue(new Set(waiting), error);
    }

    #putBack(): void {
        if (this.#aside.length === 0) return;
        const internals = contextInternals(this.#context);
        internals._queuedDecodes.unshift(...this.#aside);
        this.#aside = [];
        internals._scheduleDecode();
    }
}

function rowsOf({logits}: Pick<QueuedDecode, "logits">): number {
    return logits.filter(Boolean).length;
}
