import {commonPrefix} from "../../common-prefix.js";
import type {BatchToken, DecodeOutcome, HeldRow} from "../backend/backend.js";
import type {LanesBackend} from "../backend/lanes-backend.js";
import type {AddonContext} from "../node-llama-cpp/internals.js";

/** Follows texts of guided sequences with a model, for the logits that they lead to. */
export interface TextFollower {
    /** Most tokens of a text. */
    readonly size: number;
    /** False for models that cannot go back by a token, which would decode the whole text anew. */
    readonly canTakeBack: boolean;
    /** Tells the sequence's text, whose last token may be taken back. */
    follow(sequence: number, text: readonly number[]): void;
    /** The logits that the text leads to; of an empty text, none. */
    logits(sequence: number, text: readonly number[]): Promise<Float32Array>;
    /** The next text of `to` is that of `from`, as far as they are alike, and need not be decoded again. */
    copy(from: number, to: number): void;
}

/** Where the followed sequences stand in their context. */
export interface Places {
    /** The number of the first; those that follow have the next ones. */
    first: number;
    count: number;
    /** Tokens that texts begin with. They are decoded once, into the sequence behind the others, and their cells are shared. */
    prefix: readonly number[];
}

/** Logits by the number of the sequence in its context. */
export type LogitsBySequence = ReadonlyMap<number, Float32Array>;

/** What sequences lack of their texts, which is about to be decoded. */
export interface Pending {
    readonly tokens: readonly BatchToken[];
    finish(logits: LogitsBySequence): void;
    fail(error: unknown): void;
}

interface Followed {
    held: readonly number[];
    /** Whose text its next one begins with. */
    origin: number | undefined;
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
 * Sequences that follow texts. What a sequence is to hold is compared with what it holds: the rest is given up, and only new tokens are
 * decoded. When that happens is the owner's choice.
 */
export class FollowedTexts {
    readonly #backend: LanesBackend;
    readonly #stock: AddonContext;
    readonly #places: Places;
    readonly #sequences: Followed[];

