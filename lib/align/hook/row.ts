import type {BatchToken, HeldRow, PlacedToken} from "../backend/backend.js";
import type {TopLogits} from "../decide/top-logits.js";

/** A row of logits that node-llama-cpp may sample from. */
export class Row {
    readonly sequence: number;
    /** Position of the token that these logits lead to. */
    readonly position: number;
    /** The token evaluated at `position - 1`. */
    readonly token: number;
    #held: HeldRow | undefined;
    readonly #onDecode: ((token: BatchToken, decodeMs: number) => void) | undefined;

    /** `onDecode` is told of a decode that only this row needed. */
    constructor(
        {sequence, position, token}: PlacedToken,
        held: HeldRow | undefined,
        onDecode?: (token: BatchToken, decodeMs: number) => void
    ) {
        this.sequence = sequence;
        this.position = position + 1;
        this.token = token;
        this.#held = held;
        this.#onDecode = onDecode;
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
        if (decodeMs !== undefined) {
            const {sequence, position, token} = this;
            this.#onDecode?.({sequence, position: position - 1, token, output: true}, decodeMs);
        }
        try {
            return await use(index);
        } finally {
            row.withdraw();
        }
    }

    /** Lets `change` change the logits. False where the backend cannot look at them. */
    async edit(change: (logits: Float32Array) => Promise<void>): Promise<boolean> {
        const logits = this.#row.logits();
        if (logits === undefined) return false;
        await change(logits);
        this.#row.setLogits(logits);
        return true;
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
