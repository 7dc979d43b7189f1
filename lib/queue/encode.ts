/** Results as bytes: typed arrays and plain values together, their bytes sorted by place and deflated. */
import {promisify} from "node:util";
import {constants, deflateRaw, inflateRaw} from "node:zlib";
import {convert, tensorOf, widen} from "../agent/tensor.js";
import {MaraError, reasonOf} from "../errors.js";
import {packValue, unpackValue} from "../train/run/segments.js";
import {maxBytes} from "./payloads.js";

const deflate = promisify(deflateRaw);
const inflate = promisify(inflateRaw);

/** Bytes of a number. Exponents of neighbours are alike, mantissas are not: sorted apart, the former shrink. */
const width = 4;

/** @throws MaraError QUEUE_JOB if it is more than a result may be */
export async function encodeResult(value: unknown): Promise<Buffer> {
    const packed = packValue(value);
    // Packed arrays begin at multiples of 8, and the last is padded to one.
    const bytes = await deflate(sorted(packed), {level: constants.Z_BEST_SPEED});
    if (packed.length <= maxBytes.unpacked && bytes.length <= maxBytes.result) return bytes;
    throw new MaraError(
        "QUEUE_JOB",
        `The result has ${bytes.length} bytes, and a queue takes ${maxBytes.result} at most. Lower sequences, maxTokens or topK.`
    );
}

/** @throws MaraError QUEUE_JOB if these are no bytes of `encodeResult` */
export async function decodeResult(bytes: Uint8Array): Promise<unknown> {
    try {
        if (bytes.length > maxBytes.result) throw new Error(`${bytes.length} bytes are too many`);
        return unpackValue(joined(await inflate(bytes, {maxOutputLength: maxBytes.unpacked})));
    } catch (error) {
        throw new MaraError("QUEUE_JOB", `A worker's result cannot be read: ${reasonOf(error)}`, {cause: error});
    }
}

function sorted(bytes: Uint8Array): Uint8Array {
    const count = bytes.length / width;
    const out = new Uint8Array(bytes.length);
    for (let place = 0; place < width; place++)
        for (let i = 0, at = place * count; i < count; i++, at++) out[at] = bytes[i * width + place] as number;
    return out;
}

function joined(bytes: Uint8Array): Uint8Array {
    const count = bytes.length / width;
    const out = new Uint8Array(bytes.length);
    for (let place = 0; place < width; place++)
        for (let i = 0, at = place * count; i < count; i++, at++) out[i * width + place] = bytes[at] as number;
    return out;
}

/** Hidden states in half precision. @throws MaraError INVALID_ARGUMENT if one is beyond its range */
export function toHalf(states: Float32Array): Uint8Array {
    return convert("states", {...tensorOf([states.length], states), dtype: "F32"}, "F16").bytes;
}

export function fromHalf(bytes: Uint8Array): Float32Array {
    return widen("F16", bytes);
}
