/** One answer of a completion, as it grows. */
import type {LlamaModel} from "node-llama-cpp";
import {spellAfter} from "../report/token-view.js";
import type {Answered} from "./answer.js";
import type {PromptLogprob} from "./completion.js";
import {logprobsOf, type Piece, type TokenTrace, type Tracer} from "./trace.js";
import {rounded} from "./usage.js";

/** OpenAI's form of log-probabilities here: lists of one item per token. */
interface Logprobs {
    tokens: string[];
    token_logprobs: (number | null)[];
    top_logprobs: (Record<string, number> | null)[];
    text_offset: number[];
}

export class CompletionChoice {
    readonly #model: LlamaModel;
    readonly #index: number;
    readonly #options: {logprobs: number | undefined; trace: boolean};
    readonly #logprobs: Logprobs = emptyLogprobs();
    readonly #tokens: TokenTrace[] = [];
    #text = "";

    constructor(model: LlamaModel, index: number, options: {logprobs: number | undefined; trace: boolean}) {
        this.#model = model;
        this.#index = index;
        this.#options = options;
    }

    /** The prompt itself, as `echo` wants it; gives a chunk's choice. */
    echo(text: string, logprobs: readonly PromptLogprob[]): object {
        const own = emptyLogprobs();
        const tokens = logprobs.map(({token}) => token);
        let offset = 0;
        for (const [i, {token, logprob, top}] of logprobs.entries()) {
            const spelled = spellAfter(this.#model, tokens, i, token);
            own.tokens.push(spelled);
            own.token_logprobs.push(logprob);
            own.top_logprobs.push(
                logprob === null
                    ? null
                    : Object.fromEntries(top.map(([one, value]) => [this.#model.detokenize([one], true), value]))
            );
            own.text_offset.push(offset);
            offset += spelled.length;
        }
        return this.#add(text, own, {});
    }

    add(pieces: readonly Piece[], tracer: Tracer): object {
        const own = emptyLogprobs();
        let offset = this.#text.length;
        for (const piece of pieces) {
            this.#tell(piece, offset, own);
            offset += piece.text.length;
        }
        const text = pieces.map((piece) => piece.text).join("");
        return this.#add(text, own, this.#options.trace ? {mara: {tokens: this.#traced(pieces, tracer)}} : {});
    }

    #tell(piece: Piece, offset: number, own: Logprobs): void {
        const {logprobs} = this.#options;
        if (logprobs === undefined) return;
        for (const {token, logprob, top_logprobs} of logprobsOf(this.#model, piece, logprobs)) {
            own.tokens.push(token);
            own.token_logprobs.push(logprob);
            own.top_logprobs.push(Object.fromEntries(top_logprobs.map((one) => [one.token, one.logprob])));
            own.text_offset.push(offset);
        }
    }

    /** The chunk that ends a stream's choice. Every generated token has its log-probability, as clients count on that drop the last one. */
    finish({reason, stats, end, unshown, tracer}: Answered): object {
        const own = emptyLogprobs();
        for (const one of unshown)
            this.#tell({text: this.#model.detokenize([one.token], true), drawn: [one]}, this.#text.length, own);
        const tokens = this.#options.trace && end !== undefined ? {tokens: this.#traced([end], tracer)} : {};
        const mara = {...tokens, stats: rounded(stats)};
        const told = this.#add("", own, {finish_reason: reason, mara});
        return own.tokens.length === 0 ? {...told, logprobs: null} : told;
    }

    whole({reason, stats}: Answered): object {
        const {logprobs, trace} = this.#options;
        return {
            index: this.#index,
            text: this.#text,
            logprobs: logprobs === undefined ? null : this.#logprobs,
            finish_reason: reason,
            mara: {...(trace ? {tokens: this.#tokens} : {}), stats: rounded(stats)}
        };
    }

    #traced(pieces: readonly Piece[], tracer: Tracer): TokenTrace[] {
        const traced = pieces.map((piece) => tracer.trace(piece));
        this.#tokens.push(...traced);
        return traced;
    }

    #add(text: string, own: Logprobs, extras: object): object {
        this.#text += text;
        for (const key of ["tokens", "token_logprobs", "top_logprobs", "text_offset"] as const)
            (this.#logprobs[key] as unknown[]).push(...own[key]);
        const logprobs = this.#options.logprobs === undefined ? null : own;
        return {index: this.#index, text, logprobs, finish_reason: null, ...extras};
    }
}

function emptyLogprobs(): Logprobs {
    return {tokens: [], token_logprobs: [], top_logprobs: [], text_offset: []};
}
