import {DisposedError, type LlamaContextSequence} from "node-llama-cpp";
import {MaraError} from "../../errors.js";
import type {Backend, BatchToken, DecodeOutcome, PlacedToken} from "../backend/backend.js";
import {Row} from "../decide/row.js";
import {isGenerated} from "../decide/stats.js";
import type {Beside} from "../guides/further-sequences.js";
import type {DecodeQueue} from "../node-llama-cpp/decode-queue.js";
import type {AddonContext, AddonSampler} from "../node-llama-cpp/internals.js";
import type {Expecting} from "../predict/expected-batch.js";
import {judgingOf} from "../predict/runs.js";
import {guidedText, tellGuides} from "../steer/guide.js";
import {isLeaving} from "./observe-sequence.js";
import {Step, type StepParts} from "./step.js";
import type {Texts} from "./texts.js";

export interface HookParts extends StepParts {
    readonly beside: Beside;
    /** Decodes a batch with what is expected behind its tokens; undefined if that is not worth while. */
    decodeExpected(
        batch: readonly BatchToken[],
        expecting: readonly Expecting[]
    ): Promise<(DecodeOutcome & {kernelMs: number}) | undefined>;
}

/**
 * Takes the place of the methods of one `AddonContext`, node-llama-cpp's native boundary. Batches run on the backend. The step that
 * begins with each batch chooses the tokens. A token that was decoded while deciding (`Ahead`) is recognised when
 * node-llama-cpp asks for it, and is not decoded again.
 */
export class ContextHook {
    readonly #context: AddonContext;
    readonly #backend: Backend;
    readonly #parts: HookParts;
    readonly #queue: DecodeQueue;
    #batch: BatchToken[] = [];
    /** Rows of the batch under construction, with their index in it. */
    #rows: {row: Row; index: number}[] = [];
    /** Tokens that it asks for and that were decoded ahead. */
    #found: PlacedToken[] = [];
    /** The position after each sequence's last token in it. */
    readonly #ends = new Map<number, number>();
    /** Generated tokens of the batch behind which something is expected. */
    #expecting: Expecting[] = [];
    #step: Step;
    readonly #texts: Texts;

    /** `context` gives the stock methods (`stockContext`). */
    constructor(context: AddonContext, backend: Backend, parts: HookParts, queue: DecodeQueue) {
        this.#context = context;
        this.#backend = backend;
        this.#parts = parts;
        this.#queue = queue;
        this.#texts = parts.texts;
        this.#step = new Step(parts);
    }

