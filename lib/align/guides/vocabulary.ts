import type {LlamaModel} from "node-llama-cpp";
import {MaraError} from "../../errors.js";

/** llama.h: LLAMA_TOKEN_TYPE_… */
const types = {unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6} as const;

interface TokenizerInfo {
    readonly model?: string;
    readonly tokens?: readonly string[];
    readonly token_type?: readonly number[];
}

function tokenizerOf({fileInfo}: LlamaModel): TokenizerInfo {
    return (fileInfo.metadata.tokenizer?.ggml as TokenizerInfo | undefined) ?? {};
}

/** How the tokens of one vocabulary stand for those of another. */
export interface TokenMap {
    /** The other vocabulary's tokens that spell this one; none where there are none. */
    spell(token: number): readonly number[];
    /** The token that texts of the other model begin with, if those of the first begin with none. */
    readonly first: number | undefined;
    /** For each token, the other vocabulary's token whose logit stands for its own; −1 where there is none. */
    readonly heads: Int32Array;
    /** True for tokens of which both vocabularies hold the text. */
    readonly exact: readonly boolean[];
}

/** True if every token is the same in both. */
export function haveSameVocabulary(a: LlamaModel, b: LlamaModel): boolean {
    const {tokens: own = []} = tokenizerOf(a);
    const {tokens: others = []} = tokenizerOf(b);
    return own.length > 0 && own.length === others.length && own.every((text, token) => others[token] === text);
}

/**
 * Maps tokens by their bytes: to the same ones where the other vocabulary has them, else to those that spell it, the longest that fits first.
 * Control tokens are mapped by their names, and the beginning and ends of texts by what they mean.
 * @throws MaraError GUIDE_VOCABULARY
 */
export function mapTokens(name: string, from: LlamaModel, to: LlamaModel): TokenMap {
    const own = new Vocabulary(name, from);
    const other = new Vocabulary(name, to);
    const ends = endsOf(from, to);
    const {bos, shouldPrependBosToken} = to.tokens;
    const spellings = own.texts.map((text, token): readonly number[] => {
        const end = ends.get(token);
        if (end !== undefined) return [end];
        const byte = own.bytes.get(token);
        const sameByte = byte === undefined ? undefined : other.byteTokens.get(byte);
        if (sameByte !== undefined) return [sameByte];
        if (token === from.tokens.bos) return [];
        const control = own.controls.get(token);
        if (control === undefined) return text === undefined ? [] : other.spell(text);
        const same = other.named.get(control);
        return same === undefined ? other.spell(utf8(control)) : [same];
    });
    const exact = spellings.map((spelling, token) => {
        const text = own.texts[token];
        return spelling.length === 1 && (text === undefined || other.texts[spelling[0] as number] === text);
    });
    // No text stands for a control token, though it may spell its name.
    const heads = Int32Array.from(spellings, (spelling, token) =>
        own.controls.has(token) && !exact[token] ? -1 : (spelling[0] ?? -1)
    );
    // Where the guided model begins its texts with a token as well, that one is mapped.
    const isNeeded = shouldPrependBosToken && !from.tokens.shouldPrependBosToken;
    const first = isNeeded && bos !== null ? bos : undefined;
    return {spell: (token) => spellings[token] ?? [], first, heads, exact};
}

/** The tokens of one model. Texts are bytes, one character each. */
class Vocabulary {
    readonly texts: readonly (string | undefined)[];
    /** The names of control tokens. */
    readonly controls = new Map<number, string>();
    readonly named = new Map<string, number>();
    /** Tokens that stand for single bytes which no other token holds. */
    readonly bytes = new Map<number, string>();
    readonly byteTokens = new Map<string, number>();
    readonly #byText = new Map<string, number>();
    #longest = 0;

    constructor(name: string, model: LlamaModel) {
        const {tokens = [], token_type: kinds = [], model: kind = ""} = tokenizerOf(model);
        const read = readers[kind];
        if (read === undefined || tokens.length === 0)
            throw new MaraError(
                "GUIDE_VOCABULARY",
                `The texts of tokens of kind ${JSON.stringify(kind)} are not known, so ${name} needs a model with the vocabulary of the guided one`
            );
        this.texts = tokens.map((text, token) => {
            const type = kinds[token];
            if (type === types.control) {
                this.controls.set(token, text);
                this.named.set(text, token);
            }
            if (type === types.control || type === types.unknown || type === types.unused) return undefined;
            const bytes = type === types.userDefined ? utf8(text) : read(text, type === types.byte);
            if (type === types.byte) {
                this.bytes.set(token, bytes);
                this.byteTokens.set(bytes, token);
            }
            return bytes;
        });
        for (const [token, text] of this.texts.entries()) {
            if (text === undefined || text === "" || this.bytes.has(token) || this.#byText.has(text)) continue;
            this.#byText.set(text, token);
            this.#longest = Math.max(this.#longest, text.length);
        }
        // A character has a token of its own beside that of its byte, and texts are spelt with the former.
        for (const [text, token] of this.byteTokens)
            if (!this.#byText.has(text)) {
                this.#byText.set(text, token);
                this.#longest = Math.max(this.#longest, 1);
            }
    }

    /** The tokens that spell the text, each the longest that fits; none where a byte is left over. */
    spell(text: string): readonly number[] {
        const tokens: number[] = [];
        for (let at = 0; at < text.length; ) {
            let length = Math.min(this.#longest, text.length - at);
            while (length > 0 && !this.#byText.has(text.slice(at, at + length))) length--;
            if (length === 0) return [];
            tokens.push(this.#byText.get(text.slice(at, at + length)) as number);
            at += length;
        }
        return tokens;
    }
}

function endsOf({tokens: from}: LlamaModel, {tokens: to}: LlamaModel): Map<number, number> {
    const pairs: [number | null, number | null][] = [
        [from.bos, to.bos],
        [from.eot, to.eot ?? to.eos],
        [from.eos, to.eos ?? to.eot]
    ];
    const known = pairs.filter((pair): pair is [number, number] => pair[0] !== null && pair[1] !== null);
    return new Map(known);
}

/** UTF-8, one character for each byte. */
const utf8 = (text: string): string => Buffer.from(text, "utf8").toString("latin1");

/** The bytes of a token as its file writes it, by kind of tokenizer. */
const readers: Readonly<Record<string, (text: string, isByte: boolean) => string>> = {
    llama: sentencePiece,
    t5: sentencePiece,
    gpt2: (text) => Array.from(text, (character) => byteOf.get(character) ?? utf8(character)).join("")
};

function sentencePiece(text: string, isByte: boolean): string {
    if (isByte) return String.fromCharCode(Number.parseInt(text.slice(3, 5), 16));
    return utf8(text.replaceAll("▁", " "));
}

/** GPT-2 writes bytes that cannot be printed as characters from U+0100 on. */
const byteOf = new Map<string, string>();
for (let byte = 0, hidden = 0x100; byte < 0x100; byte++) {
    const isPrinted = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    byteOf.set(String.fromCharCode(isPrinted ? byte : hidden++), String.fromCharCode(byte));
}
