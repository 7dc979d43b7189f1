import type {HeldRow, PlacedToken} from "../../align/backend/backend.js";
import type {Candidate} from "../../align/decide/candidates.js";
import type {NativeAgent} from "../../native.js";
import type {RolloutEngine, RolloutText, StepOutcome, TextStep} from "./engine.js";
import type {RolloutHost} from "./host.js";
import {concatenate, evenParts} from "./rows.js";

/** One candidate per decode, for contexts without lanes. */
export class SerialEngine implements RolloutEngine {
    readonly mode = "serial";
    readonly sequences: number;
    readonly places = 1;
    readonly #host: RolloutHost;
    readonly #batch: number;
    readonly #free: number[];

    /** @param batch most prompt tokens of a batch */
    constructor(host: RolloutHost, batch: number) {
        this.#host = host;
        this.#batch = batch;
        this.sequences = host.context.totalSequences;
        this.#free = this.#allSequences();
    }

    placesOf(): number {
        return 1;
    }

    async begin(tokens: readonly number[]): Promise<{text: RolloutText; candidates: Candidate[]}> {
        const text: RolloutText = {sequence: this.#free.shift() as number, tokens: [...tokens]};
        const {backend} = this.#host;
        const entries = tokens.map((token, position) => ({sequence: text.sequence, position, token}));
        let row: HeldRow | undefined;
        for (const part of evenParts(entries, this.#batch)) {
            const batch = part.map((entry, i) => ({...entry, output: i === part.length - 1}));
            const {rows} = await this.#host.threads.run(() => backend.decode(batch));
            row = rows.at(-1);
        }
        const candidates = await this.#host.read(row as HeldRow, entries.at(-1) as PlacedToken);
        return {text, candidates};
    }

    async step(steps: readonly TextStep[], agent: NativeAgent | undefined): Promise<StepOutcome[]> {
        const outcomes: StepOutcome[] = [];
        for (const step of steps) outcomes.push(await this.#stepOne(step, agent));
        return outcomes;
    }

    async #stepOne({text, decision, goesOn}: TextStep, agent: NativeAgent | undefined): Promise<StepOutcome> {
        const {candidates} = decision;
        const probabilities: number[] = [];
        const states: Float32Array[] = [];
        let next: Candidate[] | undefined;
        let inPlace: number | undefined;
        const decode = async (rank: number, judge: boolean) => {
            const token = decision.tokenAt(rank);
            if (inPlace !== undefined) this.#host.backend.remove(text.sequence, text.tokens.length);
            inPlace = rank;
            const probability = await this.#decode(text, token, judge ? agent : undefined);
            if (judge || agent === undefined) states.push(this.#host.backend.states(1));
            if (judge) {
                probabilities.push(probability);
                decision.enter([probability]);
            }
            // The logits are this candidate's until the next decode.
            if (next === undefined && decision.chosen === rank && goesOn(token)) {
                const placed = {sequence: text.sequence, position: text.tokens.length, token};
                next = await this.#host.read(this.#host.backend.hold(0, placed), placed);
            }
        };
        if (candidates.length > 1) for (let rank = 0; rank < candidates.length; rank++) await decode(rank, true);
        // Without an agent the state of every token is wanted, also of the last.
        else if (agent === undefined) await decode(0, false);
        const chosen = decision.chosen as number;
        const {token} = decision;
        if (inPlace !== chosen && goesOn(token)) await decode(chosen, false);
        text.tokens.push(token);
        return {probabilities: Float32Array.from(probabilities), states: concatenate(states), next};
    }

    async run(texts: readonly {text: RolloutText; tokens: readonly number[]}[]): Promise<Float32Array[]> {
        const all: Float32Array[] = [];
        for (const {text, tokens} of texts) {
            const states: Float32Array[] = [];
            for (const token of tokens) {
                await this.#decode(text, token, undefined);
                states.push(this.#host.backend.states(1));
                text.tokens.push(token);
            }
            all.push(concatenate(states));
        }
        return all;
    }

    /** Decodes the text's next token; its accept probability if an agent judges it. */
    async #decode({sequence, tokens}: RolloutText, token: number, agent: NativeAgent | undefined): Promise<number> {
        const entry = {sequence, position: tokens.length, token, ...(agent && {judge: [agent]})};
        const {probabilities} = await this.#host.threads.run((threads) => this.#host.backend.wave([entry], threads));
        return probabilities[0] ?? Number.NaN;
    }

    end({sequence}: RolloutText): void {
        this.#host.backend.remove(sequence, 0);
        this.#free.push(sequence);
    }

    clear(): void {
        this.#free.splice(0, this.#free.length, ...this.#allSequences());
        for (const sequence of this.#free) this.#host.backend.remove(sequence, 0);
    }

    #allSequences(): number[] {
        return Array.from({length: this.sequences}, (_, sequence) => sequence);
    }
}
