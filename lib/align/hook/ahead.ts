import type {Backend} from "../backend/backend.js";
import type {AheadToken} from "../wave/waves.js";

/**
 * Decided tokens that were decoded before node-llama-cpp has asked for it, at most one per sequence. Until it asks, a
 * token's cell is invisible: any other use of the sequence drops it first.
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

    /** Drops the token ahead, which leaves the sequence as node-llama-cpp knows it. Gives its position, if there was one. */
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

    /** Forgets all tokens without touching their cells, because the context goes away with them. */
    forget(): void {
        this.#tokens.clear();
    }
}