    /** The replacements, by method name. */
    get methods(): Record<string, unknown> {
        const stock = this.#context as unknown as Record<string, (...args: unknown[]) => unknown>;
        const backend = this.#backend;
        return {
            initBatch: () => this.#initBatch(),
            addToBatch: (...args: Parameters<AddonContext["addToBatch"]>) => this.#addToBatch(...args),
            decodeBatch: () => this.#decodeBatch(),
            sampleToken: (row: number, sampler: AddonSampler, ...details: unknown[]) =>
                this.#step.sample(row, sampler, details),
            removeTokenCellsFromSequence: (sequence: number, start: number, end: number) => {
                this.#remove(sequence, start, end);
                // node-llama-cpp then restores a checkpoint or evaluates the text anew.
                if (backend.recurrent && (start > 0 || end >= 0)) return false;
                return this.#context.removeTokenCellsFromSequence(sequence, start, end);
            },
            shiftSequenceTokenCells: (sequence: number, start: number, end: number, delta: number) => {
                this.#drop(sequence);
                backend.shifting(sequence, start, end, delta);
                this.#texts.shift(sequence, start, end, delta);
                return stock.shiftSequenceTokenCells?.(sequence, start, end, delta);
            },
            getContextSize: () => this.#context.getContextSize() - backend.extraCells,
            disposeSequence: (sequence: number) => {
                // node-llama-cpp would decode what waits into the text of the number's next holder.
                const {sequence: holder} = this.#parts.sequences._stateOf(sequence);
                this.#queue.reject(sequence, isLeaving(holder) ? new DisposedError() : sequenceChanged());
                this.#remove(sequence, 0, -1);
                return this.#context.disposeSequence(sequence);
            },
            saveSequenceStateToFile: async (file: string, sequence: number, ...rest: unknown[]) => {
                await this.withoutAhead(sequence);
                backend.preparingState(0);
                return await stock.saveSequenceStateToFile?.(file, sequence, ...rest);
            },
            loadSequenceStateFromFile: async (
                file: string,
                sequence: number,
                maxTokens: number,
                ...rest: unknown[]
            ) => {
                // The loaded text may take the place of tokens that the windows of other sequences no longer reach.
                this.#dropAll();
                this.#remove(sequence, 0, -1);
                backend.preparingState(maxTokens);
                const result = await stock.loadSequenceStateFromFile?.(file, sequence, maxTokens, ...rest);
                backend.loaded(sequence);
                this.#texts.load(sequence, (result ?? []) as ArrayLike<number>);
                return result;
            },
            restoreCheckpoint: async (checkpoint: object, last: number, sequence: number) => {
                // A checkpoint of windows may hold a token ahead. Without it node-llama-cpp evaluates the text anew.
                if (!backend.recurrent || backend.window > 0) return false;
                this.#drop(sequence);
                backend.restoring(sequence, last + 1);
                this.#takenBack(sequence, last + 1, -1);
                return await this.#context.restoreCheckpoint(checkpoint, last, sequence);
            },
            copySequenceStateFromOtherSequence: async (target: number, source: number) => {
                await this.withoutAhead(source);
                this.#remove(target, 0, -1);
                const result = await stock.copySequenceStateFromOtherSequence?.(target, source);
                backend.shared(source, target);
                this.#texts.copy(source, target);
                this.#tellCopied(source, target);
                return result;
            },
            setLoras: (...args: unknown[]) => {
                this.#dropAll();
                backend.adapting();
                return stock.setLoras?.(...args);
            },
            getSequenceKvCacheMinPosition: (sequence: number) => {
                const position = this.#context.getSequenceKvCacheMinPosition(sequence);
                if (backend.recurrent) return this.#visible(sequence, position);
                // node-llama-cpp may go on after any token from this position, so the window of the token after it must be whole.
                return position > 0 && backend.window > 0 ? position + backend.window - 2 : position;
            },
            getSequenceKvCacheMaxPosition: (sequence: number) => {
                return this.#visible(sequence, this.#context.getSequenceKvCacheMaxPosition(sequence));
            },
            dispose: () => {
                this.#parts.ahead.forget();
                backend.close();
                return this.#context.dispose();
            }
        };
    }

    /** Leaves the sequence as node-llama-cpp knows it, also for what reads the native context itself. */
    async withoutAhead(sequence: number): Promise<void> {
        this.#drop(sequence);
        await this.#backend.settled();
    }

