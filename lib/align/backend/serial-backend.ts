import type {AddonContext} from "../node-llama-cpp/internals.js";
import type {Backend, BatchToken, DecodeOutcome, HeldRow, PlacedToken, WaveOutcome, WaveToken} from "./backend.js";
import {Change} from "./change.js";

/**
 * Stock node-llama-cpp calls only, on a context created with `_embeddings: true`. Only the last output's hidden state can
 * be read, so a wave judges one candidate, which is put last.
 */
export class SerialBackend implements Backend {
    readonly mode = "serial";
    readonly judgesBatches = false;
    readonly lanes = 0;
    readonly window = 0;
    readonly waveSize: number;
    readonly #context: AddonContext;
    /** Tokens in the last batch. */
    #decoded = 0;
    /** Number of the last decode, by which a row knows whether its logits still stand. */
    #decodes = 0;
    /** Rows that are being read. Those of the last decode are read side by side; to decode one again, the others must have been read. */
    #readers = 0;
    #isRedecoding = false;
    readonly #withdrawal = new Change();

    constructor(context: AddonContext, batchSize: number) {
        this.#context = context;
        this.waveSize = batchSize;
    }

    async decode(tokens: readonly BatchToken[]): Promise<DecodeOutcome> {
        const decodeMs = await this.#run(tokens);
        // llama.cpp can take back a token only with all that follow it, so a token in the middle would have to be decoded again with them.
        const followed = (token: BatchToken) =>
            tokens.filter(({sequence, position}) => sequence === token.sequence && position >= token.position);
        const rows = tokens.map((token, i) => (token.output ? this.#row(i, followed(token)) : undefined));
        return {decodeMs, rows};
    }

    async wave(tokens: readonly WaveToken[]): Promise<WaveOutcome> {
        const decodeMs = await this.#run(tokens.map((token) => ({...token, output: true})));
        const probabilities = new Float32Array(tokens.length).fill(Number.NaN);
        const last = tokens.length - 1;
        // Several agents are combined natively only, in lanes.
        const agent = tokens[last]?.judge?.agents[0];
        const start = performance.now();
        if (agent !== undefined && !agent.disposed)
            probabilities[last] = (await agent.scoreAsync(this.states()))[0] as number;
        return {fits: true, probabilities, decodeMs, kernelMs: performance.now() - start};
    }

    hold(index: number, token: PlacedToken): HeldRow {
        return this.#row(index, [{...token, output: true}]);
    }

    async #run(tokens: readonly BatchToken[]): Promise<number> {
        this.#decoded = tokens.length;
        this.#decodes++;
        this.#context.initBatch(tokens.length);
        for (const {sequence, position, token, output} of tokens)
            this.#context.addToBatch(sequence, position, Uint32Array.of(token), Uint32Array.from(output ? [0] : []));
        const start = performance.now();
        await this.#context.decodeBatch();
        return performance.now() - start;
    }

    /** Stock node-llama-cpp keeps no logits: those that another decode has overwritten are decoded again. */
    #row(index: number, tokens: readonly BatchToken[]): HeldRow {
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
                    const decodeMs = await this.#run(tokens);
                    decode = this.#decodes;
                    place = 0;
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
            free: () => {}
        };
    }

    #withdraw(): void {
        this.#readers--;
        this.#withdrawal.tell();
    }

    remove(sequence: number, start: number, end = -1): void {
        this.#context.removeTokenCellsFromSequence(sequence, start, end);
    }

    adopt(): never {
        throw new Error("The serial mode has no lanes");
    }

    release(): void {}
    keepStates(): void {}
    shared(): void {}
    shifting(): void {}
    preparingState(): void {}
    loaded(): void {}

    states(): Float32Array {
        // Releases up to 3.20 take the state at this place of the batch. Later ones always take the last.
        return Float32Array.from(this.#context.getEmbedding(this.#decoded));
    }

    close(): void {}
}
