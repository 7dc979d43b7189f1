import type {NativeJudge} from "../../native.js";
import type {Backend, HeldRow, PlacedToken, WaveOutcome, WaveToken} from "../backend/backend.js";
import type {Judge} from "../steer/judge.js";
import type {Panel} from "../steer/panel.js";

/** Who judges the candidates of a decision. */
export interface Judging {
    /** The agents, which judge in the decode thread; undefined if there are none. */
    readonly judge: NativeJudge | undefined;
    /** A judge of the caller's own that judges from states. */
    readonly own: Judge | undefined;
}

export function judgingOf({native, own}: Pick<Panel, "native" | "own">): Judging {
    return {judge: native, own: own?.judge.needsStates === false ? undefined : own?.judge};
}

/** A predicted token that was decoded before anything was decided about it. */
export interface RunToken extends PlacedToken {
    readonly row: HeldRow;
    readonly judging: Judging;
    /** What the agents said: a wave's outcome of this token alone. */
    readonly said: Pick<WaveOutcome, "agents" | "logits" | "probabilities">;
    /** What the caller's own judge is to judge. */
    readonly state: Float32Array | undefined;
}

/**
 * Predicted tokens that stand in the cache behind their sequence's last token, at most one run of them for each sequence. As long as the tokens
 * chosen are those of the run, they cost no decode; the first that is not ends it.
 */
export class Runs {
    readonly #backend: Backend;
    readonly #count: (sequence: number, predictions: {validated: number; refuted: number}) => void;
    readonly #runs = new Map<number, RunToken[]>();

    /** `count` is told what becomes of the tokens. */
    constructor(
        backend: Backend,
        count: (sequence: number, predictions: {validated: number; refuted: number}) => void
    ) {
        this.#backend = backend;
        this.#count = count;
    }

    get sequences(): number[] {
        return [...this.#runs.keys()];
    }

    /** Keeps the tokens of the last wave from `index` on, which follow each other in one sequence. To be called before the next decode. */
    keep(tokens: readonly PlacedToken[], index: number, outcome: WaveOutcome, judging: Judging): void {
        const {agents, logits, probabilities} = outcome;
        const states = judging.own && this.#backend.states(index + tokens.length);
        const width = (states?.length ?? 0) / (index + tokens.length);
        const run = tokens.map((token, i) => {
            const at = index + i;
            const ofToken = (all: Float32Array) => all.slice(at * agents, (at + 1) * agents);
            return {
                ...token,
                row: this.#backend.hold(at, token),
                judging,
                said: {agents, logits: ofToken(logits), probabilities: ofToken(probabilities)},
                state: states?.slice(at * width, (at + 1) * width)
            };
        });
        this.#runs.set((tokens[0] as PlacedToken).sequence, run);
    }

    /** The first token of the sequence's run. */
    next(sequence: number): RunToken | undefined {
        return this.#runs.get(sequence)?.[0];
    }

    /** Takes the first token out of the run, because it was chosen. */
    take(sequence: number): RunToken {
        const [token, ...others] = this.#runs.get(sequence) as [RunToken, ...RunToken[]];
        if (others.length > 0) this.#runs.set(sequence, others);
        else this.#runs.delete(sequence);
        this.#count(sequence, {validated: 1, refuted: 0});
        return token;
    }

    /** Gives up the sequence's run. */
    drop(sequence: number): void {
        const run = this.#runs.get(sequence);
        if (run === undefined) return;
        this.#runs.delete(sequence);
        for (const {row} of run) row.free();
        this.#backend.remove(sequence, (run[0] as RunToken).position);
        this.#count(sequence, {validated: 0, refuted: run.length});
    }

    /** Forgets all runs without touching their cells, because the context goes away with them. */
    forget(): void {
        this.#runs.clear();
    }
}

/** The tokens as a run from `position` on, each to be judged. */
export function runFrom(
    tokens: readonly number[],
    {sequence, position}: {sequence: number; position: number},
    judge: NativeJudge | undefined
): WaveToken[] {
    return tokens.map((token, i) => ({sequence, position: position + i, token, ...(judge && {judge})}));
}
