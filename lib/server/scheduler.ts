/** How many requests may wait for a sequence, and when no more are taken. */
import type {LlamaContext, LlamaContextSequence, Token} from "node-llama-cpp";
import {poolOf, type SequencePool} from "../chat/sequence-pool.js";
import {ApiError} from "./api-error.js";

export class Scheduler {
    /** Sequences of the context. */
    readonly size: number;
    readonly #pool: SequencePool;
    readonly #maxWaiting: number;
    #closed = false;
    /** Seconds that a request held its sequence, as a moving average. */
    #usualSeconds = 1;
    readonly #whenIdle: (() => void)[] = [];

    constructor(context: LlamaContext, maxWaiting: number) {
        this.size = context.totalSequences;
        this.#pool = poolOf(context);
        this.#maxWaiting = maxWaiting;
    }

    get busy(): number {
        return this.#pool.lent;
    }

    get waiting(): number {
        return this.#pool.waiting;
    }

    /** @throws ApiError 429 if not even one of them can wait; 503 once the server is closing */
    requireRoom(requests: number): void {
        if (this.#closed) throw closing();
        const {waiting, size} = this;
        if (waiting + requests <= this.#maxWaiting + size - this.busy) return;
        const rounds = Math.ceil((waiting + 1) / size);
        const seconds = Math.max(1, Math.ceil(rounds * this.#usualSeconds));
        throw new ApiError(429, `The server is busy: ${waiting} requests wait already. Try again later.`, {
            code: "server_busy",
            headers: {"retry-after": String(Math.min(seconds, 600))}
        });
    }

    /** Runs `use` in a sequence that the pool has for these tokens. @throws ApiError 503 once the server is closing; the signal's reason */
    async run<T>(
        tokens: readonly Token[],
        signal: AbortSignal,
        use: (sequence: LlamaContextSequence) => Promise<T>
    ): Promise<T> {
        if (this.#closed) throw closing();
        const {sequence, release} = await this.#pool.lease(tokens, signal);
        const start = performance.now();
        try {
            signal.throwIfAborted();
            return await use(sequence);
        } finally {
            this.#usualSeconds = 0.8 * this.#usualSeconds + 0.2 * ((performance.now() - start) / 1000);
            release();
            if (this.busy === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
        }
    }

    /** Takes no more requests. Those that wait are refused. Resolves when no sequence is busy. */
    async close(): Promise<void> {
        this.#closed = true;
        this.#pool.refuseWaiting(closing());
        if (this.busy > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    }
}

function closing(): ApiError {
    return new ApiError(503, "The server is shutting down.", {code: "shutting_down", headers: {"retry-after": "10"}});
}
