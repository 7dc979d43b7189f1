import type {AddonContext} from "../node-llama-cpp/internals.js";
import type {Backend, BatchToken, DecodeOutcome, HeldRow, PlacedToken, WaveOutcome, WaveToken} from "./backend.js";
import {Change} from "./change.js";
import {tiledFrom} from "./independent-batches.js";
import type {KeptStates} from "./kept-states.js";

/**
 * Stock node-llama-cpp calls only, on a context created with `_embeddings: true`. Only the last output's hidden state can
 * be read, so a wave judges one candidate, which is put last.
 */
export class SerialBackend implements Backend {
    readonly mode = "serial";
    readonly judgesBatches = false;
    readonly judgesRuns = false;
    readonly lanes = 0;
    readonly extraCells = 0;
    readonly window = 0;
    readonly waveSize: number;
    readonly recurrent: boolean;
    readonly #context: AddonContext;
    /** Recurrent and hybrid models have it; others take tokens back by their cells. */
    readonly #states: KeptStates | undefined;
    /** True if long prompts are decoded in pieces (`piecesOf`). */
    readonly #inPieces: boolean;
    /** True if rows of several sequences may wait for each other. */
    readonly #shared: boolean;
    /** Tokens in the last batch, or in its last piece. */
    #decoded = 0;
    /** Number of the last decode, by which a row knows whether its logits still stand. */
    #decodes = 0;
    /** Rows that are being read. Those of the last decode are read side by side; to decode one again, the others must have been read. */
    #readers = 0;
    #isRedecoding = false;
    readonly #withdrawal = new Change();

    /** `tiled`: attention computes long batches in tiles, as it does on CPUs. */
    constructor(
        context: AddonContext,
        shape: {batchSize: number; sequences: number; tiled: boolean},
        states: KeptStates | undefined
    ) {
        this.#context = context;
        this.waveSize = shape.batchSize;
        this.#shared = shape.sequences > 1;
        this.#states = states;
        this.recurrent = states !== undefined;
        // Recurrent states go back by whole batches, and some recurrent layers round by a batch's length.
        this.#inPieces = shape.tiled && !this.recurrent;
    }

    async decode(tokens: readonly BatchToken[]): Promise<DecodeOutcome> {
        // With one sequence no decode comes between this one and the reading of its rows.
        const {decodeMs, first} = await this.#run(tokens, this.#shared);
        // llama.cpp can take back a token only with all that follow it, so a token in the middle would have to be decoded again with
        // them; a state goes back to before the batch.
        const again = (token: BatchToken) =>
            tokens.filter(
                ({sequence, position}) => sequence === token.sequence && (this.recurrent || position >= token.position)
            );
        const rows = tokens.map((token, i) => (token.output ? this.#row(i - first, token, again(token)) : undefined));
        return {decodeMs, rows};
    }

    async wave(tokens: readonly WaveToken[]): Promise<WaveOutcome> {
        const {decodeMs} = await this.#run(
            tokens.map((token) => ({...token, output: true})),
            true
        );
        const [first, ...others] = tokens.at(-1)?.judge ?? [];
        const agents = first === undefined ? 0 : others.length + 1;
        const logits = new Float32Array(tokens.length * agents).fill(Number.NaN);
        const probabilities = logits.slice();
        const start = performance.now();
        if (first !== undefined && ![first, ...others].some(({disposed}) => disposed)) {
            const judged = await first.judgeAsync(this.states(), others);
            const last = (tokens.length - 1) * agents;
            logits.set(judged.logits, last);
            probabilities.set(judged.probabilities, last);
        }
        return {fits: true, agents, logits, probabilities, decodeMs, kernelMs: performance.now() - start};
    }

    hold(index: number, token: PlacedToken): HeldRow {
        const again = {...token, output: true};
        return this.#row(index, again, [again]);
    }

    /** `keep`: the tokens may be taken back. `first`: the place of the token whose place in llama.cpp's last batch is 0. */
    async #run(tokens: readonly BatchToken[], keep: boolean): Promise<{decodeMs: number; first: number}> {
        await this.#prepareStates(tokens, keep);
        const pieces = this.#inPieces ? piecesOf(tokens) : [tokens];
        const begins = new Map<number, number>();
        let decodeMs = 0;
        try {
            for (const piece of pieces) {
                decodeMs += await this.#decodePiece(piece);
                for (const {sequence, position} of piece) if (!begins.has(sequence)) begins.set(sequence, position);
            }
        } catch (error) {
            // node-llama-cpp takes the whole batch for not decoded.
            for (const [sequence, position] of begins) this.remove(sequence, position);
            throw error;
        }
        return {decodeMs, first: tokens.length - this.#decoded};
    }

    async #decodePiece(tokens: readonly BatchToken[]): Promise<number> {
        this.#decoded = tokens.length;
        this.#decodes++;
        this.#context.initBatch(tokens.length);
        for (const {sequence, position, token, output} of tokens)
            this.#context.addToBatch(sequence, position, Uint32Array.of(token), Uint32Array.from(output ? [0] : []));
        const start = performance.now();
        await this.#context.decodeBatch();
        return performance.now() - start;
    }

