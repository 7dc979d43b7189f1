import type {Backend} from "../backend/backend.js";
import type {Runs} from "../predict/runs.js";
import type {AheadToken} from "../wave/waves.js";

/**
 * Decided tokens that were decoded before node-llama-cpp has asked for it, at most one per sequence, and the runs of predicted ones behind
 * them. Until it asks, the cells are invisible: any other use of the sequence drops them first.
 */
export class Ahead {
    readonly #backend: Backend;
    readonly #runs: Runs;
    readonly #tokens = new Map<number, AheadToken>();

    constructor(backend: Backend, runs: Runs) {
        this.#backend = backend;
        this.#runs = runs;
    }

    add(token: AheadToken): void {
        this.#tokens.set(token.sequence, token);
    }

    /** Tells that a token was chosen that no wave has decoded. True if it is the next of the sequence's run, which ends otherwise. */
    follow({sequence, position}: {sequence: number; position: number}, token: number): boolean {
        const next = this.#runs.next(sequence);
        if (next?.position !== position || next.token !== token) {
            this.#runs.drop(sequence);
            return false;
        }
        this.add(this.#runs.take(sequence));
        return true;
    }

    /** The sequence's token, if it is the one that is to be evaluated. */
    take(sequence: number, position: number, tokens: Uint32Array, outputs: Uint32Array): AheadToken | undefined {
        const ahead = this.#tokens.get(sequence);
        const isSame = ahead?.position === position && ahead.token === tokens[0];
        if (!isSame || tokens.length !== 1 || outputs.length !== 1) return undefined;
        this.#tokens.delete(sequence);
        return ahead;
    }

    /** Drops what is ahead, which leaves the sequence as node-llama-cpp knows it. Gives the decided token's position, if there was one. */
    drop(sequence: number): number | undefined {
        this.#runs.drop(sequence);
        const ahead = this.#tokens.get(sequence);
        if (ahead === undefined) return undefined;
        this.#tokens.delete(sequence);
        ahead.row.free();
        this.#backend.remove(sequence, ahead.position);
        return ahead.position;
    }

    get sequences(): number[] {
        return [...new Set([...this.#tokens.keys(), ...this.#runs.sequences])];
    }

    /** Where the cells begin that node-llama-cpp does not know of. */
    positionIn(sequence: number): number | undefined {
        return (this.#tokens.get(sequence) ?? this.#runs.next(sequence))?.position;
    }

    /** Forgets all tokens without touching their cells, because the context goes away with them. */
    forget(): void {
        this.#tokens.clear();
        this.#runs.forget();
    }
}
