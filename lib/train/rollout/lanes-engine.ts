import {decodeError, type WaveToken} from "../../align/backend/backend.js";
import type {LanesBackend} from "../../align/backend/lanes-backend.js";
import type {Candidate} from "../../align/decide/candidates.js";
import type {TopLogits} from "../../align/decide/top-logits.js";
import type {NativeAgent} from "../../native.js";
import type {RolloutEngine, Step, StepOutcome, Strand} from "./engine.js";
import type {RolloutHost} from "./host.js";
import {evenParts, gather} from "./rows.js";

/** Lanes that waves do not use: one keeps what nobody reads any more in its place, one the prompt begun last. */
export const lanesKept = 2;

/**
 * All candidates of several texts in one batch.
 *
 * What a token's forward pass computes must not depend on what else is in the batch or in the cache, or the same seed would give
 * another text with another number of sequences. Two things see to that (docs/training.md, "Rollouts"):
 * - The cache is only ever appended to. llama.cpp puts tokens into the first free cells, and attention sums in the order of
 *   cells, so a cell that was given up stays taken until everything is cleared; only what stands last, the candidates in
 *   lanes, is freed.
 * - No batch has one token only, which llama.cpp computes differently from larger ones on some CPUs and in large contexts.
 */
export class LanesEngine implements RolloutEngine {
    readonly mode = "lanes";
    readonly sequences: number;
    readonly places: number;
    readonly #host: RolloutHost;
    readonly #backend: LanesBackend;
    readonly #capacity: number;
    readonly #grave: number;
    readonly #donor: number;
    readonly #open = new Set<Strand>();
    #free: number[] = [];
    /** Cells in use, from the first on. */
    #used = 0;
    /** The prompt begun last, whose beginning others may share. */
    #donated: readonly number[] = [];

    /** @param places most tokens of a batch, at least 3 */
    constructor(host: RolloutHost, backend: LanesBackend, places: number) {
        this.#host = host;
        this.#backend = backend;
        this.places = places;
        this.sequences = host.context.totalSequences;
        this.#capacity = host.context.contextSize * this.sequences;
        this.#grave = backend.lanes - 1;
        this.#donor = backend.lanes - 2;
        this.clear();
    }

    placesOf({strand, candidates}: Step): number {
        return candidates.length + Number(strand.stale);
    }

