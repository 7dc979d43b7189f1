/**
 * Reward specifications, such as `2*helpful - 0.5*(profanity + length:120 words)`.
 *
 *     sum      = ["+" | "-"] term { ("+" | "-") term }
 *     term     = [number "*"] ( "(" sum ")" | reward )
 *     reward   = name [ ":" argument ]
 *     argument = JSON string | "/" pattern "/" flags (of regex: only) | text up to " + ", " - ", a closing parenthesis of the sum, or the end
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

/** @throws MaraError REWARD_SPEC pointing at what is wrong */
export function parseExpression(spec: string): Term[] {
    const parser = new Parser(spec);
    const terms = parser.sum(1);
    parser.end();
    return terms;
}

/** The error for a specification, pointing at the place where it goes wrong. */
export function specError(spec: string, offset: number, reason: string): MaraError {
    const rest = spec.slice(offset);
    const place = rest === "" ? "at its end" : `at character ${offset + 1}, ${JSON.stringify(rest)}`;
    return new MaraError("REWARD_SPEC", `The reward ${JSON.stringify(spec)}: ${reason} ${place}`);
}

class Parser {
    readonly #spec: string;
    #at = 0;

    constructor(spec: string) {
        this.#spec = spec;
    }

    sum(factor: number): Term[] {
        const first = this.#take(/[+-]/y) === "-" ? -factor : factor;
        const terms = this.#term(first);
        for (;;) {
            const sign = this.#take(/[+-]/y);
            if (sign === undefined) return terms;
            terms.push(...this.#term(sign === "-" ? -factor : factor));
        }
    }

    end(): void {
        this.#skipSpace();
        if (this.#at < this.#spec.length) this.#fail('expected "+", "-" or nothing more');
    }

    #term(factor: number): Term[] {
        const number = this.#take(/(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?/iy);
        if (number !== undefined && this.#take(/\*/y) === undefined) this.#fail(`expected "*" after ${number}`);
        const weight = factor * Number(number ?? 1);
        if (!Number.isFinite(weight)) this.#fail("expected finite weights before what stands");
        if (this.#take(/\(/y) === undefined) return [this.#reward(weight)];
        const terms = this.sum(weight);
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
            if (char === ")" && --depth < 0) break;
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
