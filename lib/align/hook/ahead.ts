import type {Backend} from "../backend/backend.js";
import type {AheadToken} from "../wave/waves.js";

/**
 * Decided tokens whose forward pass has been run before node-llama-cpp asks for it, at most one per sequence. Until it does, a
 * token's cell is invisible: whatever else is done to the sequence drops it first.
 */
export class Ahead {
    readonly #backend: Backend;
    readonly #tokens = new Map<number, AheadToken>();

    constructor(backend: Backend) {
        this.#backend = backend;
    }

    add(token: AheadToken): void {
        this.#tokens.set(token.sequence, token);
    }

    /** The sequence's token, if it is the one that is to be evaluated. */
    take(sequence: number, position: number, tokens: Uint32Array, outputs: Uint32Array): AheadToken | undefined {
        const ahead = this.#tokens.get(sequence);
        const isSame = ahead?.position === position && ahead.token === tokens[0];
        if (!isSame || tokens.length !== 1 || outputs.length !== 1) return undefined;
        this.#tokens.delete(sequence);
        return ahead;
    }

    /** Leaves the sequence as node-llama-cpp knows it. Gives the position of the token that went, if there was one. */
    drop(sequence: number): number | undefined {
        const ahead = this.#tokens.get(sequence);
        if (ahead === undefined) return undefined;
        this.#tokens.delete(sequence);
        ahead.row.free();
        this.#backend.remove(sequence, ahead.position);
        return ahead.position;
    }

    get sequences(): number[] {
        return [...this.#tokens.keys()];
    }

    positionIn(sequence: number): number | undefined {
        return this.#tokens.get(sequence)?.position;
    }

    /** The context goes away with what was in it. */
    forget(): void {
        this.#tokens.clear();
    }
}
