import type {Decision, Rider} from "../decide/decision.js";
import type {TopLogits} from "../decide/top-logits.js";
import type {Resident} from "../wave/waves.js";

/** A row of logits that node-llama-cpp asked for. */
export interface Row {
    readonly sequence: number;
    /** Position of the token that these logits lead to. */
    readonly position: number;
    /** The token evaluated at `position - 1`. */
    readonly token: number;
    /** Row in the last decode; undefined once another decode has overwritten it. */
    index: number | undefined;
    /** Whether the token's cell is out of order (`Decision.predecessor`). */
    misplaced: boolean;
    /** Its largest logits, if they came with the decode. */
    best?: TopLogits | undefined;
}

interface Waiting {
    decision: Decision;
    resolve(): void;
    reject(error: unknown): void;
}

/**
 * Everything that node-llama-cpp samples from one of its batches. Reading logits and decoding candidates must not overlap,
 * so decisions wait until every row has been read, and are then settled together.
 */
export class SamplingStep {
    readonly rows: Row[] = [];
    /** Tokens of this step whose logits are resident. */
    residents: Resident[] = [];
    readonly #settle: (decisions: readonly Decision[], riders: readonly Rider[]) => Promise<Resident[]>;
    readonly #riders: Rider[] = [];
    #waiting: Waiting[] = [];
    #round: Promise<void> | undefined;
    #arrived = 0;
    /** Rows that have been read, or are being read, and whose token is neither decided nor known yet. */
    readonly #choosing = new Set<Row>();

    constructor(settle: (decisions: readonly Decision[], riders: readonly Rider[]) => Promise<Resident[]>) {
        this.#settle = settle;
    }

    /** Counts a row as asked for, and runs `read` while no decode overwrites logits. Decisions wait until `decide` or `leave`. */
    async read<T>(row: Row, read: () => Promise<T>): Promise<T> {
        this.#arrived++;
        while (this.#round !== undefined) await this.#round;
        this.#choosing.add(row);
        return await read();
    }

    /** The row needs no decision, or no more. */
    leave(row: Row): void {
        if (this.#choosing.delete(row)) this.#startWhenReady();
    }

    /** Adds a token that was emitted without a decision; if others decide, it is decoded with them. */
    ride(rider: Rider): void {
        this.#riders.push(rider);
    }

    /** Resolves when the row's decision has been settled, together with the others of this step. */
    decide(row: Row, decision: Decision): Promise<void> {
        this.#choosing.delete(row);
        return new Promise((resolve, reject) => {
            this.#waiting.push({decision, resolve, reject});
            this.#startWhenReady();
        });
    }

    #startWhenReady(): void {
        if (this.#waiting.length === 0 || this.#choosing.size > 0 || this.#round !== undefined) return;
        if (this.#arrived >= this.rows.length) {
            this.#start();
            return;
        }
        // A row may never be asked for (an aborted evaluation): whoever comes at all comes within this turn of the event loop.
        const arrived = this.#arrived;
        setImmediate(() => {
            if (
                this.#waiting.length > 0 &&
                this.#choosing.size === 0 &&
                this.#round === undefined &&
                arrived === this.#arrived
            )
                this.#start();
        });
    }

    #start(): void {
        const waiting = this.#waiting;
        this.#waiting = [];
        const riders = [...this.residents, ...this.#riders.splice(0)];
        this.residents = [];
        for (const row of this.rows) row.index = undefined;
        this.#round = this.#settle(
            waiting.map(({decision}) => decision),
            riders
        )
            .then(
                (residents) => {
                    this.residents = residents;
                    for (const {resolve} of waiting) resolve();
                },
                (error) => {
                    for (const {reject} of waiting) reject(error);
                }
            )
            .finally(() => {
                this.#round = undefined;
                this.#startWhenReady();
            });
    }
}
