/**
 * The .safetensors format: a little-endian u64 with the header's length, a JSON header, the tensors' bytes.
 *
 * Written here because it is small and must be strict, and because no npm package for it is maintained
 * ("safetensors" on npm is a placeholder of 2023).
 */
import {MaraError} from "../errors.js";
import {countItems, itemSizes, maxRank, quote, type Tensor} from "./tensor.js";

/** An agent's header takes about 1 KB. JSON beyond this is an attack or another kind of file. */
const maxHeaderBytes = 2 ** 20;

const maxNesting = 127;

export interface SafetensorsFile {
    /** Views into the bytes that were read. */
    tensors: Map<string, Tensor>;
    metadata: Record<string, string>;
}

/** True if the bytes look like this format: the header's JSON object must begin right after its length. */
export function looksLikeSafetensors(bytes: Uint8Array): boolean {
    return bytes.length > 8 && bytes[8] === 0x7b;
}

/**
 * Reads a whole file.
 * @throws MaraError AGENT_FORMAT for anything that the format does not allow: a header beyond the file or above 1 MiB, text that is not
 * JSON, duplicate names, unknown dtypes, offsets that overlap, leave holes, leave the file, or do not fit the shape
 */
export function readSafetensors(bytes: Uint8Array): SafetensorsFile {
    if (bytes.length < 8) throw malformed(`the file has ${bytes.length} bytes, fewer than the header's length takes`);
    const headerBytes = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(0, true);
    if (headerBytes > BigInt(maxHeaderBytes))
        throw malformed(`a header of ${headerBytes} bytes is beyond ${maxHeaderBytes}`);
    const dataStart = 8 + Number(headerBytes);
    if (dataStart > bytes.length) {
        throw malformed(`a header of ${headerBytes} bytes does not fit into a file of ${bytes.length} bytes`);
    }
    const entries = Object.entries(parseHeader(bytes.subarray(8, dataStart)));
    const data = bytes.subarray(dataStart);
    const tensors = new Map<string, Tensor>();
    const spans: {name: string; begin: number; end: number}[] = [];
    let metadata: Record<string, string> = {};
    for (const [name, entry] of entries) {
        if (name === "__metadata__") {
            metadata = readMetadata(entry);
            continue;
        }
        const {dtype, shape, begin, end} = readEntry(name, entry);
        spans.push({name, begin, end});
        tensors.set(name, {dtype, shape, bytes: data.subarray(begin, end)});
    }
    checkCover(spans, data.length);
    return {tensors, metadata};
}

/** The bytes of a file with these tensors, in the order given. Names must differ, and none be "__metadata__". */
export function writeSafetensors(
    tensors: ReadonlyMap<string, Tensor>,
    metadata: Readonly<Record<string, string>>
): Uint8Array {
    const header: Record<string, unknown> = {};
    if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
    let offset = 0;
    for (const [name, {dtype, shape, bytes}] of tensors) {
        header[name] = {dtype, shape, data_offsets: [offset, offset + bytes.length]};
        offset += bytes.length;
    }
    const json = new TextEncoder().encode(JSON.stringify(header));
    // Padded with spaces, as the reference implementation does, so that the tensors begin at a multiple of 8.
    const headerBytes = Math.ceil(json.length / 8) * 8;
    const out = new Uint8Array(8 + headerBytes + offset).fill(0x20, 8, 8 + headerBytes);
    new DataView(out.buffer).setBigUint64(0, BigInt(headerBytes), true);
    out.set(json, 8);
    let position = 8 + headerBytes;
    for (const {bytes} of tensors.values()) {
        out.set(bytes, position);
        position += bytes.length;
    }
    return out;
}

function malformed(reason: string): MaraError {
    return new MaraError("AGENT_FORMAT", `This is not a valid .safetensors file: ${reason}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
    return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
    let text: string;
    let header: unknown;
    try {
        text = new TextDecoder("utf-8", {fatal: true}).decode(bytes);
        header = JSON.parse(text);
    } catch {
        throw malformed("its header is not JSON");
    }
    if (!isObject(header)) throw malformed("its header is not a JSON object");
    const fault = headerFault(text);
    if (fault !== undefined) throw malformed(`its header ${fault}`);
    return header;
}

/**
 * Finds what JSON.parse accepts but the reference implementation does not. JSON.parse keeps the last value of a repeated key, so readers that keep the
 * first would see another agent in the same file. `text` is known to be valid JSON.
 */
function headerFault(text: string): string | undefined {
    const open: Set<string>[] = [];
    for (const [token, colon] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]|-?\d[\d.eE+-]*/g)) {
        if (token === "{" || token === "[") {
            if (open.push(new Set()) > maxNesting) return `nests more than ${maxNesting} values`;
        } else if (token === "}" || token === "]") {
            open.pop();
        } else if (!token.startsWith('"')) {
            const number = Number(token);
            const isPlain =
                /^\d+$/.test(token) || (Number.isFinite(number) && !(number >= 0 && Number.isInteger(number)));
            if (!isPlain) return `writes a number as ${quote(token)}`;
        } else {
            const string = JSON.parse(colon === undefined ? token : token.slice(0, -colon.length)) as string;
            if (/\p{Surrogate}/u.test(string)) return `holds half a character in ${quote(string)}`;
            if (colon === undefined) continue;
            const keys = open.at(-1) as Set<string>;
            if (keys.has(string)) return `names ${quote(string)} twice`;
            keys.add(string);
        }
    }
    return undefined;
}

function readMetadata(entry: unknown): Record<string, string> {
    if (!isObject(entry) || !Object.values(entry).every((value) => typeof value === "string")) {
        throw malformed("its __metadata__ is not a map from strings to strings");
    }
    return entry as Record<string, string>;
}

function readEntry(name: string, entry: unknown): {dtype: string; shape: number[]; begin: number; end: number} {
    const {dtype, shape, data_offsets: offsets} = isObject(entry) ? entry : {};
    if (
        typeof dtype !== "string" ||
        !isSizes(shape) ||
        shape.length > maxRank ||
        !isSizes(offsets) ||
        offsets.length !== 2
    ) {
        throw malformed(`the entry of ${quote(name)} lacks a proper dtype, shape or data_offsets`);
    }
    const itemSize = itemSizes.get(dtype);
    if (itemSize === undefined) throw malformed(`${quote(name)} has the unknown dtype ${quote(dtype)}`);
    const [begin, end] = offsets as [number, number];
    if (end - begin !== countItems(shape) * itemSize) {
        throw malformed(`${quote(name)} has ${end - begin} bytes, which is not what ${dtype} [${shape}] takes`);
    }
    return {dtype, shape, begin, end};
}

function isSizes(value: unknown): value is number[] {
    return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** The format wants every byte of the data to belong to exactly one tensor. */
function checkCover(spans: {name: string; begin: number; end: number}[], length: number): void {
    spans.sort((a, b) => a.begin - b.begin || a.end - b.end);
    let covered = 0;
    for (const {name, begin, end} of spans) {
        if (begin < covered) throw malformed(`the bytes of ${quote(name)} overlap those of another tensor`);
        if (begin > covered) throw malformed(`${begin - covered} bytes before ${quote(name)} belong to no tensor`);
        if (end > length) throw malformed(`${quote(name)} ends at byte ${end} of ${length}; the file is cut short`);
        covered = end;
    }
    if (covered < length) throw malformed(`${length - covered} bytes at its end belong to no tensor`);
}