    async #prepareStates(tokens: readonly BatchToken[], keep: boolean): Promise<void> {
        if (this.#states === undefined) return;
        await this.#states.settle();
        const begun = new Set<number>();
        for (const {sequence, position} of tokens) {
            if (begun.has(sequence)) continue;
            begun.add(sequence);
            if (keep) await this.#states.keep(sequence, position);
            else this.#states.forget(sequence);
        }
    }

    /**
     * Stock node-llama-cpp keeps no logits: those of `token` that another decode has overwritten are decoded again, together with the
     * others of `tokens`.
     */
    #row(index: number, token: BatchToken, tokens: readonly BatchToken[]): HeldRow {
        let decode = this.#decodes;
        let place = index;
        return {
            top: () => undefined,
            present: async () => {
                while (this.#isRedecoding || (decode !== this.#decodes && this.#readers > 0))
                    await this.#withdrawal.next();
                this.#readers++;
                if (decode === this.#decodes) return {index: place};
                try {
                    this.#isRedecoding = true;
                    const {sequence, position} = tokens[0] as BatchToken;
                    this.remove(sequence, position);
                    const {decodeMs, first} = await this.#run(tokens, true);
                    decode = this.#decodes;
                    place = tokens.indexOf(token) - first;
                    return {index: place, decodeMs};
                } catch (error) {
                    this.#withdraw();
                    throw error;
                } finally {
                    this.#isRedecoding = false;
                }
            },
            withdraw: () => this.#withdraw(),
            logits: () => undefined,
            setLogits: () => {},
            predict: () => undefined,
            state: () => undefined,
            free: () => {}
        };
    }

    #withdraw(): void {
        this.#readers--;
        this.#withdrawal.tell();
    }

    remove(sequence: number, start: number, end = -1): void {
        if (this.#states !== undefined) {
            if (start > 0 || end >= 0) {
                if (end < 0) this.#states.takeBack(sequence, start);
                return;
            }
            this.#states.forget(sequence);
        }
        this.#context.removeTokenCellsFromSequence(sequence, start, end);
    }

    async settled(): Promise<void> {
        await this.#states?.settle();
    }

    leavingFrom(sequence: number): number | undefined {
        return this.#states?.leavingFrom(sequence);
    }

    restoring(sequence: number): void {
        this.#states?.forget(sequence);
    }

    adopt(): never {
        throw new Error("The serial mode has no lanes");
    }

    shifting(sequence: number): void {
        this.#states?.forget(sequence);
    }

    release(): void {}
    keepStates(): void {}
    shared(): void {}
    preparingState(): void {}
    adapting(): void {}
    loaded(): void {}

    states(): Float32Array {
        // Releases up to 3.20 take the state at this place of the batch. Later ones always take the last.
        return Float32Array.from(this.#context.getEmbedding(this.#decoded));
    }

    close(): void {
        this.#states?.forgetAll();
    }
}

/**
 * Cuts what stands in front of a batch's first output into pieces of `tiledFrom` tokens. A context that gives hidden states gives the logits of every
 * token as well, and llama.cpp keeps room for those of its longest batch: 0.4 MB per token with 49 152 logits. A token is computed in a piece as
 * in the whole batch, since the pieces are whole tiles and the last is no shorter than one.
 */
function piecesOf(tokens: readonly BatchToken[]): (readonly BatchToken[])[] {
    const output = tokens.findIndex((token) => token.output);
    const end = Math.min(output < 0 ? tokens.length : output, tokens.length - tiledFrom);
    const pieces: (readonly BatchToken[])[] = [];
    let start = 0;
    for (; start + tiledFrom <= end; start += tiledFrom) pieces.push(tokens.slice(start, start + tiledFrom));
    return [...pieces, tokens.slice(start)];
}
