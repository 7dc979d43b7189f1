/** Sees every token that a sequence generates, with what was decided about it. */
import type {LlamaContextSequence, SequenceEvaluateOptions, Token} from "node-llama-cpp";
import type {Aligner} from "../align/aligner.js";
import type {DecisionRecord} from "../align/decide/record.js";
import type {AnswerTask} from "./answer.js";

/** A generated token. */
export interface Drawn {
    token: Token;
    /** Undefined where nothing was to decide. */
    decision: DecisionRecord | undefined;
    /** Probabilities of the candidates, most probable first; only where they were asked for. */
    probabilities: ReadonlyMap<Token, number> | undefined;
}

/** What an answer asks of its tokens. */
type Wishes = Pick<AnswerTask, "wantsProbabilities" | "maxTokens" | "onFirstToken">;

/**
 * Stands in for the `evaluate` of one sequence, through which node-llama-cpp's chats and completions generate. They hide some tokens (ends, the
 * syntax of function calls) and hold others back, so the tokens that they show are looked up here.
 */
export class Tap {
    #drawn: Drawn[] = [];
    #next = 0;
    #wishes: Wishes | undefined;
    readonly #decisions = new Map<number, DecisionRecord>();

    constructor(sequence: LlamaContextSequence, aligner: Aligner | undefined) {
        aligner?.onDecision(({sequence: _, ...decision}) => this.#decisions.set(decision.position, decision), sequence);
        sequence.evaluate = (tokens, options) => this.#evaluate(sequence, tokens, options);
    }

    /** Begins an answer. Behind the first part of a character node-llama-cpp generates one token too many; it does not count. */
    begin({wantsProbabilities, maxTokens, onFirstToken}: Wishes): void {
        this.#wishes = {wantsProbabilities, maxTokens, onFirstToken};
        this.#drawn = [];
        this.#next = 0;
        this.#decisions.clear();
    }

    /** All of the answer so far, hidden tokens included. */
    get drawn(): readonly Drawn[] {
        return this.#drawn;
    }

    /** Looks up tokens that were shown, in order; undefined for one that was put there and not generated. */
    take(tokens: readonly Token[]): (Drawn | undefined)[] {
        return tokens.map((token) => {
            for (let at = this.#next; at < this.#drawn.length; at++) {
                if (this.#drawn[at]?.token !== token) continue;
                this.#next = at + 1;
                return this.#drawn[at];
            }
            return undefined;
        });
    }

    /** What was generated behind the last token that was shown. */
    get unshown(): readonly Drawn[] {
        return this.#drawn.slice(this.#next);
    }

    async *#evaluate(
        sequence: LlamaContextSequence,
        tokens: Token[],
        options?: SequenceEvaluateOptions
    ): AsyncGenerator<Token, void, undefined | Token | Token[]> {
        const {wantsProbabilities, maxTokens, onFirstToken} = this.#wishes as Wishes;
        const steps = sequence.evaluateWithMetadata(tokens, {probabilities: wantsProbabilities}, options);
        let replacement: undefined | Token | Token[];
        try {
            for (;;) {
                const {value, done} = await steps.next(replacement as never);
                if (done === true) return;
                const {token, probabilities} = value as {token: Token; probabilities?: Map<Token, number>};
                const decision = this.#decisions.get(sequence.nextTokenIndex);
                this.#decisions.clear();
                if (this.#drawn.length === 0) onFirstToken();
                if (this.#drawn.length < maxTokens) this.#drawn.push({token, decision, probabilities});
                replacement = yield token;
            }
        } finally {
            await steps.return(undefined as never);
        }
    }
}
