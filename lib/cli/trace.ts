/** An answer with the decisions made on the way, as pieces that can be drawn. */
import type {LlamaChatResponseChunk, LlamaModel, Token} from "node-llama-cpp";
import type {DecisionEvent} from "../align/decide/record.js";
import {type ChoiceView, rejectedRanks, type TraceSettings, viewChoice} from "../report/token-view.js";
import {visible} from "../visible.js";
import type {Paint, Style} from "./format.js";

/** A stretch of text that came at once, usually one token. */
export interface Piece {
    text: string;
    /** Rank of the emitted candidate. It is 0 also where nothing had to be decided. */
    rank: number;
    /** Emitted because no candidate was accepted. */
    fallback: boolean;
    /** Candidates that were tried before it and rejected, at most `shownRejected` of them. */
    rejected: string[];
    /** How many more were rejected than `rejected` shows. */
    moreRejected: number;
    /** All that was decided, for pages. */
    choices: ChoiceView[];
    /** Part of a thought, not of the answer. */
    thought: boolean;
}

const shownRejected = 3;
/** Tokens before a token that its spelling can depend on. */
const spellingContext = 8;

/** Joins the tokens that a session streams with the decisions that an aligner reports. */
export class Trace {
    readonly pieces: Piece[] = [];
    readonly #model: LlamaModel;
    readonly #settings: TraceSettings;
    readonly #decisions = new Map<number, DecisionEvent>();
    readonly #tokens: Token[] = [];
    #next = 0;

    constructor(model: LlamaModel, settings: TraceSettings = {}) {
        this.#model = model;
        this.#settings = settings;
    }

    /** `index` counts the answer's generated tokens. */
    decided(event: DecisionEvent, index: number): void {
        this.#decisions.set(index, event);
    }

    received({text, tokens, type}: LlamaChatResponseChunk): void {
        const spelled = tokens.map((token, i) => this.#spell(token, tokens.slice(0, i)));
        const pieces = tokens.map((token, i) => this.#piece(token, spelled[i] ?? ""));
        // Where tokens have no text of their own, as in the middle of a character, the chunk is one piece.
        if (spelled.join("") === text) this.pieces.push(...pieces.map((piece) => ({...piece, thought: type != null})));
        else this.pieces.push({...merge(pieces), text, thought: type != null});
        this.#tokens.push(...tokens);
    }

    /** Adds the decision about the end of the answer, which has no text. */
    finish(): Piece[] {
        const event = this.#decisions.get(this.#next);
        const token = event?.candidates[event.chosenRank]?.token;
        if (token !== undefined && this.#model.isEogToken(token)) this.pieces.push(this.#piece(token, ""));
        return this.pieces;
    }

    #piece(token: Token, text: string): Piece {
        const event = this.#eventFor(token);
        if (event === undefined)
            return {text, rank: 0, fallback: false, rejected: [], moreRejected: 0, choices: [], thought: false};
        const {candidates, chosenRank, fallback} = event;
        const rejected = rejectedRanks(event, this.#settings).flatMap((rank) => candidates[rank] ?? []);
        return {
            text,
            rank: chosenRank,
            fallback,
            rejected: rejected.slice(0, shownRejected).map((candidate) => this.#spell(candidate.token, [])),
            moreRejected: Math.max(0, rejected.length - shownRejected),
            choices: [viewChoice(event, this.#settings, (candidate) => this.#spell(candidate, []))],
            thought: false
        };
    }

    /** Some generated tokens are never streamed, such as the markers around a thought. The count catches up with them here. */
    #eventFor(token: Token): DecisionEvent | undefined {
        const chosenAt = (index: number) => {
            const event = this.#decisions.get(index);
            return event?.candidates[event.chosenRank]?.token;
        };
        const expected = chosenAt(this.#next);
        if (expected !== undefined && expected !== token) {
            const later = [...this.#decisions.keys()].find((index) => index > this.#next && chosenAt(index) === token);
            if (later === undefined) return undefined;
            this.#next = later;
        }
        return this.#decisions.get(this.#next++);
    }

    #spell(token: Token, before: readonly Token[]): string {
        if (this.#model.isEogToken(token)) return "<end>";
        const last = [...this.#tokens.slice(-spellingContext), ...before].slice(-spellingContext);
        return this.#model.detokenize([token], false, last);
    }
}

function merge(pieces: readonly Piece[]): Omit<Piece, "text" | "thought"> {
    const rejected = pieces.flatMap((piece) => piece.rejected);
    return {
        rank: Math.max(0, ...pieces.map(({rank}) => rank)),
        fallback: pieces.some(({fallback}) => fallback),
        rejected: rejected.slice(0, shownRejected),
        moreRejected:
            pieces.reduce((sum, {moreRejected}) => sum + moreRejected, 0) +
            Math.max(0, rejected.length - shownRejected),
        choices: pieces.flatMap(({choices}) => choices)
    };
}

const rankStyles: readonly {from: number; style: Style; label: string}[] = [
    {from: 5, style: "magenta", label: "6th or later"},
    {from: 2, style: "yellow", label: "3rd to 5th"},
    {from: 1, style: "green", label: "2nd choice"}
];
const rejectedStyle: Style = ["dim", "strikethrough"];
const fallbackStyle: Style = ["red", "underline"];

/** Draws a piece. Without colour it uses the marks of `git diff --word-diff`. */
export function renderPiece(piece: Piece, paint: Paint, color: boolean): string {
    const rejected = piece.rejected.map((text) => visible(text.replaceAll("\n", "⏎")));
    if (piece.moreRejected > 0) rejected.push(`+${piece.moreRejected}`);
    const struck = rejected.map((text, i) => {
        // Parts of words need something between them, or two rejected endings would read as one.
        const separator = color && i > 0 && !text.startsWith(" ") ? paint("dim", "·") : "";
        return separator + mark(text, (word) => (color ? paint(rejectedStyle, word) : `[-${word}-]`));
    });
    return struck.join("") + renderText(piece, paint, color);
}

function renderText({rank, fallback, thought, ...piece}: Piece, paint: Paint, color: boolean): string {
    const text = visible(piece.text, {lines: true});
    if (thought) return paint("dim", text);
    if (rank === 0 && !fallback) return text;
    if (!color) return mark(text, (word) => (fallback ? `{!${word}!}` : `{+${word}+}`));
    const style = fallback ? fallbackStyle : rankStyles.find(({from}) => rank >= from)?.style;
    return style === undefined ? text : mark(text, (word) => paint(style, word));
}

/** Marks what is between the spaces of a token: a line or an underline through a space looks like a mistake. */
function mark(text: string, style: (word: string) => string): string {
    const [, before = "", word = "", after = ""] = /^(\s*)([\s\S]*?)(\s*)$/.exec(text) ?? [];
    return word === "" ? text : before + style(word) + after;
}

export function render(pieces: readonly Piece[], paint: Paint, color: boolean): string {
    return pieces.map((piece) => renderPiece(piece, paint, color)).join("");
}

export function legend(paint: Paint, color: boolean): string {
    if (!color) return "[-rejected-]  {+taken from a lower rank+}  {!nothing was accepted!}";
    return [
        paint(rejectedStyle, "rejected"),
        "top choice",
        ...rankStyles.map(({style, label}) => paint(style, label)).reverse(),
        paint(fallbackStyle, "nothing was accepted")
    ].join("   ");
}