    /** The position, or the last that node-llama-cpp knows of. */
    #visible(sequence: number, position: number): number {
        const hidden = this.#parts.ahead.positionIn(sequence) ?? this.#backend.leavingFrom(sequence);
        return hidden === undefined ? position : Math.min(position, hidden - 1);
    }

    /** Drops the token ahead, which leaves the sequence as node-llama-cpp knows it. */
    #drop(sequence: number): void {
        const position = this.#parts.ahead.drop(sequence);
        if (position !== undefined) this.#tellTakenBack(sequence, position, -1);
    }

    #dropAll(): void {
        for (const sequence of this.#parts.ahead.sequences) this.#drop(sequence);
    }

    #remove(sequence: number, start: number, end: number): void {
        this.#drop(sequence);
        this.#backend.remove(sequence, Math.max(0, start), end);
        this.#takenBack(sequence, Math.max(0, start), end);
    }

    #takenBack(sequence: number, start: number, end: number): void {
        this.#texts.remove(sequence, start, end);
        this.#tellTakenBack(sequence, start, end);
    }

    #tellTakenBack(sequence: number, start: number, end: number): void {
        const state = this.#parts.sequences._stateOf(sequence);
        if (state.sequence === undefined) return;
        const range = {sequence: state.sequence, start, end: end < 0 ? undefined : end};
        tellGuides(state.settings.guides, (guide) => guide.takenBack?.(range));
    }

    #tellCopied(source: number, target: number): void {
        const {sequence: to, settings} = this.#parts.sequences._stateOf(target);
        const {sequence: from} = this.#parts.sequences._stateOf(source);
        if (from === undefined || to === undefined) return;
        tellGuides(settings.guides, (guide) => guide.copied?.({from, to}));
    }

    #initBatch(): void {
        this.#step.end();
        this.#batch = [];
        this.#rows = [];
        this.#found = [];
        this.#ends.clear();
        this.#expecting = [];
        this.#step = new Step(this.#parts);
    }

    #addToBatch(sequence: number, first: number, tokens: Uint32Array, outputs: Uint32Array): Uint32Array {
        const {rows} = this.#step;
        const {counters} = this.#parts;
        const ahead = this.#parts.ahead.take(sequence, first, tokens, outputs);
        if (ahead !== undefined) {
            this.#found.push(ahead);
            this.#ends.set(sequence, first + 1);
            this.#note(sequence, first, tokens);
            return Uint32Array.of(rows.push(new Row(ahead, ahead.row, counters)) - 1);
        }
        this.#drop(sequence);
        const end = this.#ends.get(sequence) ?? this.#end(sequence);
        // llama.cpp would refuse the whole batch. What is thrown here reaches only who waits for these tokens.
        if (first !== end) throw sequenceChanged();
        this.#ends.set(sequence, first + tokens.length);
        this.#note(sequence, first, tokens);
        const wanted = new Set(outputs);
        const ids: number[] = [];
        for (const [i, token] of tokens.entries()) {
            const entry = {sequence, position: first + i, token, output: wanted.has(i)};
            const index = this.#batch.push(entry) - 1;
            if (!entry.output) continue;
            const row = new Row(entry, undefined, counters);
            this.#rows.push({row, index});
            ids.push(rows.push(row) - 1);
        }
        if (tokens.length === 1) this.#expectBehind({sequence, position: first, token: tokens[0] as number});
        return Uint32Array.from(ids);
    }

    /** The position after the last token that node-llama-cpp knows of. */
    #end(sequence: number): number {
        return this.#visible(sequence, this.#context.getSequenceKvCacheMaxPosition(sequence)) + 1;
    }

    /** Keeps the text, and lets guides decode beside the batch. */
    #note(sequence: number, first: number, tokens: Uint32Array): void {
        const state = this.#parts.sequences._stateOf(sequence);
        const isOwn = (i: number) => isGenerated({position: first + i, token: tokens[i] as number}, state);
        this.#texts.append(sequence, first, tokens, isOwn);
        const {sequence: holder, settings} = state;
        state.guides = holder === undefined || !settings.enabled ? [] : settings.guides;
        tellGuides(state.guides, (guide) =>
            guide.decoding?.(guidedText(holder as LlamaContextSequence, this.#texts.of(sequence)))
        );
    }

    async #decodeBatch(): Promise<void> {
        const {rows, ...times} = await this.#decode();
        for (const {row, index} of this.#rows) row.hold(rows[index]);
        this.#parts.counters.countBatch(this.#batch, times);
    }

    #expectBehind(token: PlacedToken): void {
        const {predictions, settings} = this.#parts.sequences._stateOf(token.sequence);
        if (predictions === undefined || predictions.from(token.position + 1).length === 0) return;
        const {enabled, panel} = settings;
        if (enabled && panel.agents.some(({disposed}) => disposed)) return;
        const nobody = {judge: undefined, own: undefined};
        this.#expecting.push({...token, predictions, judging: enabled ? judgingOf(panel) : nobody});
    }

    async #decode(): Promise<DecodeOutcome> {
        const isExpecting = this.#expecting.length > 0;
        const decode = async (tokens: readonly BatchToken[]) => {
            const expected =
                isExpecting &&
                tokens === this.#batch &&
                (await this.#parts.decodeExpected(this.#batch, this.#expecting));
            return expected || (await this.#backend.decode(tokens));
        };
        try {
            return await this.#parts.beside.decode(this.#batch, decode, isExpecting);
        } catch (error) {
            // node-llama-cpp takes the whole batch for not decoded.
            this.#step.end();
            for (const {sequence, position} of this.#found) this.#remove(sequence, position, -1);
            throw error;
        }
    }
}

function sequenceChanged(): MaraError {
    return new MaraError(
        "SEQUENCE_CHANGED",
        "The sequence was cleared, cut or loaded while a token of it waited to be decoded, so the token has no place any more. " +
            "Await a generation's last token, or its `return()`, before you change its sequence."
    );
}
