/** The tokens that a sequence holds as node-llama-cpp knows it, by position. */
export interface SequenceText {
    readonly tokens: readonly number[];
    /** Position of the first token generated since the sequence was last given tokens of a prompt. */
    readonly responseStart: number;
}

interface Kept {
    tokens: number[];
    responseStart: number;
}

/** Stands where tokens were taken out, until those behind them are shifted. */
const nothing = -1;

/** Keeps the text of every sequence of a context in step with what node-llama-cpp does to it. */
export class Texts {
    readonly #texts = new Map<number, Kept>();

    of(sequence: number): SequenceText {
        return this.#of(sequence);
    }

    append(sequence: number, first: number, tokens: ArrayLike<number>, isGenerated: (index: number) => boolean): void {
        const text = this.#of(sequence);
        text.tokens.length = first;
        for (let i = 0; i < tokens.length; i++) {
            text.tokens.push(tokens[i] as number);
            if (!isGenerated(i)) text.responseStart = text.tokens.length;
        }
        text.responseStart = Math.min(text.responseStart, text.tokens.length);
    }

    /** Takes out the tokens at positions from `start` to before `end`; -1 for an open end. */
    remove(sequence: number, start: number, end: number): void {
        const text = this.#of(sequence);
        if (end < 0 || end >= text.tokens.length) text.tokens.length = Math.min(text.tokens.length, start);
        else {
            text.tokens.fill(nothing, start, end);
            if (text.responseStart >= start && text.responseStart < end) text.responseStart = end;
        }
        text.responseStart = Math.min(text.responseStart, text.tokens.length);
    }

    /** Moves the tokens at positions from `start` to before `end` by `delta`; -1 for an open end. */
    shift(sequence: number, start: number, end: number, delta: number): void {
        const text = this.#of(sequence);
        const last = end < 0 ? text.tokens.length : Math.min(end, text.tokens.length);
        const moved = text.tokens.slice(start, last);
        text.tokens.fill(nothing, start, last);
        for (const [i, token] of moved.entries()) text.tokens[start + delta + i] = token;
        while (text.tokens.at(-1) === nothing) text.tokens.pop();
        if (text.responseStart >= start && text.responseStart <= last) text.responseStart += delta;
    }

    copy(source: number, target: number): void {
        const {tokens, responseStart} = this.#of(source);
        this.#texts.set(target, {tokens: [...tokens], responseStart});
    }

    /** The sequence holds these tokens now, none of which was generated. */
    load(sequence: number, tokens: ArrayLike<number>): void {
        this.#texts.set(sequence, {tokens: Array.from(tokens), responseStart: tokens.length});
    }

    #of(sequence: number): Kept {
        let text = this.#texts.get(sequence);
        if (text === undefined) {
            text = {tokens: [], responseStart: 0};
            this.#texts.set(sequence, text);
        }
        return text;
    }
}