    constructor(backend: LanesBackend, stock: AddonContext, places: Places) {
        this.#backend = backend;
        this.#stock = stock;
        this.#places = places;
        this.#sequences = Array.from({length: places.count}, () => ({
            held: [],
            origin: undefined,
            wanted: [],
            logits: Promise.resolve(new Float32Array(0)),
            task: undefined
        }));
    }

    /** Sets what the sequence is to hold. Resolves once a batch has decoded it. */
    follow(sequence: number, text: readonly number[]): Promise<Float32Array> {
        const own = this.#sequences[sequence] as Followed;
        if (this.isFollowed(sequence, text)) return own.logits;
        own.task?.reject(new Error("The text has changed meanwhile"));
        own.wanted = [...text];
        own.logits = new Promise((resolve, reject) => {
            own.task = {resolve, reject};
        });
        // Nobody may be waiting for a text that is decoded early; whoever asks for its logits is told.
        own.logits.catch(() => {});
        return own.logits;
    }

    copy(from: number, to: number): void {
        (this.#sequences[to] as Followed).origin = from;
    }

    /** True if this is the text that the sequence is to hold. */
    isFollowed(sequence: number, text: readonly number[]): boolean {
        const {wanted} = this.#sequences[sequence] as Followed;
        return wanted.length === text.length && commonPrefix(wanted, text) === text.length;
    }

    /** True if the sequence's text waits for a batch. */
    waits(sequence: number): boolean {
        return this.#sequences[sequence]?.task !== undefined;
    }

    /** Most tokens that `begin` would give; undefined if no text waits for it. */
    get missing(): number | undefined {
        const waiting = this.#sequences.filter(({task}) => task !== undefined);
        if (waiting.length === 0) return undefined;
        const isWhole = this.#backend.recurrent || this.#backend.window > 0;
        return waiting.reduce(
            (sum, {held, wanted}) => sum + wanted.length - (isWhole ? 0 : commonPrefix(held, wanted)),
            0
        );
    }

    /** Gives up the cells that are not of the wanted texts. What is to be decoded behind the others must be decoded next. */
    begin(): Pending {
        const tasks = this.#sequences.flatMap((own, at) => {
            const {task, wanted} = own;
            own.task = undefined;
            return task === undefined ? [] : [{id: this.#places.first + at, own, wanted, task}];
        });
        return {
            tokens: tasks.flatMap(({id, own, wanted}) => this.#newTokens(id, own, wanted)),
            finish: (logits) => {
                for (const {id, own, wanted, task} of tasks) {
                    own.held = [...wanted];
                    task.resolve(logits.get(id) ?? new Float32Array(0));
                }
            },
            fail: (error) => {
                for (const {id, own, task} of tasks) {
                    this.#backend.remove(id, 0);
                    own.held = [];
                    own.wanted = [];
                    task.reject(error);
                }
            }
        };
    }

    /** The tokens of the prefix, to be decoded before any other; none where its cells cannot be shared. */
    get prefixTokens(): BatchToken[] {
        if (!this.#sharesPrefix) return [];
        const {prefix} = this.#places;
        return prefix
            .slice(0, -1)
            .map((token, position) => ({sequence: this.#prefixSequence, position, token, output: false}));
    }

    get #prefixSequence(): number {
        return this.#places.first + this.#places.count;
    }

    get #sharesPrefix(): boolean {
        return !this.#backend.recurrent && this.#backend.window === 0 && this.#places.prefix.length > 1;
    }

    #newTokens(sequence: number, own: Followed, wanted: readonly number[]): BatchToken[] {
        if (wanted.length > 0) this.#takeOver(sequence, own, wanted);
        // The last token is decoded anew where it is held: its logits are no longer known.
        const kept = this.#keep(
            sequence,
            own,
            Math.min(commonPrefix(own.held, wanted), Math.max(0, wanted.length - 1))
        );
        own.held = wanted.slice(0, kept);
        let first = kept;
        const {prefix} = this.#places;
        const shared = prefix.length - 1;
        if (kept === 0 && this.#sharesPrefix && commonPrefix(prefix, wanted) >= shared) {
            this.#backend.shared(this.#prefixSequence, sequence);
            first = Math.min(shared, wanted.length - 1);
            if (first < shared) this.#backend.remove(sequence, first);
        }
        return wanted
            .slice(first)
            .map((token, i) => ({sequence, position: first + i, token, output: first + i === wanted.length - 1}));
    }

    /** Has the sequence hold what another one holds, if its text was copied from there and more of it is alike. */
    #takeOver(sequence: number, own: Followed, wanted: readonly number[]): void {
        const {origin} = own;
        own.origin = undefined;
        if (origin === undefined || this.#backend.recurrent || this.#backend.window > 0) return;
        const {held} = this.#sequences[origin] as Followed;
        if (commonPrefix(held, wanted) <= commonPrefix(own.held, wanted)) return;
        this.#backend.remove(sequence, 0);
        this.#backend.shared(this.#places.first + origin, sequence);
        own.held = held;
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
}

/** Copies the logits of a batch's rows, and frees them. */
export function takeLogits(
    tokens: readonly BatchToken[],
    rows: readonly (HeldRow | undefined)[]
): Map<number, Float32Array> {
    const found = new Map<number, Float32Array>();
    for (const [i, {sequence}] of tokens.entries()) {
        const row = rows[i];
        if (row === undefined) continue;
        found.set(sequence, row.logits() as Float32Array);
        row.free();
    }
    return found;
}

/** Decodes in batches of at most `size` tokens. @returns the logits of each sequence's output */
export async function decodeInBatches(
    tokens: readonly BatchToken[],
    size: number,
    decode: (batch: readonly BatchToken[]) => Promise<DecodeOutcome>
): Promise<Map<number, Float32Array>> {
    const found = new Map<number, Float32Array>();
    for (let first = 0; first < tokens.length; first += size) {
        const batch = tokens.slice(first, first + size);
        const {rows} = await decode(batch);
        for (const [sequence, logits] of takeLogits(batch, rows)) found.set(sequence, logits);
    }
    return found;
}
