/** One of a chat's answers, as it grows. */
import {randomUUID} from "node:crypto";
import {CallText} from "../chat/call-text.js";
import type {Answered} from "./answer.js";
import type {ChatEvent} from "./chat.js";
import type {Engine} from "./engine.js";
import {logprobsOf, type Piece, type TokenTrace, type Tracer} from "./trace.js";
import {rounded} from "./usage.js";

interface Call {
    id: string;
    type: "function";
    function: {name: string; arguments: string};
}

export interface ChoiceOptions {
    index: number;
    /** The most probable candidates to tell for each token; undefined tells no probabilities. */
    topLogprobs: number | undefined;
    trace: boolean;
    /** The text is the JSON of a call that must come. */
    isCall: boolean;
}

/** What a chunk of a stream adds to a choice. */
type Delta = Record<string, unknown>;

export class Choice {
    readonly #engine: Engine;
    readonly #options: ChoiceOptions;
    readonly #calls: Call[] = [];
    readonly #tokens: TokenTrace[] = [];
    readonly #logprobs: object[] = [];
    readonly #forced: CallText | undefined;
    #text = "";
    #thought = "";

    constructor(engine: Engine, options: ChoiceOptions) {
        this.#engine = engine;
        this.#options = options;
        this.#forced = options.isCall ? new CallText() : undefined;
    }

    /** Takes what was generated; gives the part of a chunk that tells it, if anything is to be told yet. */
    add(event: ChatEvent, tracer: Tracer): Delta | undefined {
        if (event.type === "call") return this.#addCall(event);
        const {text, pieces} = event;
        if (event.type === "thought") this.#thought += text;
        else this.#text += text;
        const extras = this.#extras(pieces, tracer);
        if (this.#forced !== undefined && event.type === "text") return this.#addForced(this.#forced, text, extras);
        return this.#chunk({[event.type === "thought" ? "reasoning_content" : "content"]: text}, extras);
    }

    /** The end of the answer, as chunks. */
    finish(answered: Answered): Delta[] {
        const chunks: Delta[] = [];
        if (this.#forced?.isWhole === true) answered.reason = "tool_calls";
        const extras = answered.end === undefined ? {} : this.#extras([answered.end], answered.tracer);
        const {progress: _, ...told} = (extras.mara ?? {}) as {progress?: unknown};
        const mara = {...told, stats: rounded(answered.stats)};
        chunks.push({...this.#chunk({}, {mara}), finish_reason: answered.reason});
        return chunks;
    }

    /** The whole choice, for a response that is no stream. */
    whole({reason, stats}: Answered): object {
        const {index, topLogprobs, trace, isCall} = this.#options;
        const hasCalls = this.#calls.length > 0;
        return {
            index,
            message: {
                role: "assistant",
                content: isCall || (hasCalls && this.#text === "") ? null : this.#text,
                refusal: null,
                ...(this.#thought === "" ? {} : {reasoning_content: this.#thought}),
                ...(hasCalls ? {tool_calls: this.#calls} : {})
            },
            logprobs: topLogprobs === undefined ? null : {content: this.#logprobs, refusal: null},
            finish_reason: reason,
            mara: {...(trace ? {tokens: this.#tokens} : {}), stats: rounded(stats)}
        };
    }

    get text(): string {
        return this.#text;
    }

    get calls(): readonly Call[] {
        return this.#calls;
    }

    #addForced(call: CallText, text: string, extras: Delta): Delta | undefined {
        const piece = call.add(text);
        const told = piece && this.#addCall({type: "call", index: 0, ...piece});
        if (!told && Object.keys(extras).length === 0) return undefined;
        return {...(told || this.#chunk({})), ...extras};
    }

    #addCall({index, name, text: given, done}: Extract<ChatEvent, {type: "call"}>): Delta | undefined {
        let call = this.#calls[index];
        const isNew = call === undefined;
        if (call === undefined) {
            call = {id: `call_${randomUUID().replaceAll("-", "")}`, type: "function", function: {name, arguments: ""}};
            this.#calls[index] = call;
        }
        // A function without parameters has no text of them.
        const text = done && call.function.arguments + given === "" ? "{}" : given;
        call.function.arguments += text;
        if (!isNew && text === "") return undefined;
        const {id, type} = call;
        const head = isNew ? {id, type, function: {name, arguments: text}} : {function: {arguments: text}};
        return this.#chunk({tool_calls: [{index, ...head}]});
    }

    #extras(pieces: readonly Piece[], tracer: Tracer): Delta {
        const {topLogprobs, trace} = this.#options;
        const extras: Delta = {};
        if (topLogprobs !== undefined) {
            const content = pieces.flatMap((piece) => logprobsOf(this.#engine.model, piece, topLogprobs));
            this.#logprobs.push(...content);
            extras.logprobs = {content, refusal: null};
        }
        if (trace) {
            const tokens = pieces.map((piece) => tracer.trace(piece));
            this.#tokens.push(...tokens);
            extras.mara = {tokens, progress: rounded(tracer.progress())};
        }
        return extras;
    }

    #chunk(delta: Delta, extras: Delta = {}): Delta {
        return {index: this.#options.index, delta, logprobs: null, finish_reason: null, ...extras};
    }
}
