import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {createLanesContext} from "../backend/attach.js";
import type {BatchToken} from "../backend/backend.js";
import type {LanesBackend} from "../backend/lanes-backend.js";
import {contextInternals, stockContext} from "../node-llama-cpp/internals.js";
import {Threads} from "../node-llama-cpp/threads.js";
import {decodeInBatches, FollowedTexts, type LogitsBySequence, type TextFollower} from "./followed-texts.js";

export interface FollowerOptions {
    /** How many sequences are followed. */
    sequences: number;
    /** Tokens that every text begins with. */
    prefix: readonly number[];
    /** Options of the context; its size is that of a followed sequence, without the prefix. */
    context: LlamaContextOptions & {contextSize: number};
}

/**
 * A context whose sequences follow texts of another context, on a decode thread of its own. Sequences that wait are decoded in one batch.
 */
export class Follower implements TextFollower {
    readonly #context: LlamaContext;
    readonly #backend: LanesBackend;
    readonly #threads: Threads;
    readonly #texts: FollowedTexts;
    #running: Promise<void> | undefined;
    #closed = false;

    /** @throws MaraError LANES_UNAVAILABLE, LANES_LIMIT, CONTEXT_FAILED */
    static async open(model: LlamaModel, {sequences, prefix, context: options}: FollowerOptions): Promise<Follower> {
        // The prefix has a sequence of its own.
        const shape = {...options, sequences: sequences + 1, contextSize: options.contextSize + prefix.length};
        const {context, backend} = await createLanesContext(model, shape, {lanes: 1, defaultLanes: 1});
        const follower = new Follower(context, backend, prefix, sequences);
        try {
            await follower.#decode(follower.#texts.prefixTokens);
        } catch (error) {
            await follower.close();
            throw error;
        }
        return follower;
    }

    private constructor(context: LlamaContext, backend: LanesBackend, prefix: readonly number[], sequences: number) {
        const stock = stockContext(context);
        this.#context = context;
        this.#backend = backend;
        this.#threads = new Threads(context, stock);
        this.#texts = new FollowedTexts(backend, stock, {first: 0, count: sequences, prefix});
    }

    get size(): number {
        return this.#context.contextSize;
    }

    get canTakeBack(): boolean {
        return !this.#backend.recurrent;
    }

    /** Begins to decode what the sequence's text needs. */
    follow(sequence: number, text: readonly number[]): void {
        this.logits(sequence, text).catch(() => {});
    }

    async logits(sequence: number, text: readonly number[]): Promise<Float32Array> {
        if (this.#context.disposed) throw new Error("The model of the guide, or its context, is disposed");
        // Whoever disposes of the model while this decodes waits.
        const {_backendContextDisposeGuard: guard} = contextInternals(this.#context);
        const held = this.#running === undefined ? guard.createPreventDisposalHandle() : undefined;
        const logits = this.#texts.follow(sequence, text);
        if (held !== undefined) this.#running = this.#run().finally(() => held.dispose());
        return await logits;
    }

    copy(from: number, to: number): void {
        this.#texts.copy(from, to);
    }

    async close(): Promise<void> {
        this.#closed = true;
        await this.#running;
        this.#backend.close();
        await this.#context.dispose();
    }

    async #run(): Promise<void> {
        // Sequences that are told of in the same turn share a batch.
        await Promise.resolve();
        while (this.#texts.missing !== undefined) {
            const pending = this.#texts.begin();
            try {
                if (this.#closed) throw new Error("The guide's context is disposed");
                pending.finish(await this.#decode(pending.tokens));
            } catch (error) {
                pending.fail(error);
            }
        }
        this.#running = undefined;
    }

    async #decode(tokens: readonly BatchToken[]): Promise<LogitsBySequence> {
        return await decodeInBatches(tokens, this.#context.batchSize, (batch) =>
            this.#threads.run(() => this.#backend.decode(batch))
        );
    }
}
