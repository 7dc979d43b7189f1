import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {commonPrefix} from "../../common-prefix.js";
import {createLanesContext} from "../backend/attach.js";
import type {BatchToken} from "../backend/backend.js";
import type {LanesBackend} from "../backend/lanes-backend.js";
import {type AddonContext, stockContext} from "../node-llama-cpp/internals.js";
import {Threads} from "../node-llama-cpp/threads.js";

export interface FollowerOptions {
    /** How many sequences are followed. */
    sequences: number;
    /** Tokens that every text begins with. They are decoded once, and their cells are shared. */
    prefix: readonly number[];
    /** Options of the context; its size is that of a followed sequence, without the prefix. */
    context: LlamaContextOptions & {contextSize: number};
}

/** What one sequence of a follower holds and is to hold. */
interface Followed {
    held: number[];
    wanted: readonly number[];
    /** The logits that the wanted text leads to. */
    logits: Promise<Float32Array>;
    /** Settles `logits`, until a batch has begun to. */
    task: Task | undefined;
}

interface Task {
    resolve(logits: Float32Array): void;
    reject(error: unknown): void;
}

/**
 * A context whose sequences follow texts of another context, on a decode thread of its own. What a sequence is to hold is compared
 * with what it holds: the rest is given up, and only new tokens are decoded. Sequences that wait are decoded in one batch.
 */
export class Follower {
    readonly #context: LlamaContext;
    readonly #backend: LanesBackend;
    readonly #stock: AddonContext;
    readonly #threads: Threads;
    readonly #prefix: readonly number[];
    readonly #sequences: Followed[];
    #running: Promise<void> | undefined;
    #closed = false;

    /** @throws MaraError LANES_UNAVAILABLE, LANES_LIMIT, CONTEXT_FAILED */
    static async open(model: LlamaModel, {sequences, prefix, context: options}: FollowerOptions): Promise<Follower> {
        // The prefix has a sequence of its own.
        const shape = {...options, sequences: sequences + 1, contextSize: options.contextSize + prefix.length};
        const {context, backend} = await createLanesContext(model, shape, {lanes: 1, defaultLanes: 1});
        const follower = new Follower(context, backend, prefix, sequences);
        try {
            await follower.#decodePrefix();
        } catch (error) {
            await follower.close();
            throw error;
        }
        return follower;
    }

    private constructor(context: LlamaContext, backend: LanesBackend, prefix: readonly number[], sequences: number) {
        this.#context = context;
        this.#backend = backend;
        this.#stock = stockContext(context);
        this.#threads = new Threads(context, this.#stock);
        this.#prefix = prefix;
        this.#sequences = Array.from({length: sequences}, () => ({
            held: [],
            wanted: [],
            logits: Promise.resolve(new Float32Array(0)),
            task: undefined
        }));
    }

    /** Most tokens of a text. */
    get size(): number {
        return this.#context.contextSize;
    }

    /** False for models that cannot go back by a token, which would decode the whole text anew. */
    get canTakeBack(): boolean {
        return !this.#backend.recurrent;
    }

    /** Begins to decode what the sequence's text needs. Resolves with the logits that the text leads to; of an empty text, with none. */
    follow(sequence: number, text: readonly number[]): Promise<Float32Array> {
        const own = this.#sequences[sequence] as Followed;
        if (own.wanted.length === text.length && commonPrefix(own.wanted, text) === text.length) return own.logits;
        own.task?.reject(new Error("The text has changed meanwhile"));
        own.wanted = [...text];
        own.logits = new Promise((resolve, reject) => {
            own.task = {resolve, reject};
        });
        // Nobody may be waiting for a text that is decoded early; whoever asks for its logits is told.
        own.logits.catch(() => {});
        this.#running ??= this.#run();
        return own.logits;
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
        for (;;) {
            const waiting = [...this.#sequences.keys()].filter((id) => this.#sequences[id]?.task !== undefined);
            if (waiting.length === 0) break;
            await this.#decodeTogether(waiting);
        }
        this.#running = undefined;
    }

    async #decodeTogether(ids: readonly number[]): Promise<void> {
        const tasks = ids.map((id) => {
            const own = this.#sequences[id] as Followed;
            const {task, wanted} = own;
            own.task = undefined;
            return {id, own, wanted, task: task as Task};
        });
        try {
            if (this.#closed) throw new Error("The guide's context is disposed");
            const tokens = tasks.flatMap(({id, own, wanted}) => this.#newTokens(id, own, wanted));
            const found = await this.#decode(tokens);
            for (const {id, own, wanted, task} of tasks) {
                own.held = [...wanted];
                task.resolve(found.get(id) ?? new Float32Array(0));
            }
        } catch (error) {
            for (const {id, own, task} of tasks) {
                if (!this.#closed) this.#backend.remove(id, 0);
                own.held = [];
                own.wanted = [];
                task.reject(error);
            }
        }
    }

    /** Gives up the cells that are not of the wanted text. @returns what is to be decoded behind the others */
    #newTokens(sequence: number, own: Followed, wanted: readonly number[]): BatchToken[] {
        // The last token is decoded anew where it is held: its logits are no longer known.
        const kept = this.#keep(
            sequence,
            own,
            Math.min(commonPrefix(own.held, wanted), Math.max(0, wanted.length - 1))
        );
        let first = kept;
        const {recurrent, window} = this.#backend;
        const shared = this.#prefix.length - 1;
        if (kept === 0 && shared > 0 && !recurrent && window === 0 && commonPrefix(this.#prefix, wanted) >= shared) {
            this.#backend.shared(this.#sequences.length, sequence);
            first = Math.min(shared, wanted.length - 1);
            if (first < shared) this.#backend.remove(sequence, first);
        }
        return wanted
            .slice(first)
            .map((token, i) => ({sequence, position: first + i, token, output: first + i === wanted.length - 1}));
    }

    /** Gives up what the sequence holds behind `count` tokens. @returns how many are left, none where the model cannot go on from there */
    #keep(sequence: number, own: Followed, count: number): number {
        if (own.held.length === count) return count;
        const {recurrent, window} = this.#backend;
        const begin = window > 0 ? this.#stock.getSequenceKvCacheMinPosition(sequence) : 0;
        // The window of the next token must be whole.
        const isPossible = !recurrent && (begin <= 0 || count - 1 >= begin + window - 2);
        const left = isPossible ? count : 0;
        this.#backend.remove(sequence, left);
        return left;
    }

    async #decodePrefix(): Promise<void> {
        const {recurrent, window} = this.#backend;
        if (recurrent || window > 0) return;
        const sequence = this.#sequences.length;
        const tokens = this.#prefix.slice(0, -1);
        await this.#decode(tokens.map((token, position) => ({sequence, position, token, output: false})));
    }

    /** Decodes in batches. @returns the logits of each sequence's output */
    async #decode(tokens: readonly BatchToken[]): Promise<Map<number, Float32Array>> {
        const found = new Map<number, Float32Array>();
        const {batchSize} = this.#context;
        for (let first = 0; first < tokens.length; first += batchSize) {
            const batch = tokens.slice(first, first + batchSize);
            const {rows} = await this.#threads.run(() => this.#backend.decode(batch));
            for (const [i, row] of rows.entries()) {
                if (row === undefined) continue;
                found.set((batch[i] as BatchToken).sequence, row.logits() as Float32Array);
                row.free();
            }
        }
        return found;
    }
}