    async begin(tokens: readonly number[]): Promise<{strand: Strand; candidates: Candidate[]}> {
        const strand: Strand = {sequence: this.#free.shift() as number, tokens: [], stale: false};
        await this.#reserve(tokens.length);
        const [candidates = []] = await this.#host.read([await this.#prefill(strand, tokens)]);
        return {strand, candidates};
    }

    async step(steps: readonly Step[], agent: NativeAgent): Promise<StepOutcome[]> {
        // First what stays, then what is freed again: what stays is never behind what was freed.
        const tokens: WaveToken[] = [];
        await this.#reserve(steps.reduce((sum, step) => sum + this.placesOf(step), 0));
        for (const {strand} of steps) if (strand.stale) tokens.push(this.#anew(strand));
        const firsts = tokens.length;
        for (const step of steps) tokens.push(this.#candidate(step, 0, agent));
        const kept = tokens.length;
        let lane = 0;
        const laneRows = steps.map((step) => {
            const row = tokens.length;
            for (let rank = 1; rank < step.candidates.length; rank++)
                tokens.push({...this.#candidate(step, rank, agent), lane: lane++});
            return row;
        });
        const {probabilities, tops, states, width} = await this.#wave(tokens);
        this.#used += kept;
        for (const {strand} of steps) strand.stale = false;

        const rowsOf = steps.map(({candidates}, i) =>
            candidates.map((_, rank) => (rank === 0 ? firsts + i : (laneRows[i] as number) + rank - 1))
        );
        const goingOn: {index: number; row: number}[] = [];
        for (const [index, {candidates, exploration, goesOn}] of steps.entries()) {
            const rows = rowsOf[index] as number[];
            if (rows.length > 1) for (const row of rows) exploration.enter(probabilities[row] as number);
            const chosen = exploration.chosen as number;
            if (goesOn((candidates[chosen] as Candidate).token)) goingOn.push({index, row: rows[chosen] as number});
        }
        const read = await this.#host.read(goingOn.map(({row}) => ({row, best: tops?.[row]})));
        const next = new Map(goingOn.map(({index}, i) => [index, read[i] as Candidate[]]));
        this.#backend.release();
        return steps.map(({strand, candidates, exploration}, index) => {
            const chosen = exploration.chosen as number;
            if (chosen > 0) this.#giveUp(strand, strand.tokens.length);
            strand.stale = chosen > 0;
            strand.tokens.push((candidates[chosen] as Candidate).token);
            const rows = candidates.length > 1 ? (rowsOf[index] as number[]) : [];
            return {
                probabilities: Float32Array.from(rows, (row) => probabilities[row] as number),
                states: gather(states, rows, width),
                next: next.get(index)
            };
        });
    }

    async run(texts: readonly {strand: Strand; tokens: readonly number[]}[]): Promise<Float32Array[]> {
        const entries = texts.flatMap(({strand: {sequence, tokens: before}, tokens}) =>
            tokens.map((token, i): WaveToken => ({sequence, position: before.length + i, token}))
        );
        await this.#reserve(entries.length);
        const {states, width} = await this.#wave(entries);
        this.#used += entries.length;
        this.#backend.release();
        let first = 0;
        return texts.map(({strand, tokens}) => {
            const from = first;
            first += tokens.length;
            strand.tokens.push(...tokens);
            return states.slice(from * width, first * width);
        });
    }

    end(strand: Strand): void {
        this.#giveUp(strand, 0);
        this.#open.delete(strand);
        this.#free.push(strand.sequence);
    }

    clear(): void {
        this.#free = Array.from({length: this.sequences}, (_, sequence) => sequence);
        this.#open.clear();
        this.#empty();
    }

    #empty(): void {
        this.#backend.release();
        for (let sequence = 0; sequence < this.sequences; sequence++) this.#backend.takeBack(sequence, 0);
        for (const lane of [this.#grave, this.#donor]) this.#backend.emptyLane(lane);
        this.#used = 0;
        this.#donated = [];
    }

    /** The strand gives up its cells from `position` on; they stay taken. */
    #giveUp({sequence, tokens}: Strand, position: number): void {
        this.#backend.shareWithLane(sequence, this.#grave, position, tokens.length + 1);
        this.#backend.takeBack(sequence, position);
    }

    #candidate({strand, candidates, exploration}: Step, rank: number, agent: NativeAgent): WaveToken {
        const {token} = candidates[rank] as Candidate;
        const place = {sequence: strand.sequence, position: strand.tokens.length};
        const threshold = exploration.thresholds[rank];
        const {top} = this.#host;
        return threshold === undefined ? {...place, token, top} : {...place, token, top, agent, threshold};
    }

    /** The last token of a stale strand, seen by the candidates in its lanes too. */
    #anew({sequence, tokens}: Strand): WaveToken {
        return {sequence, position: tokens.length - 1, token: tokens.at(-1) as number, shared: true};
    }

    /** Makes sure that `count` cells are free behind those in use: if need be, everything is cleared and what is open decoded again. */
    async #reserve(count: number): Promise<void> {
        if (this.#used + count <= this.#capacity) return;
        this.#empty();
        for (const strand of [...this.#open]) {
            const tokens = strand.tokens.splice(0);
            strand.stale = false;
            await this.#prefill(strand, tokens);
        }
    }

    /** Decodes a text into an empty sequence, but for the beginning that it shares with the last one. Gives the last token's row. */
    async #prefill(strand: Strand, tokens: readonly number[]): Promise<{row: number; best: TopLogits | undefined}> {
        const {sequence} = strand;
        const shared = Math.min(commonPrefix(this.#donated, tokens), tokens.length - 1);
        if (shared > 0) this.#backend.shareFromLane(this.#donor, sequence, shared);
        const rest = tokens.slice(shared).map((token, i) => ({sequence, position: shared + i, token}));
        const {top} = this.#host;
        let last: {row: number; best: TopLogits | undefined} | undefined;
        if (rest.length === 1) {
            const {tops} = await this.#wave(rest.map((entry) => ({...entry, top})));
            last = {row: 0, best: tops?.[0]};
        } else
            for (const part of evenParts(rest, this.places)) {
                const row = part.length - 1;
                const batch = part.map((entry, i) =>
                    i === row ? {...entry, output: true, top} : {...entry, output: false}
                );
                const {tops} = await this.#host.withThreads(() => this.#backend.decode(batch));
                last = {row, best: tops?.[row]};
            }
        this.#backend.release();
        this.#used += rest.length;
        this.#backend.emptyLane(this.#donor);
        this.#backend.shareWithLane(sequence, this.#donor, 0, tokens.length);
        this.#donated = tokens;
        strand.tokens.push(...tokens);
        this.#open.add(strand);
        return last as NonNullable<typeof last>;
    }

    async #wave(tokens: readonly WaveToken[]) {
        const [only, second] = tokens;
        const pair = only !== undefined && second === undefined ? [only, {...only, lane: 0}] : tokens;
        const outcome = await this.#host.withThreads((threads) => this.#backend.wave(pair, threads));
        if (!outcome.fits) throw decodeError(1);
        const states = this.#backend.states(tokens.length);
        return {...outcome, states, width: states.length / tokens.length};
    }
}

function commonPrefix(a: readonly number[], b: readonly number[]): number {
    let length = 0;
    while (length < a.length && length < b.length && a[length] === b[length]) length++;
    return length;
}
