import {type BatchToken, decodeError, type HeldRow, type WaveToken} from "../../align/backend/backend.js";
import type {LanesBackend} from "../../align/backend/lanes-backend.js";
import type {Candidate} from "../../align/decide/candidates.js";
import {commonPrefix} from "../../common-prefix.js";
import type {NativeAgent} from "../../native.js";
import type {RolloutEngine, RolloutText, StepOutcome, TextStep} from "./engine.js";
import type {RolloutHost} from "./host.js";
import {evenParts, gather} from "./rows.js";

/** Lanes that waves do not use: the donor of prompts' beginnings. */
export const lanesKept = 1;

/**
 * Decodes every candidate of several texts' decisions in one batch. The first of each stands in its own sequence, the others in lanes;
 * the emitted one's cell becomes the text's own. A prompt that begins like the last one shares its cells. No batch has one token
 * only, which llama.cpp computes differently from larger ones on some CPUs and in large contexts.
 */
export class LanesEngine implements RolloutEngine {
    readonly mode = "lanes";
    readonly sequences: number;
    readonly places: number;
    readonly #host: RolloutHost;
    readonly #backend: LanesBackend;
    readonly #donor: number;
    #free: number[] = [];
    /** The prompt begun last, whose beginning others may share. */
    #donated: readonly number[] = [];

    /** @param places most tokens of a batch, at least 2 */
    constructor(host: RolloutHost, backend: LanesBackend, places: number) {
        this.#host = host;
        this.#backend = backend;
        this.places = places;
        this.sequences = host.context.totalSequences;
        this.#donor = backend.lanes - 1;
        this.clear();
    }

    placesOf({decision}: TextStep): number {
        return decision.candidates.length;
    }

    async begin(tokens: readonly number[]): Promise<{text: RolloutText; candidates: Candidate[]}> {
        const text: RolloutText = {sequence: this.#free.shift() as number, tokens: []};
        const row = await this.#prefill(text, tokens);
        const last = {sequence: text.sequence, position: tokens.length - 1, token: tokens.at(-1) as number};
        return {text, candidates: await this.#host.read(row, last)};
    }

    async step(steps: readonly TextStep[], agent: NativeAgent | undefined): Promise<StepOutcome[]> {
        // Tokens in the texts themselves come first, so that the cells given up stand last and are freed.
        const tokens: WaveToken[] = steps.map((step) => this.#candidate(step, 0, agent));
        let lane = 0;
        const rowsOf = steps.map((step, i) => {
            const rows = [i];
            for (let rank = 1; rank < step.decision.candidates.length; rank++)
                rows.push(tokens.push({...this.#candidate(step, rank, agent), lane: lane++}) - 1);
            return rows;
        });
        const {probabilities, states, width} = await this.#wave(tokens);
        const held = steps.map(({decision, goesOn}, i): HeldRow | undefined => {
            const rows = rowsOf[i] as number[];
            if (rows.length > 1) decision.enter(rows.map((row) => probabilities[row] ?? Number.NaN));
            const row = rows[decision.chosen as number] as number;
            return goesOn(decision.token) ? this.#backend.hold(row) : undefined;
        });
        for (const [i, {text, decision}] of steps.entries()) {
            const row = rowsOf[i]?.[decision.chosen as number] as number;
            const {lane: chosenLane} = tokens[row] as WaveToken;
            if (chosenLane !== undefined) this.#backend.adopt(text.sequence, text.tokens.length, chosenLane);
        }
        this.#backend.release();
        const outcomes: StepOutcome[] = [];
        for (const [i, {text, decision}] of steps.entries()) {
            const place = {sequence: text.sequence, position: text.tokens.length, token: decision.token};
            text.tokens.push(decision.token);
            const rows = rowsOf[i] as number[];
            const judged = decision.candidates.length > 1 ? rows : [];
            const row = held[i];
            outcomes.push({
                probabilities: Float32Array.from(judged, (index) => probabilities[index] ?? Number.NaN),
                states: gather(states, rows, width),
                next: row && (await this.#host.read(row, place))
            });
        }
        return outcomes;
    }

    async run(texts: readonly {text: RolloutText; tokens: readonly number[]}[]): Promise<Float32Array[]> {
        const entries = texts.flatMap(({text: {sequence, tokens: before}, tokens}) =>
            tokens.map((token, i): WaveToken => ({sequence, position: before.length + i, token}))
        );
        const {states, width} = await this.#wave(entries);
        this.#backend.release();
        let first = 0;
        return texts.map(({text, tokens}) => {
            const from = first;
            first += tokens.length;
            text.tokens.push(...tokens);
            return states.slice(from * width, first * width);
        });
    }

    end(text: RolloutText): void {
        this.#backend.remove(text.sequence, 0);
        this.#free.push(text.sequence);
    }

    clear(): void {
        this.#free = Array.from({length: this.sequences}, (_, sequence) => sequence);
        this.#backend.release();
        for (const sequence of this.#free) this.#backend.remove(sequence, 0);
        this.#backend.emptyLane(this.#donor);
        this.#donated = [];
    }

    #candidate({text, decision}: TextStep, rank: number, agent: NativeAgent | undefined): WaveToken {
        const place = {sequence: text.sequence, position: text.tokens.length, token: decision.tokenAt(rank)};
        return decision.candidates.length === 1 || agent === undefined ? place : {...place, judge: [agent]};
    }

    /** Decodes a text into an empty sequence, but for the beginning that it shares with the last one. Gives the last token's row. */
    async #prefill(text: RolloutText, tokens: readonly number[]): Promise<HeldRow> {
        const {sequence} = text;
        const shared = Math.min(commonPrefix(this.#donated, tokens), tokens.length - 1);
        if (shared > 0) this.#backend.shareFromLane(this.#donor, sequence, shared);
        const rest = tokens.slice(shared).map(
            (token, i): BatchToken => ({
                sequence,
                position: shared + i,
                token,
                output: shared + i === tokens.length - 1
            })
        );
        let last: HeldRow | undefined;
        if (rest.length === 1) {
            await this.#wave(rest);
            last = this.#backend.hold(0);
        } else
            for (const part of evenParts(rest, this.places)) {
                const {rows} = await this.#host.threads.run(() => this.#backend.decode(part));
                last = rows.at(-1);
            }
        this.#backend.release();
        // A beginning is of use only with its own window or state, which the cache does not keep.
        if (this.#backend.window === 0 && !this.#backend.recurrent) {
            this.#backend.emptyLane(this.#donor);
            this.#backend.shareWithLane(sequence, this.#donor, tokens.length);
            this.#donated = tokens;
        }
        text.tokens.push(...tokens);
        return last as HeldRow;
    }

    async #wave(tokens: readonly WaveToken[]) {
        const [only, second] = tokens;
        const pair = only !== undefined && second === undefined ? [only, {...only, lane: 0}] : tokens;
        const outcome = await this.#host.threads.run((threads) => this.#backend.wave(pair, threads));
        if (!outcome.fits) throw decodeError(1);
        const states = this.#backend.states(tokens.length);
        return {...outcome, states, width: states.length / tokens.length};
    }
}
