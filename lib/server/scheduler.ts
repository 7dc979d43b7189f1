/** Which request is answered in which sequence, and when. */
import type {LlamaContextSequence, Token} from "node-llama-cpp";
import {commonPrefix} from "../common-prefix.js";
import {ApiError} from "./api-error.js";

/** One sequence of the context. The conversation that it holds stays until another takes its place. */
export interface Slot {
    readonly sequence: LlamaContextSequence;
    busy: boolean;
    /** Counts up with every use: the smallest was used longest ago. */
    lastUse: number;
}

interface Waiting {
    tokens: readonly Token[];
    take(slot: Slot): void;
    refuse(reason: unknown): void;
}

/** A sequence whose text begins with at least this share of the prompt is used again for it. */
const worthReusing = 0.5;

export class Scheduler {
    readonly #slots: readonly Slot[];
    readonly #maxWaiting: number;
    readonly #waiting: Waiting[] = [];
    #uses = 0;
    #closed = false;
    /** Seconds that a request held its sequence, as a moving average. */
    #usualSeconds = 1;
    readonly #whenIdle: (() => void)[] = [];

    constructor(sequences: readonly LlamaContextSequence[], maxWaiting: number) {
        this.#slots = sequences.map((sequence) => ({sequence, busy: false, lastUse: 0}));
        this.#maxWaiting = maxWaiting;
    }

    get busy(): number {
        return this.#slots.filter(({busy}) => busy).length;
    }

    get waiting(): number {
        return this.#waiting.length;
    }

    get size(): number {
        return this.#slots.length;
    }

    /** @throws ApiError 429 if not even one of them can wait; 503 once the server is closing */
    requireRoom(requests: number): void {
        if (this.#closed) throw closing();
        const free = this.#slots.length - this.busy;
        if (this.#waiting.length + requests <= this.#maxWaiting + free) return;
        const rounds = Math.ceil((this.#waiting.length + 1) / this.#slots.length);
        const seconds = Math.max(1, Math.ceil(rounds * this.#usualSeconds));
        throw new ApiError(429, `The server is busy: ${this.#waiting.length} requests wait already. Try again later.`, {
            code: "server_busy",
            headers: {"retry-after": String(Math.min(seconds, 600))}
        });
    }

    /** Runs `use` in a sequence, which has the same beginning as `tokens` where one is free that has. @throws the signal's reason */
    async run<T>(tokens: readonly Token[], signal: AbortSignal, use: (slot: Slot) => Promise<T>): Promise<T> {
        const slot = await this.#acquire(tokens, signal);
        const start = performance.now();
        try {
            signal.throwIfAborted();
            return await use(slot);
        } finally {
            this.#usualSeconds = 0.8 * this.#usualSeconds + 0.2 * ((performance.now() - start) / 1000);
            slot.lastUse = ++this.#uses;
            slot.busy = false;
            this.#hand();
        }
    }

    /** Takes no more requests. Those that wait are refused. Resolves when no sequence is busy. */
    async close(): Promise<void> {
        this.#closed = true;
        for (const waiting of this.#waiting.splice(0)) waiting.refuse(closing());
        if (this.busy > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
    }

    #acquire(tokens: readonly Token[], signal: AbortSignal): Promise<Slot> {
        signal.throwIfAborted();
        if (this.#closed) throw closing();
        const slot = this.#waiting.length === 0 ? this.#best(tokens) : undefined;
        if (slot !== undefined) {
            slot.busy = true;
            return Promise.resolve(slot);
        }
        return new Promise((resolve, reject) => {
            const leave = () => {
                this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
                reject(signal.reason);
            };
            const waiting: Waiting = {
                tokens,
                take: (taken) => {
                    signal.removeEventListener("abort", leave);
                    resolve(taken);
                },
                refuse: (reason) => {
                    signal.removeEventListener("abort", leave);
                    reject(reason);
                }
            };
            signal.addEventListener("abort", leave, {once: true});
            this.#waiting.push(waiting);
        });
    }

    /** Gives free sequences to those that wait, in the order in which they came. */
    #hand(): void {
        for (;;) {
            const [next] = this.#waiting;
            const slot = next && this.#best(next.tokens);
            if (next === undefined || slot === undefined) break;
            this.#waiting.shift();
            slot.busy = true;
            next.take(slot);
        }
        if (this.busy === 0) for (const resolve of this.#whenIdle.splice(0)) resolve();
    }

    #best(tokens: readonly Token[]): Slot | undefined {
        const free = this.#slots.filter(({busy}) => !busy);
        const oldest = free.toSorted((a, b) => a.lastUse - b.lastUse)[0];
        if (oldest === undefined) return undefined;
        const shared = free.map((slot) => ({slot, length: commonPrefix(slot.sequence.contextTokens, tokens)}));
        const [best] = shared.toSorted((a, b) => b.length - a.length);
        return best !== undefined && best.length >= worthReusing * tokens.length ? best.slot : oldest;
    }
}

function closing(): ApiError {
    return new ApiError(503, "The server is shutting down.", {code: "shutting_down", headers: {"retry-after": "10"}});
}
