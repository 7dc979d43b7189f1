/**
 * Reward specifications, such as `2*sentiment - 0.5*(profanity + length:120 words)` or `helpful = judge:judge.gguf; 2*helpful - length`.
 *
 *     spec     = { name "=" sum ";" } sum
 *     sum      = ["+" | "-"] term { ("+" | "-") term }
 *     term     = [number "*"] ( "(" sum ")" | reward )
 *     reward   = name [ ":" argument ]
 *     argument = JSON string | "/" pattern "/" flags (of regex: only) | text up to " + ", " - ", ";", a closing parenthesis of the sum, or the end
 */
import {MaraError} from "../errors.js";

/** One reward of a sum, its weight multiplied out. */
export interface Term {
    weight: number;
    name: string;
    argument: string | undefined;
    /** Where the reward is named, for messages. */
    offset: number;
}

export interface Expression {
    /** Names that the terms may use. */
    definitions: {name: string; offset: number; terms: Term[]}[];
    terms: Term[];
}

/** Characters of a specification, at most. */
const maxLength = 16_384;
/** Parentheses within parentheses, or names defined by further names. */
export const maxNesting = 100;
/** Characters of a specification, or of a text about it, that a message shows. */
const longestShown = 500;

/** @throws MaraError REWARD_SPEC pointing at what is wrong */
export function parseExpression(spec: string): Expression {
    if (spec.length > maxLength)
        throw specError(spec, maxLength, `expected at most ${maxLength} characters; shorten it`);
    return new Parser(spec).expression();
}

/** The error for a specification, pointing at the place where it goes wrong. */
export function specError(spec: string, offset: number, reason: string): MaraError {
    const rest = spec.slice(offset);
    const place = rest === "" ? "at its end" : `at character ${offset + 1}, ${shown(rest)}`;
    return new MaraError("REWARD_SPEC", `The reward ${shown(spec)}: ${cut(reason)} ${place}`);
}

/** Quoted, and cut after quoting, since escapes lengthen a text. */
function shown(text: string): string {
    const quoted = JSON.stringify(text);
    return quoted.length > longestShown + 2 ? `${quoted.slice(0, longestShown + 1)}…"` : quoted;
}

/** Shortens a specification, or a text about it, for messages. */
export function cut(text: string): string {
    return text.length > longestShown ? `${text.slice(0, longestShown)}…` : text;
}

class Parser {
    readonly #spec: string;
    #at = 0;
    #depth = 0;

    constructor(spec: string) {
        this.#spec = spec;
    }

    expression(): Expression {
        const definitions: Expression["definitions"] = [];
        for (;;) {
            this.#skipSpace();
            const offset = this.#at;
            const name = this.#takeHere(/[a-z_]\w*(?=\s*=)/iy);
            if (name !== undefined) this.#take(/=/y);
            const terms = this.#sum(1);
            if (name === undefined) {
                this.#skipSpace();
                if (this.#at < this.#spec.length) this.#fail('expected "+", "-" or nothing more');
                return {definitions, terms};
            }
            if (this.#take(/;/y) === undefined) this.#fail('expected "+", "-" or ";"');
            definitions.push({name, offset, terms});
        }
    }

    #sum(factor: number): Term[] {
        const first = this.#take(/[+-]/y) === "-" ? -factor : factor;
        const terms = this.#term(first);
        for (;;) {
            const sign = this.#take(/[+-]/y);
            if (sign === undefined) return terms;
            terms.push(...this.#term(sign === "-" ? -factor : factor));
        }
    }

    #term(factor: number): Term[] {
        const number = this.#take(/(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?/iy);
        if (number !== undefined && this.#take(/\*/y) === undefined) this.#fail(`expected "*" after ${number}`);
        const weight = factor * Number(number ?? 1);
        if (!Number.isFinite(weight)) this.#fail("expected finite weights before what stands");
        if (this.#take(/\(/y) === undefined) return [this.#reward(weight)];
        if (++this.#depth > maxNesting) this.#fail(`expected parentheses nested at most ${maxNesting} deep`);
        const terms = this.#sum(weight);
        this.#depth--;
        if (this.#take(/\)/y) === undefined) this.#fail('expected ")"');
        return terms;
    }

    #reward(weight: number): Term {
        this.#skipSpace();
        const offset = this.#at;
        const name = this.#take(/[a-z_]\w*/iy);
        if (name === undefined) return this.#fail("expected the name of a reward");
        const argument = this.#takeHere(/:/y) === undefined ? undefined : this.#argument(name);
        return {weight, name, argument, offset};
    }

    #argument(name: string): string {
        if (name === "regex") {
            // A slash inside a character class does not end the pattern.
            const pattern = this.#takeHere(/\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/iy);
            return pattern ?? this.#fail("expected a pattern such as /word/i");
        }
        const quoted = this.#takeHere(/"(?:\\.|[^"\\])*"/y);
        if (quoted !== undefined) return this.#unquote(quoted);
        const start = this.#at;
        let depth = 0;
        for (; this.#at < this.#spec.length; this.#at++) {
            const char = this.#spec[this.#at];
            if (char === "(") depth++;
            if (char === ";" || (char === ")" && --depth < 0)) break;
            if (/^\s+[+-]\s/.test(this.#spec.slice(this.#at))) break;
        }
        const argument = this.#spec.slice(start, this.#at).trim();
        return argument === "" ? this.#fail(`expected something after "${name}:"`) : argument;
    }

    #unquote(quoted: string): string {
        try {
            return JSON.parse(quoted);
        } catch {
            this.#at -= quoted.length;
            return this.#fail("expected a string as in JSON");
        }
    }

    #skipSpace(): void {
        this.#takeHere(/\s+/y);
    }

    #take(pattern: RegExp): string | undefined {
        this.#skipSpace();
        return this.#takeHere(pattern);
    }

    #takeHere(pattern: RegExp): string | undefined {
        pattern.lastIndex = this.#at;
        const [found] = pattern.exec(this.#spec) ?? [];
        this.#at += found?.length ?? 0;
        return found;
    }

    #fail(reason: string): never {
        throw specError(this.#spec, this.#at, reason);
    }
}
