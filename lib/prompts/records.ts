/** Records of a file: JSON lines, read line by line, or one JSON array. */
import type {FileHandle} from "node:fs/promises";
import {quote} from "../agent/tensor.js";
import {MaraError} from "../errors.js";
import {openRegularFile} from "../regular-file.js";

/** The most that is read; docs/rewards.md states these limits. */
const limits = {fileBytes: 2 ** 28, arrayBytes: 2 ** 26, lineBytes: 2 ** 20, nesting: 64} as const;

/** A fault of a record; `readRecords` adds where it is. */
export class Flaw extends Error {}

/**
 * Gives the result of `read` for each JSON value in the file, in order. Blank lines and a BOM are ignored.
 * @throws MaraError PROMPTS_NOT_FOUND if the path names no regular file that can be read; PROMPTS_FORMAT
 */
export async function readRecords<T>(path: string, read: (value: unknown) => T): Promise<T[]> {
    const records: T[] = [];
    const at = (place: () => string, act: () => void) => {
        try {
            act();
        } catch (error) {
            throw error instanceof Flaw ? malformed(`${path}, ${place()}`, error.message) : error;
        }
    };
    const chunks = chunksOf(path);
    try {
        const first = await chunks.next();
        if (first.done) throw malformed(path, "it holds no records");
        if (beginsArray(first.value)) {
            const items = parseArray(path, await collect(path, first.value, chunks));
            for (const [i, item] of items.entries())
                at(
                    () => `item ${i + 1}`,
                    () => records.push(read(item))
                );
        } else {
            const lines = new Lines((line) => {
                const text = decode(line);
                if (text.trim() !== "") records.push(read(parseLine(text)));
            });
            const place = () => `line ${lines.number}`;
            at(place, () => lines.push(first.value));
            for await (const chunk of chunks) at(place, () => lines.push(chunk));
            at(place, () => lines.end());
        }
    } finally {
        await chunks.return(undefined);
    }
    if (records.length === 0) throw malformed(path, "it holds no records");
    return records;
}

async function* chunksOf(path: string): AsyncGenerator<Buffer, undefined> {
    let handle: FileHandle | undefined;
    let size = 0;
    try {
        handle = await openRegularFile(path);
        for await (const chunk of handle.createReadStream({autoClose: false})) {
            size += chunk.length;
            if (size > limits.fileBytes)
                throw malformed(path, `expected at most ${limits.fileBytes} bytes. Split the file.`);
            yield chunk;
        }
    } catch (error) {
        if (error instanceof MaraError) throw error;
        const reason = (error as Error).message.split(", ")[0];
        throw new MaraError("PROMPTS_NOT_FOUND", `Could not read ${path}: ${reason}`, {cause: error});
    } finally {
        await handle?.close();
    }
}

/** Cuts chunks into lines that end with LF, CR LF or CR, and hands each over without its end. */
class Lines {
    /** Number of the line that is being read, from 1. */
    number = 1;
    readonly #take: (line: Buffer) => void;
    #begun: Buffer[] = [];
    #length = 0;
    #afterReturn = false;

    constructor(take: (line: Buffer) => void) {
        this.#take = take;
    }

    push(chunk: Buffer): void {
        let from = this.#afterReturn && chunk[0] === 10 ? 1 : 0;
        this.#afterReturn = chunk.at(-1) === 13;
        for (let at = from; at < chunk.length; at++) {
            const byte = chunk[at];
            if (byte !== 10 && byte !== 13) continue;
            this.#add(chunk.subarray(from, at));
            this.end();
            if (byte === 13 && chunk[at + 1] === 10) at++;
            from = at + 1;
        }
        this.#add(chunk.subarray(from));
    }

    end(): void {
        const line = this.#begun.length === 1 ? (this.#begun[0] as Buffer) : Buffer.concat(this.#begun);
        this.#begun = [];
        this.#length = 0;
        this.#take(line);
        this.number++;
    }

    #add(part: Buffer): void {
        this.#length += part.length;
        if (this.#length > limits.lineBytes)
            throw new Flaw(`expected a line of at most ${limits.lineBytes} bytes but received a longer one`);
        this.#begun.push(part);
    }
}

function beginsArray(chunk: Buffer): boolean {
    return /^(?:\xef\xbb\xbf)?\s*\[/.test(chunk.toString("latin1", 0, 4096));
}

async function collect(path: string, first: Buffer, rest: AsyncGenerator<Buffer>): Promise<Buffer> {
    const parts = [first];
    let size = first.length;
    for await (const part of rest) {
        parts.push(part);
        size += part.length;
        if (size > limits.arrayBytes)
            throw malformed(
                path,
                `expected an array of at most ${limits.arrayBytes} bytes. Write one object per line.`
            );
    }
    return Buffer.concat(parts);
}

function parseArray(path: string, bytes: Buffer): unknown[] {
    let text: string;
    try {
        text = decode(bytes);
        requireShallow(text);
    } catch (error) {
        throw error instanceof Flaw ? malformed(path, error.message) : error;
    }
    try {
        return JSON.parse(text);
    } catch (error) {
        throw malformed(path, `it begins like a JSON array and is none: ${(error as Error).message}`, error);
    }
}

function parseLine(line: string): unknown {
    requireShallow(line);
    try {
        return JSON.parse(line);
    } catch {
        throw new Flaw(`expected a JSON object but received ${quote(line)}`);
    }
}

/** The decoder takes off a BOM. */
function decode(bytes: Buffer): string {
    try {
        return new TextDecoder("utf-8", {fatal: true}).decode(bytes);
    } catch {
        throw new Flaw("it is not UTF-8 text");
    }
}

/** Values nested deeper would exhaust the stack of whatever walks through them. */
function requireShallow(json: string): void {
    let depth = 0;
    let inText = false;
    for (let at = 0; at < json.length; at++) {
        const char = json[at];
        if (inText) {
            if (char === "\\") at++;
            else if (char === '"') inText = false;
        } else if (char === '"') inText = true;
        else if (char === "[" || char === "{") depth++;
        else if (char === "]" || char === "}") depth--;
        if (depth > limits.nesting)
            throw new Flaw(`expected values nested at most ${limits.nesting} deep but received deeper ones`);
    }
}

function malformed(place: string, reason: string, cause?: unknown): MaraError {
    return new MaraError("PROMPTS_FORMAT", `${place}: ${reason}`, {cause});
}
