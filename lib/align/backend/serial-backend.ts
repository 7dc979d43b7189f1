import type {AddonContext} from "../node-llama-cpp/internals.js";
import type {Backend, BatchToken, WaveOutcome, WaveToken} from "./backend.js";

/**
 * Stock node-llama-cpp calls only, on a context created with `_embeddings: true`. Only the last output's hidden state can
 * be read, so a wave judges one candidate, which is put last.
 */
export class SerialBackend implements Backend {
    readonly mode = "serial";
    readonly judgesBatches = false;
    readonly lanes = 0;
    readonly batchSize: number;
    readonly #context: AddonContext;
    /** Tokens in the last batch. */
    #decoded = 0;

    constructor(context: AddonContext, batchSize: number) {
        this.#context = context;
        this.batchSize = batchSize;
    }

    async decode(tokens: readonly BatchToken[]): Promise<{decodeMs: number}> {
        this.#decoded = tokens.length;
        this.#context.initBatch(tokens.length);
        for (const {sequence, position, token, output} of tokens)
            this.#context.addToBatch(sequence, position, Uint32Array.of(token), Uint32Array.from(output ? [0] : []));
        const start = performance.now();
        await this.#context.decodeBatch();
        return {decodeMs: performance.now() - start};
    }

    async wave(tokens: readonly WaveToken[]): Promise<WaveOutcome> {
        const {decodeMs} = await this.decode(tokens.map((token) => ({...token, output: true})));
        const probabilities = new Float32Array(tokens.length).fill(Number.NaN);
        const last = tokens.length - 1;
        const agent = tokens[last]?.agent;
        const start = performance.now();
        if (agent !== undefined) {
            probabilities[last] = (await agent.scoreAsync(this.states()))[0] as number;
        }
        return {fits: true, probabilities, decodeMs, kernelMs: performance.now() - start};
    }

    takeBack(sequence: number, position: number): void {
        this.#context.removeTokenCellsFromSequence(sequence, position, -1);
    }

    adopt(): never {
        throw new Error("The serial mode has no lanes");
    }

    release(): void {}

    states(): Float32Array {
        // Releases up to 3.20 take the state at this place of the batch, later ones the last in any case.
        return Float32Array.from(this.#context.getEmbedding(this.#decoded));
    }

    close(): void {}
}
