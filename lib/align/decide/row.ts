import type {HeldRow, PlacedToken} from "../backend/backend.js";
import type {Counters} from "./stats.js";
import type {TopLogits} from "./top-logits.js";

/** A row of logits that node-llama-cpp may sample from. */
export class Row {
    readonly sequence: number;
    /** Position of the token that these logits lead to. */
    readonly position: number;
    /** The token evaluated at `position - 1`. */
    readonly token: number;
    #held: HeldRow | undefined;
    readonly #counters: Counters | undefined;

    /** `counters` count a decode that only this row needed. */
    constructor({sequence, position, token}: PlacedToken, held: HeldRow | undefined, counters?: Counters) {
        this.sequence = sequence;
        this.position = position + 1;
        this.token = token;
        this.#held = held;
        this.#counters = counters;
    }

    /** Takes the row's logits once the batch has been decoded. */
    hold(held: HeldRow | undefined): void {
        this.#held = held;
    }

    /** Its largest logits; undefined where none are wanted or the backend cannot look at them. */
    top(count: number): TopLogits | undefined {
        return count === 0 ? undefined : this.#row.top(count);
    }

    /** Runs `use` with the index at which node-llama-cpp's sampler finds the row. */
    async read<T>(use: (index: number) => Promise<T>): Promise<T> {
        const row = this.#row;
        const {index, decodeMs} = await row.present();
        const {sequence, position, token} = this;
        if (decodeMs !== undefined) this.#counters?.countBatch([{sequence, position: position - 1, token}], {decodeMs});
        try {
            return await use(index);
        } finally {
            row.withdraw();
        }
    }

    /** A copy of its logits, one per token of the vocabulary. Undefined where the backend cannot look at them. */
    logits(): Float32Array | undefined {
        return this.#row.logits();
    }

    setLogits(logits: Float32Array): void {
        this.#row.setLogits(logits);
    }

    /** A student's verdicts on candidates drawn from the row (`HeldRow.predict`). */
    predict(...args: Parameters<HeldRow["predict"]>): Float32Array | undefined {
        return this.#row.predict(...args);
    }

    /** A copy of the hidden state that its logits come from; undefined where it has none. */
    state(): Float32Array | undefined {
        return this.#row.state();
    }

    /** Gives the row up: nobody reads it any more. */
    free(): void {
        this.#held?.free();
        this.#held = undefined;
    }

    get #row(): HeldRow {
        if (this.#held === undefined) throw new Error("This row of logits is not part of the current batch");
        return this.#held;
    }
}
