/** Zip archives in memory. The directory is checked against the file before anything is unpacked. */
import {inflateRawSync} from "node:zlib";
import {type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile} from "yauzl";
import {MaraError} from "../errors.js";
import {visible} from "../visible.js";
import {quote} from "./tensor.js";

const maxEntries = 4096;
/** Compression methods of the format. */
const stored = 0;
const deflated = 8;
const dosFolder = 0x10;

export interface ZipEntry {
    /** Unpacked, as the directory declares it. */
    readonly size: number;
    /**
     * The entry's bytes. Those of a stored entry are a view into the archive.
     * @throws MaraError AGENT_FORMAT if they are not as many as declared
     */
    unpack(): Uint8Array;
}

/**
 * The entries of an archive by name.
 * @throws MaraError AGENT_FORMAT if the archive is damaged, holds more than 4096 files or a name twice, or if files overlap
 */
export async function openZip(bytes: Uint8Array): Promise<Map<string, ZipEntry>> {
    const entries = new Map<string, ZipEntry>();
    const spans: {name: string; begin: number; end: number}[] = [];
    try {
        const archive = await fromRandomAccessReaderPromise(new MemoryReader(bytes), bytes.length, {
            lazyEntries: true,
            validateEntrySizes: false
        });
        if (archive.entryCount > maxEntries) throw damaged(`it holds more than ${maxEntries} files`);
        for await (const entry of archive.eachEntry()) {
            const name = entry.fileName;
            if (entries.has(name)) throw damaged(`it holds ${quote(name)} twice`);
            const {begin, data, end} = await locate(archive, entry);
            spans.push({name, begin, end});
            entries.set(name, {size: entry.uncompressedSize, unpack: () => unpack(entry, bytes.subarray(data, end))});
            // The library tells the end in another turn of the event loop.
            if (entries.size === archive.entryCount) break;
        }
    } catch (error) {
        if (error instanceof MaraError) throw error;
        // The library's messages carry names of files whole, and a name may have 65 535 characters.
        throw damaged(`the zip archive is damaged or cut short (${visible((error as Error).message, {max: 160})})`);
    }
    spans.sort((a, b) => a.begin - b.begin);
    spans.forEach(({name, begin}, i) => {
        const before = spans[i - 1];
        if (before !== undefined && begin < before.end) {
            throw damaged(`${quote(before.name)} and ${quote(name)} overlap in the zip archive`);
        }
    });
    return entries;
}

export function damaged(reason: string): MaraError {
    return new MaraError("AGENT_FORMAT", `This is not a valid .pth file: ${reason}`);
}

/** Where an entry begins, with its local header, where its data begins, and where that ends. */
async function locate(archive: ZipFile, entry: Entry): Promise<{begin: number; data: number; end: number}> {
    const {fileDataStart: data} = await archive.readLocalFileHeaderPromise(entry, {minimal: true});
    return {begin: entry.relativeOffsetOfLocalHeader, data, end: data + entry.compressedSize};
}

function unpack(entry: Entry, packed: Uint8Array): Uint8Array {
    const {uncompressedSize: size, compressionMethod: method} = entry;
    const name = quote(entry.fileName);
    // PyTorch ignores such an entry, and leaves the tensor's memory as it was.
    if ((entry.externalFileAttributes & dosFolder) !== 0) throw damaged(`${name} is marked as a folder`);
    if (entry.isEncrypted() || (method !== stored && method !== deflated)) {
        throw damaged(`${name} is encrypted or compressed by method ${method}`);
    }
    if (method === stored) {
        if (packed.length !== size) throw damaged(`${name} declares ${size} bytes stored in ${packed.length}`);
        return packed;
    }
    try {
        const bytes = inflateRawSync(packed, {maxOutputLength: Math.max(size, 1)});
        if (bytes.length === size) return bytes;
    } catch {
        // The data is broken, or longer than declared.
    }
    throw damaged(`${name} does not unpack to the ${size} bytes that it declares`);
}

/** Answers at once. The library's own reader of buffers takes a turn of the event loop for each of some forty reads. */
class MemoryReader extends RandomAccessReader {
    constructor(private readonly bytes: Uint8Array) {
        super();
    }

    override read(
        buffer: Buffer,
        offset: number,
        length: number,
        position: number,
        callback: (error: null, bytesRead: number) => void
    ): void {
        const part = this.bytes.subarray(position, position + length);
        buffer.set(part, offset);
        callback(null, part.length);
    }
}
