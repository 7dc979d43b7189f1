import type {LlamaContext} from "node-llama-cpp";
import type {Backend, BatchToken, DecodeOutcome} from "../backend/backend.js";
import type {LanesBackend} from "../backend/lanes-backend.js";
import {stockContext} from "../node-llama-cpp/internals.js";
import {Threads} from "../node-llama-cpp/threads.js";
import type {Guide} from "../steer/guide.js";
import {decodeInBatches, FollowedTexts, type Pending, type TextFollower, takeLogits} from "./followed-texts.js";

/**
 * Sequences of the guided context itself, beside its own. What their texts lack is decoded in the context's batches, so it must be told
 * before a batch begins.
 */
export class FurtherSequences implements TextFollower {
    readonly size: number;
    readonly canTakeBack: boolean;
    readonly texts: FollowedTexts;

    constructor(
        context: LlamaContext,
        backend: LanesBackend,
        {first, prefix}: {first: number; prefix: readonly number[]}
    ) {
        const {contextSize, totalSequences: count} = context;
        this.size = contextSize + prefix.length;
        this.canTakeBack = !backend.recurrent;
        this.texts = new FollowedTexts(backend, stockContext(context), {first, count, prefix});
    }

    follow(sequence: number, text: readonly number[]): void {
        this.texts.follow(sequence, text).catch(() => {});
    }

    copy(from: number, to: number): void {
        this.texts.copy(from, to);
    }

    async logits(sequence: number, text: readonly number[]): Promise<Float32Array> {
        // Nothing would decode it before the caller's token is drawn.
        if (!this.texts.isFollowed(sequence, text) || this.texts.waits(sequence))
            throw new Error("The text was not told before the batch began");
        return await this.texts.follow(sequence, text);
    }
}

/** A guide's prompt that takes the place of everything before the response, and so needs a sequence of its own for each guided one. */
export interface OwnPrompt {
    readonly guide: Guide;
    readonly tokens: readonly number[];
}

/** Adds tokens of guides' sequences to a context's own batches. */
export class Beside {
    readonly #all = new Map<Guide, FurtherSequences>();
    readonly #context: LlamaContext;
    readonly #backend: Backend;

    /** The context must have been created with sequences for the prompts (`LanesRequest.prompts`). */
    constructor(context: LlamaContext, backend: Backend, prompts: readonly OwnPrompt[]) {
        this.#context = context;
        this.#backend = backend;
        // Serial mode has no guides.
        if (backend.mode !== "lanes") return;
        const lanes = backend as LanesBackend;
        for (const [i, {guide, tokens: prefix}] of prompts.entries()) {
            const first = lanes.firstFurther + i * (context.totalSequences + 1);
            this.#all.set(guide, new FurtherSequences(context, lanes, {first, prefix}));
        }
    }

    /** Decodes the prompts. */
    async open(): Promise<void> {
        const threads = new Threads(this.#context, stockContext(this.#context));
        for (const {texts} of this.#all.values())
            await decodeInBatches(texts.prefixTokens, this.#context.batchSize, (batch) =>
                threads.run(() => this.#backend.decode(batch))
            );
    }

    /** The guide's sequences, if the context was created with it. */
    of(guide: Guide): FurtherSequences | undefined {
        return this.#all.get(guide);
    }

    /** Takes what waits to be decoded. Gives nothing where nothing waits, or where that is more than `room` tokens. */
    begin(room = Number.POSITIVE_INFINITY): Pending | undefined {
        const waiting = [...this.#all.values()].filter(({texts}) => texts.missing !== undefined);
        if (waiting.length === 0) return undefined;
        if (waiting.reduce((sum, {texts}) => sum + (texts.missing ?? 0), 0) > room) return undefined;
        const all = waiting.map(({texts}) => texts.begin());
        return {
            tokens: all.flatMap(({tokens}) => tokens),
            finish: (logits) => {
                for (const one of all) one.finish(logits);
            },
            fail: (error) => {
                for (const one of all) one.fail(error);
            }
        };
    }

    /** Decodes a batch together with what is to be decoded beside it; one after the other where that is too much, or `apart`. */
    async decode(
        batch: readonly BatchToken[],
        decode: (tokens: readonly BatchToken[]) => Promise<DecodeOutcome>,
        apart: boolean
    ): Promise<DecodeOutcome> {
        const decodeAlone = async () => (batch.length === 0 ? {decodeMs: 0, rows: []} : await decode(batch));
        const pending = this.begin();
        if (pending === undefined) return await decodeAlone();
        const {tokens} = pending;
        const {batchSize} = this.#context;
        try {
            if (!apart && tokens.length > 0 && batch.length + tokens.length <= batchSize) {
                const {rows, ...times} = await decode([...batch, ...tokens]);
                pending.finish(takeLogits(tokens, rows.slice(batch.length)));
                return {...times, rows: rows.slice(0, batch.length)};
            }
            pending.finish(await decodeInBatches(tokens, batchSize, decode));
        } catch (error) {
            pending.fail(error);
            throw error;
        }
        return await decodeAlone();
    }
}
