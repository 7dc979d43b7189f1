import type {Mode} from "../../align/context-options.js";
import type {Candidate} from "../../align/decide/candidates.js";
import type {Decision} from "../../align/decide/decision.js";
import type {NativeAgent} from "../../native.js";

/** One text in the cache. */
export interface RolloutText {
    readonly sequence: number;
    /** The tokens of the prompt and those emitted since. */
    readonly tokens: number[];
}

/** The next token of a text. */
export interface TextStep {
    readonly text: RolloutText;
    /** With one candidate nothing is judged. */
    readonly decision: Decision;
    /** True if the text goes on after this token, so that the next candidates are wanted. */
    goesOn(token: number): boolean;
}

export interface StepOutcome {
    /** Accept probability by rank; empty if nothing was judged. */
    readonly probabilities: Float32Array;
    /** [candidates][width] by rank. */
    readonly states: Float32Array;
    /** Candidates for the token after the emitted one; undefined if the text does not go on. */
    readonly next: Candidate[] | undefined;
}

/** Decodes the texts of rollouts, with every candidate of every decision. One call at a time. */
export interface RolloutEngine {
    readonly mode: Mode;
    /** Most texts at a time. */
    readonly sequences: number;
    /** Most places that `step` and `run` take together. */
    readonly places: number;
    /** How many places a step takes. */
    placesOf(step: TextStep): number;
    /** Begins a new text. There is room for it while fewer than `sequences` are open. */
    begin(tokens: readonly number[]): Promise<{text: RolloutText; candidates: Candidate[]}>;
    /** Decides the next token of each of `steps`, which take no more than `places` places. Without an agent each has one candidate. */
    step(steps: readonly TextStep[], agent: NativeAgent | undefined): Promise<StepOutcome[]>;
    /** Lengthens texts by given tokens, no more than `places` of them. Gives the hidden states of each, [tokens][width]. */
    run(texts: readonly {text: RolloutText; tokens: readonly number[]}[]): Promise<Float32Array[]>;
    end(text: RolloutText): void;
    /** Empties the cache; nothing is open afterwards. */
    clear(): void;
}
