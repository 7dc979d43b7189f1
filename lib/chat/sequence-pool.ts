/** The sequences of a context, lent to one answer at a time. */
import type {LlamaContext, LlamaContextSequence, Token} from "node-llama-cpp";
import {alignerOf} from "../align/aligned-context.js";
import {gatherSequences} from "../align/node-llama-cpp/gather.js";
import {commonPrefix} from "../common-prefix.js";
import {invalidArgument, MaraError} from "../errors.js";

export interface Lease {
    readonly sequence: LlamaContextSequence;
    /** Tokens of the text that the sequence holds already. */
    readonly shared: number;
    /** Gives the sequence back, with the text that it holds. */
    release(): void;
}

interface Waiting {
    tokens: readonly Token[];
    resolve: (lease: Lease) => void;
    reject: (reason: unknown) => void;
}

const pools = new WeakMap<LlamaContext, SequencePool>();

/** The pool of a context; everything that answers in the context by this module shares it. */
export function poolOf(context: LlamaContext): SequencePool {
    let pool = pools.get(context);
    if (pool === undefined) {
        pool = new SequencePool(context);
        pools.set(context, pool);
    }
    return pool;
}

/**
 * Takes sequences of the context as it needs them, and keeps them with the text that they hold, so that a conversation goes on where it was. Who
 * finds all of them lent waits in turn.
 */
export class SequencePool {
    readonly #context: LlamaContext;
    /** The one that was given back last comes last. */
    readonly #free: LlamaContextSequence[] = [];
    #lent = 0;
    readonly #waiting = new Set<Waiting>();

    constructor(context: LlamaContext) {
        this.#context = context;
        if (alignerOf(context) === undefined) gatherSequences(context);
        context.onDispose.createListener(() => this.refuseWaiting(disposed()));
    }

    /** Sequences that are lent now. */
    get lent(): number {
        return this.#lent;
    }

    /** Those who wait for a sequence. */
    get waiting(): number {
        return this.#waiting.size;
    }

    /** Ends the wait of all who wait, with this reason. */
    refuseWaiting(reason: unknown): void {
        for (const one of this.#waiting) one.reject(reason);
        this.#waiting.clear();
    }

    /**
     * @param tokens the text that will be read, by which the sequence is chosen
     * @throws MaraError DECODE_FAILED if the context is disposed, INVALID_ARGUMENT if the caller holds all of its sequences; the signal's reason
     */
    async lease(tokens: readonly Token[], signal?: AbortSignal): Promise<Lease> {
        signal?.throwIfAborted();
        const lease = this.#waiting.size === 0 ? this.#take(tokens) : undefined;
        if (lease !== undefined) return lease;
        return await new Promise<Lease>((resolve, reject) => {
            const leave = () => {
                if (this.#waiting.delete(waiting)) reject(signal?.reason);
            };
            const waiting: Waiting = {
                tokens,
                resolve: (lease) => {
                    signal?.removeEventListener("abort", leave);
                    resolve(lease);
                },
                reject: (reason) => {
                    signal?.removeEventListener("abort", leave);
                    reject(reason);
                }
            };
            this.#waiting.add(waiting);
            signal?.addEventListener("abort", leave, {once: true});
        });
    }

    /**
     * The sequence that holds most of the text's beginning, if that is at least half of what it holds: going on in it loses the rest. A share of the
     * new text would be the wrong measure, since a long system message in front of every text would let each new conversation cut off the one
     * that was used last. Otherwise a sequence that nobody has used yet, or the one given back longest ago.
     */
    #take(tokens: readonly Token[]): Lease | undefined {
        if (this.#context.disposed) throw disposed();
        const free = this.#free
            .filter(({disposed}) => !disposed)
            .map((sequence) => ({sequence, shared: commonPrefix(sequence.contextTokens, tokens)}));
        this.#free.splice(0, Infinity, ...free.map(({sequence}) => sequence));
        const [best] = free.toSorted((a, b) => b.shared - a.shared);
        if (best !== undefined && 2 * best.shared >= Math.max(1, best.sequence.nextTokenIndex))
            return this.#lend(best.sequence, best.shared);
        if (this.#context.sequencesLeft > 0) return this.#lend(this.#context.getSequence(), 0);
        const [oldest] = free;
        if (oldest !== undefined) return this.#lend(oldest.sequence, oldest.shared);
        if (this.#lent > 0) return undefined;
        throw invalidArgument("sequences", "a context of which a sequence is left", this.#context.totalSequences);
    }

    #lend(sequence: LlamaContextSequence, shared: number): Lease {
        const at = this.#free.indexOf(sequence);
        if (at >= 0) this.#free.splice(at, 1);
        this.#lent++;
        let given = false;
        const release = () => {
            if (given) return;
            given = true;
            this.#lent--;
            if (!sequence.disposed) this.#free.push(sequence);
            this.#serve();
        };
        return {sequence, shared, release};
    }

    #serve(): void {
        const [next] = this.#waiting;
        if (next === undefined) return;
        try {
            const lease = this.#take(next.tokens);
            if (lease === undefined) return;
            this.#waiting.delete(next);
            next.resolve(lease);
        } catch (error) {
            this.#waiting.delete(next);
            next.reject(error);
            this.#serve();
        }
    }
}

function disposed(): MaraError {
    return new MaraError("DECODE_FAILED", "The context is disposed. Create a new one.");
}
