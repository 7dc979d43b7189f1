/** Writes GGUF files (version 3): just enough of the format to make models for tests. */
import {type KQuant, kBlock, kBlockSize} from "./k-quants.js";

/** `u32`, `f32` and `bool` are single values, the others what their names say. */
export type GgufValue =
    | {u32: number}
    | {f32: number}
    | {bool: boolean}
    | {string: string}
    | {strings: readonly string[]}
    | {f32s: readonly number[]}
    | {i32s: readonly number[]};

export type GgufType = "F32" | "F16" | "Q4_0" | "Q4_1" | "Q8_0" | KQuant;

export interface GgufTensor {
    /** Fastest-varying dimension first, as GGUF has it: [columns, rows]. */
    shape: readonly number[];
    type: GgufType;
    values: Float32Array;
}

const valueTypes = {i32: 5, u32: 4, f32: 6, bool: 7, string: 8, array: 9} as const;
const tensorTypes = {F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q8_0: 8, Q4_K: 12, Q5_K: 13, Q6_K: 14} as const;
/** Values of a quantised block, which share a scale; K-quants have larger ones. */
export const blockSize = 32;
const alignment = 32;

export function encodeGguf(
    metadata: Readonly<Record<string, GgufValue>>,
    tensors: Readonly<Record<string, GgufTensor>>
): Buffer {
    const entries = Object.entries(metadata);
    return encodeModel(
        entries.length,
        Buffer.concat(entries.flatMap(([key, value]) => [text(key), encodeValue(value)])),
        tensors
    );
}

/** Writes a file whose metadata are encoded already, `entries` of them. */
export function encodeModel(entries: number, metadata: Buffer, tensors: Readonly<Record<string, GgufTensor>>): Buffer {
    const header: Buffer[] = [Buffer.from("GGUF"), u32(3), u64(Object.keys(tensors).length), u64(entries), metadata];
    const bodies: Buffer[] = [];
    let offset = 0;
    for (const [name, {shape, type, values}] of Object.entries(tensors)) {
        header.push(text(name), u32(shape.length), ...shape.map(u64), u32(tensorTypes[type]), u64(offset));
        const body = padded(encodeValues(type, values));
        bodies.push(body);
        offset += body.length;
    }
    return Buffer.concat([padded(Buffer.concat(header)), ...bodies]);
}

function encodeValues(type: GgufType, values: Float32Array): Buffer {
    if (type === "F32") return Buffer.from(values.slice().buffer);
    if (type === "F16") return Buffer.from(toHalf(values).buffer);
    const blocks: Buffer[] = [];
    const size = isKQuant(type) ? kBlockSize : blockSize;
    for (let i = 0; i < values.length; i += size) {
        const own = values.subarray(i, i + size);
        blocks.push(isKQuant(type) ? kBlock(type, own, half) : block(type, own));
    }
    return Buffer.concat(blocks);
}

function isKQuant(type: GgufType): type is KQuant {
    return type.endsWith("_K");
}

/** One block as ggml-common.h lays it out: the scale (and the minimum) in half precision, then the values, low nibbles first. */
function block(type: "Q4_0" | "Q4_1" | "Q8_0", values: Float32Array): Buffer {
    const largest = values.reduce((best, value) => (Math.abs(value) > Math.abs(best) ? value : best), 0);
    if (type === "Q8_0") {
        const scale = Math.abs(largest) / 127;
        return Buffer.concat([
            half(scale),
            Buffer.from(Int8Array.from(values, (value) => Math.round(value / scale)).buffer)
        ]);
    }
    const minimum = Math.min(...values);
    const scale = type === "Q4_0" ? largest / -8 : (Math.max(...values) - minimum) / 15;
    const zero = type === "Q4_0" ? 8 * -scale : minimum;
    const quants = Array.from(values, (value) => Math.max(0, Math.min(15, Math.round((value - zero) / scale))));
    const nibbles = Uint8Array.from({length: blockSize / 2}, (_, i) => {
        return (quants[i] as number) | ((quants[i + blockSize / 2] as number) << 4);
    });
    return Buffer.concat([half(scale), ...(type === "Q4_1" ? [half(minimum)] : []), nibbles]);
}

function half(value: number): Buffer {
    return Buffer.from(toHalf(Float32Array.of(value)).buffer);
}

function encodeValue(value: GgufValue): Buffer {
    if ("u32" in value) return Buffer.concat([u32(valueTypes.u32), u32(value.u32)]);
    if ("f32" in value) return Buffer.concat([u32(valueTypes.f32), f32(value.f32)]);
    if ("bool" in value) return Buffer.concat([u32(valueTypes.bool), Buffer.of(Number(value.bool))]);
    if ("string" in value) return Buffer.concat([u32(valueTypes.string), text(value.string)]);
    if ("strings" in value) return array(valueTypes.string, value.strings.map(text));
    if ("f32s" in value) return array(valueTypes.f32, value.f32s.map(f32));
    return array(valueTypes.i32, value.i32s.map(u32));
}

function array(itemType: number, items: readonly Buffer[]): Buffer {
    return Buffer.concat([u32(valueTypes.array), u32(itemType), u64(items.length), ...items]);
}

function padded(bytes: Buffer): Buffer {
    const rest = bytes.length % alignment;
    return rest === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(alignment - rest)]);
}

function u32(value: number): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    return bytes;
}

function u64(value: number): Buffer {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    return bytes;
}

function f32(value: number): Buffer {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return bytes;
}

/** A string as GGUF has it: its length, then its bytes. */
export function text(value: string): Buffer {
    const bytes = Buffer.from(value);
    return Buffer.concat([u64(bytes.length), bytes]);
}

/** Half precision by truncation. Weights are random, so rounding would add nothing; subnormals become zero. */
function toHalf(values: Float32Array): Uint16Array {
    const bits = new Uint32Array(values.slice().buffer);
    return Uint16Array.from(bits, (word) => {
        const sign = (word >>> 16) & 0x8000;
        const exponent = ((word >>> 23) & 0xff) - 112;
        if (exponent <= 0) return sign;
        if (exponent >= 31) throw new RangeError("A weight is beyond half precision");
        return sign | (exponent << 10) | ((word >>> 13) & 0x3ff);
    });
}
