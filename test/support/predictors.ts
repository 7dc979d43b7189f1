import {type Token, TokenPredictor} from "node-llama-cpp";

export interface OracleOptions {
    /** Tokens before the text. */
    prompt: number;
    /** Every so-many-th token of the text is predicted wrongly. Default: none. */
    wrongEvery?: number;
    /** Tokens predicted at a time. Default 8. */
    length?: number;
}

/** Predicts a known text, now and then wrongly. */
export class Oracle extends TokenPredictor {
    /** How often it was asked. */
    asked = 0;
    readonly #text: readonly number[];
    readonly #options: Required<OracleOptions>;
    #at = 0;

    constructor(text: readonly number[], options: OracleOptions) {
        super();
        this.#text = text;
        this.#options = {wrongEvery: Number.POSITIVE_INFINITY, length: 8, ...options};
    }

    reset({stateTokens}: {stateTokens: Token[]}): void {
        this.#at = stateTokens.length - this.#options.prompt;
    }

    pushTokens(tokens: Token[]): void {
        this.#at += tokens.length;
    }

    predictTokens(): Token[] {
        this.asked++;
        const {wrongEvery, length} = this.#options;
        return this.#text
            .slice(this.#at, this.#at + length)
            .map((token, i) => ((this.#at + i + 1) % wrongEvery === 0 ? Math.abs(token - 1) : token) as Token);
    }
}
