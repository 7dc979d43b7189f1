/** Options and their values. Each fails with the package's one wording, before anything is loaded. */
import {Option} from "commander";
import {invalidArgument} from "../errors.js";

/** `above`: `min` itself is left out. @throws MaraError INVALID_ARGUMENT */
export function parseNumberIn(option: string, min: number, max: number, above = false): (text: string) => number {
    return (text) => {
        const value = Number(text);
        if (text.trim() !== "" && (above ? value > min : value >= min) && value <= max) return value;
        throw invalidArgument(
            option,
            `a number ${above ? "above" : "from"} ${min}${above ? ", at most" : " to"} ${max}`,
            text
        );
    };
}

/** @throws MaraError INVALID_ARGUMENT */
export function parseIntegerIn(option: string, min: number, max: number): (text: string) => number {
    return (text) => {
        const value = Number(text);
        if (/^\d+$/.test(text) && value >= min && value <= max) return value;
        throw invalidArgument(option, `an integer from ${min} to ${max}`, text);
    };
}

/** An option that takes a number. */
export function numberOption(flags: string, description: string, min: number, max: number, above = false): Option {
    return new Option(flags, description).argParser(parseNumberIn(nameOf(flags), min, max, above));
}

/** An option that takes an integer. */
export function integerOption(flags: string, description: string, min: number, max: number): Option {
    return new Option(flags, description).argParser(parseIntegerIn(nameOf(flags), min, max));
}

/** An option that takes one of a few words. */
export function choiceOption(flags: string, description: string, words: readonly string[], byDefault?: string): Option {
    const option = new Option(flags, `${description} (${words.join(", ")})`).argParser((text) => {
        if (words.includes(text)) return text;
        throw invalidArgument(nameOf(flags), `one of ${words.map((word) => JSON.stringify(word)).join(", ")}`, text);
    });
    return byDefault === undefined ? option : option.default(byDefault);
}

/** `--name` of `--name <value>`. */
function nameOf(flags: string): string {
    return flags.split(" ")[0] as string;
}

export const largestSeed = 2 ** 32 - 1;

/** Without the options that were left out. */
export function given<T extends object>(values: T): {[K in keyof T]?: Exclude<T[K], undefined>} {
    return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}
