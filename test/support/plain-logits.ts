import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {onTestFinished} from "vitest";
import {precise} from "./models.js";
import {plainContext, plainSampler} from "./plain-context.js";

/** A plain model's logits in the slowest way: for each text an empty cache, and the whole text from its beginning. */
export class PlainLogits {
    readonly #context: LlamaContext;
    readonly #sampler: object;
    readonly #size: number;

    private constructor(context: LlamaContext, sampler: object, size: number) {
        this.#context = context;
        this.#sampler = sampler;
        this.#size = size;
    }

    /** Ends with the test. With `states`, also the hidden states that the logits come from. */
    static async of(model: LlamaModel, {states = false} = {}): Promise<PlainLogits> {
        const options = {...precise, contextSize: 2048, batchSize: 2048, ...(states && {_embeddings: true})};
        const context = await model.createContext(options);
        onTestFinished(() => context.dispose());
        const {tokens} = model.fileInfo.metadata.tokenizer.ggml as unknown as {tokens: string[]};
        return new PlainLogits(context, plainSampler(model), tokens.length);
    }

    /** One logit per token of the vocabulary. */
    async after(text: readonly number[]): Promise<Float64Array> {
        const context = plainContext(this.#context);
        context.removeTokenCellsFromSequence(0, 0, -1);
        context.initBatch(text.length);
        const rows = context.addToBatch(0, 0, Uint32Array.from(text), Uint32Array.of(text.length - 1));
        await context.decodeBatch();
        const everything = [[], false, false, false, 2 ** 20];
        const row = rows[0] as number;
        const [, , , pairs] = await context.sampleToken(row, this.#sampler, false, false, everything, false);
        const logits = new Float64Array(this.#size).fill(Number.NEGATIVE_INFINITY);
        for (let i = 0; i < pairs.length; i += 2) logits[pairs[i] as number] = pairs[i + 1] as number;
        return logits;
    }

    /** The hidden state that the text leads to. */
    async stateAfter(text: readonly number[]): Promise<Float64Array> {
        await this.after(text);
        return Float64Array.from(plainContext(this.#context).getEmbedding(text.length));
    }
}
