/**
 * Text from outside (files, file names, models, other libraries' messages) on its way to a terminal. A terminal obeys control
 * characters and reorders by bidi controls, so an untrusted file could otherwise print lines that this package never wrote.
 */

/** C0 with DEL, C1, line and paragraph separator, and the controls of the bidi algorithm. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for.
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

const maxCharacters = 2000;

export interface VisibleOptions {
    /** Line feeds stay as they are, and tabs become four spaces. Default false. */
    lines?: boolean;
    /** A text longer than one and a half times this is cut to this many characters, and how many more there are is said. Default 2000. */
    max?: number;
}

/** `text` with every character that a terminal would obey shown by its code, such as `\x1b` or `\u202e`, and of bounded length. */
export function visible(text: string, {lines = false, max = maxCharacters}: VisibleOptions = {}): string {
    const shown = bounded(text, max);
    if (!lines) return shown.replace(unsafe, code);
    return shown
        .replaceAll("\r\n", "\n")
        .replaceAll("\t", "    ")
        .replace(unsafe, (character) => (character === "\n" ? character : code(character)));
}

/** JSON that is safe to print. C1 and bidi controls, which `JSON.stringify` leaves as they are, are escaped too. */
export function visibleJson(value: unknown, space?: number): string {
    return JSON.stringify(value, null, space).replace(unsafe, (character) =>
        // Line feeds of the indentation stay; those of strings are escaped already.
        character === "\n" ? character : unicode(character)
    );
}

/** Cuts only texts that are well above the limit, so that a cut text with some words around it is not cut again. */
function bounded(text: string, max: number): string {
    if (text.length <= 1.5 * max) return text;
    return `${text.slice(0, max)}… (${(text.length - max).toLocaleString("en-US")} more characters)`;
}

function code(character: string): string {
    const value = character.charCodeAt(0);
    return value < 0x100 ? `\\x${value.toString(16).padStart(2, "0")}` : unicode(character);
}

function unicode(character: string): string {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
