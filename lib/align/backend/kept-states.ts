import type {AddonContext, SequenceCheckpoint} from "../node-llama-cpp/internals.js";

/**
 * The states of recurrent layers from before each sequence's last batch, as node-llama-cpp's own checkpoints. Bringing one back
 * takes a call that nobody waits for in the place where tokens are given up, so that is done before the next decode.
 */
export class KeptStates {
    readonly #context: AddonContext;
    /** The native object itself, which a checkpoint unwraps. */
    readonly #native: object;
    readonly #Checkpoint: new () => SequenceCheckpoint;
    readonly #kept = new Map<number, {position: number; state: SequenceCheckpoint}>();
    /** Sequences that are to be brought back. */
    readonly #leaving = new Set<number>();
    /** Sequences that stand where their checkpoint was taken. */
    readonly #fresh = new Set<number>();

    constructor(context: AddonContext, native: object, Checkpoint: new () => SequenceCheckpoint) {
        this.#context = context;
        this.#native = native;
        this.#Checkpoint = Checkpoint;
    }

    /** Keeps the sequence's state, before its token at `position` is decoded. */
    async keep(sequence: number, position: number): Promise<void> {
        if (this.#fresh.delete(sequence)) return;
        this.forget(sequence);
        // A text that is taken back to its beginning is removed as a whole, so it needs no state.
        if (position === 0) return;
        const state = new this.#Checkpoint();
        await state.init(this.#native, sequence);
        this.#kept.set(sequence, {position, state});
    }

    forget(sequence: number): void {
        this.#kept.get(sequence)?.state.dispose();
        this.#kept.delete(sequence);
        this.#leaving.delete(sequence);
        this.#fresh.delete(sequence);
    }

    forgetAll(): void {
        for (const sequence of [...this.#kept.keys()]) this.forget(sequence);
    }

    /** Takes back the tokens from `start` on, if the state from before them is kept. */
    takeBack(sequence: number, start: number): void {
        if (this.#kept.get(sequence)?.position === start && !this.#fresh.has(sequence)) this.#leaving.add(sequence);
    }

    leavingFrom(sequence: number): number | undefined {
        return this.#leaving.has(sequence) ? this.#kept.get(sequence)?.position : undefined;
    }

    /** Brings back all states that are to be. */
    async settle(): Promise<void> {
        for (const sequence of this.#leaving) {
            const {position, state} = this.#kept.get(sequence) as {position: number; state: SequenceCheckpoint};
            const restoring = this.#context.restoreCheckpoint(state, position - 1, sequence);
            const restored = await restoring.catch((error) => {
                if (this.#leaving.has(sequence)) throw error;
            });
            // The sequence may have been disposed meanwhile.
            if (!this.#leaving.delete(sequence)) continue;
            if (restored !== true) throw new Error("node-llama-cpp did not restore a checkpoint");
            this.#fresh.add(sequence);
        }
    }
}
