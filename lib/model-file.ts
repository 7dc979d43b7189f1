/**
 * Model files before node-llama-cpp opens them. Its reader of GGUF headers takes what lies behind a file's end for zeros, so that a length
 * or count beyond the file makes it read for ever, and a text of 2 GiB or more ends the process.
 */
import {closeSync, openSync, readSync, statSync} from "node:fs";
import type {Llama, LlamaModel} from "node-llama-cpp";
import {MaraError} from "./errors.js";

/** Bytes per item of each type of value, by the type's number; those of texts and arrays vary. */
const valueSizes = [1, 1, 2, 2, 4, 4, 4, 1, undefined, undefined, 8, 8, 8];
const textType = 8;
const arrayType = 9;
/** llama.cpp's. */
const maxAxes = 4;
/** The largest vocabularies take some 20 MB. node-llama-cpp keeps each of their items as a JavaScript value. */
const maxHeaderBytes = 2 ** 28;
const chunkBytes = 2 ** 20;
const minTextBytes = 8;
/** Name, number of axes, type, offset. */
const minTensorBytes = minTextBytes + 4 + 4 + 8;
/** Name, type, value. */
const minEntryBytes = minTextBytes + 4 + 1;

/**
 * `llama.loadModel` of a GGUF file whose header lies within it. Of a model in several files the first is looked at.
 * @throws MaraError MODEL_UNSUPPORTED with the reason alone; whatever `loadModel` throws
 */
export async function loadModelFile(llama: Llama, modelPath: string): Promise<LlamaModel> {
    checkModelFile(modelPath);
    return await llama.loadModel({modelPath});
}

/** @throws MaraError MODEL_UNSUPPORTED with the reason alone; Node's errors */
export function checkModelFile(path: string): void {
    // Opening a named pipe would wait for its writer.
    const info = statSync(path, {throwIfNoEntry: false});
    if (info !== undefined && !info.isFile()) throw damaged("it is not a regular file");
    const file = openSync(path, "r");
    try {
        walk(new Header(file, statSync(path).size));
    } finally {
        closeSync(file);
    }
}

function walk(header: Header): void {
    if (header.number(4) !== 0x46554747) throw damaged("it is no GGUF file");
    header.number(4); // the version, which node-llama-cpp judges
    const tensors = header.count(minTensorBytes, "tensors");
    const entries = header.count(minEntryBytes, "metadata entries");
    for (let i = 0; i < entries; i++) {
        header.text();
        skipValue(header, header.number(4));
    }
    for (let i = 0; i < tensors; i++) {
        header.text();
        const axes = header.number(4);
        if (axes > maxAxes) throw damaged(`a tensor has ${axes} axes`);
        header.skip(8 * axes + 4 + 8);
    }
}

function skipValue(header: Header, type: number): void {
    if (type === textType) {
        header.text();
    } else if (type !== arrayType) {
        header.skip(sizeOf(type));
    } else {
        const itemType = header.number(4);
        const itemSize = itemType === textType ? minTextBytes : sizeOf(itemType);
        const items = header.count(itemSize, "items of a list");
        if (itemType !== textType) header.skip(items * itemSize);
        else for (let i = 0; i < items; i++) header.text();
    }
}

function sizeOf(type: number): number {
    const size = valueSizes[type];
    if (size === undefined) throw damaged(`a metadata entry is of the unknown type ${type}`);
    return size;
}

/** A file read from its beginning, a piece at a time, never beyond its end. */
class Header {
    #chunk = Buffer.alloc(0);
    #start = 0;
    #at = 0;

    constructor(
        private readonly file: number,
        private readonly size: number
    ) {}

    /** The next whole number of 4 or 8 bytes. One of 8 is rounded where it is above 2⁵³, which no file has room for. */
    number(bytes: 4 | 8): number {
        const from = this.#at;
        this.skip(bytes);
        if (this.#at > this.#start + this.#chunk.length || from < this.#start) this.#readFrom(from);
        const offset = from - this.#start;
        return bytes === 4 ? this.#chunk.readUInt32LE(offset) : Number(this.#chunk.readBigUInt64LE(offset));
    }

    /** A number of things that take `itemBytes` each at least. */
    count(itemBytes: number, what: string): number {
        const count = this.number(8);
        if (count > (this.size - this.#at) / itemBytes)
            throw damaged(`it declares more ${what} (${count}) than it has room for`);
        return count;
    }

    text(): void {
        this.skip(this.number(8));
    }

    skip(bytes: number): void {
        this.#at += bytes;
        if (this.#at > this.size) throw damaged("its header reaches beyond its end");
        if (this.#at > maxHeaderBytes) throw damaged(`its header takes more than ${maxHeaderBytes} bytes`);
    }

    #readFrom(start: number): void {
        const chunk = Buffer.alloc(Math.min(chunkBytes, this.size - start));
        this.#start = start;
        this.#chunk = chunk.subarray(0, readSync(this.file, chunk, 0, chunk.length, start));
    }
}

function damaged(reason: string): MaraError {
    return new MaraError("MODEL_UNSUPPORTED", reason);
}
