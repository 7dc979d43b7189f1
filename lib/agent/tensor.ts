/**
 * A tensor as agent files hold it, and the conversions between the float formats.
 *
 * All bytes are little-endian: so are both file formats (a big-endian .pth is swapped when it is read) and every
 * platform this package builds for.
 */
import {MaraError} from "../errors.js";

/** Float formats that an agent can be read from. */
export type FloatDtype = "F64" | "F32" | "F16" | "BF16";

/** Row-major tensor; `bytes.length` is the product of `shape` times the item size of `dtype`. */
export interface Tensor {
    /** A safetensors dtype name. Only `FloatDtype`s have a use here, but files may hold others. */
    readonly dtype: string;
    readonly shape: readonly number[];
    readonly bytes: Uint8Array;
    /** Where the items lie, of a tensor whose `bytes` are put in order each time when they are asked for. */
    readonly view?: ItemView;
}

/** Items within other bytes; offset and strides (one per axis) count items, and all of them lie within `data`. */
export interface ItemView {
    readonly data: Uint8Array;
    readonly offset: number;
    readonly strides: readonly number[];
}

/**
 * The most bytes that a file may have. Published agents have 18 MB; the limit
 * keeps a language model passed by mistake from eating the memory.
 */
export const maxAgentBytes = 2 ** 30;

/** The most axes of a tensor that is read; an agent's have two. */
export const maxRank = 8;

/** Bytes per item of each safetensors dtype with whole-byte items. It is a Map because names come from files ("constructor"). */
export const itemSizes: ReadonlyMap<string, number> = new Map([
    ["F64", 8],
    ["F32", 4],
    ["F16", 2],
    ["BF16", 2],
    ["I64", 8],
    ["U64", 8],
    ["I32", 4],
    ["U32", 4],
    ["I16", 2],
    ["U16", 2],
    ["I8", 1],
    ["U8", 1],
    ["BOOL", 1],
    ["F8_E4M3", 1],
    ["F8_E5M2", 1]
]);

export function isFloatDtype(dtype: string): dtype is FloatDtype {
    return dtype === "F32" || dtype === "F16" || dtype === "BF16" || dtype === "F64";
}

/** Items in a shape; Infinity when the product is no longer exact. */
export function countItems(shape: readonly number[]): number {
    let count = 1;
    for (const size of shape) count *= size;
    return Number.isSafeInteger(count) ? count : Number.POSITIVE_INFINITY;
}

/** Number of bytes that a tensor takes. No file gives a dtype without a size. */
export function byteSize({dtype, shape}: Tensor): number {
    return countItems(shape) * (itemSizes.get(dtype) as number);
}

/** Text taken from a file, made fit for a message: quoted, cut, and free of control characters. */
export function quote(text: string): string {
    const cut = text.length > 80 ? `${text.slice(0, 80)}…` : text;
    return `"${cut.replace(/\p{C}/gu, "\ufffd")}"`;
}

/** Quoted names for a message, at most 12 of them. */
export function quoteAll(names: readonly string[]): string {
    const shown = names.slice(0, 12).map(quote).join(", ");
    return names.length > 12 ? `${shown} and ${names.length - 12} more` : shown;
}

/** A tensor of float32 items. `values` is copied. */
export function tensorOf(shape: readonly number[], values: Float32Array): Tensor {
    return {dtype: "F32", shape: [...shape], bytes: new Uint8Array(values.slice().buffer)};
}

/** The items as float32, in an array of their own. F64 is rounded to nearest. */
export function toFloat32(tensor: Tensor & {dtype: FloatDtype}): Float32Array {
    // The copy aligns the bytes for the typed arrays below and detaches the result from the file's buffer.
    return widen(tensor.dtype, new Uint8Array(tensor.bytes));
}

/** The tensor as float32, rounded to nearest, whose bytes are computed each time when they are asked for. */
export function narrowed(tensor: Tensor & {dtype: "F64"}): Tensor & {dtype: "F32"} {
    return {
        dtype: "F32",
        shape: tensor.shape,
        get bytes() {
            return new Uint8Array(toFloat32(tensor).buffer);
        }
    };
}

/** Widens bytes that are aligned to their items to float32. F32 items are not copied. */
export function widen(dtype: FloatDtype, bytes: Uint8Array): Float32Array {
    const [buffer, offset, count] = [bytes.buffer, bytes.byteOffset, bytes.length / (itemSizes.get(dtype) as number)];
    switch (dtype) {
        case "F32":
            return new Float32Array(buffer, offset, count);
        case "F64":
            return Float32Array.from(new Float64Array(buffer, offset, count));
        case "F16": {
            const table = halfTable();
            const source = new Uint16Array(buffer, offset, count);
            const floats = new Float32Array(count);
            for (let i = 0; i < count; i++) floats[i] = table[source[i] as number] as number;
            return floats;
        }
        case "BF16": {
            const source = new Uint16Array(buffer, offset, count);
            const bits = new Uint32Array(source.length);
            for (let i = 0; i < source.length; i++) bits[i] = (source[i] as number) << 16;
            return new Float32Array(bits.buffer);
        }
    }
}

/**
 * The tensor in another float format, rounded to nearest, ties to even; the tensor itself if it is in that format already.
 * @throws MaraError INVALID_ARGUMENT if a value is beyond the format's range
 */
export function convert(name: string, tensor: Tensor & {dtype: FloatDtype}, dtype: "F32" | "F16" | "BF16"): Tensor {
    if (tensor.dtype === dtype) return tensor;
    const values = toFloat32(tensor);
    if (dtype === "F32") return tensorOf(tensor.shape, values);
    const bits = new Uint32Array(values.buffer);
    const out = new Uint16Array(values.length);
    const round = dtype === "F16" ? roundToHalf : roundToBfloat;
    const infinity = dtype === "F16" ? 0x7c00 : 0x7f80;
    for (let i = 0; i < out.length; i++) {
        const rounded = round(bits[i] as number);
        if ((rounded & infinity) === infinity) {
            throw new MaraError(
                "INVALID_ARGUMENT",
                `Tensor ${quote(name)} holds ${values[i]} at index ${i}, which is beyond the range of ${dtype}`
            );
        }
        out[i] = rounded;
    }
    return {dtype, shape: tensor.shape, bytes: new Uint8Array(out.buffer)};
}

/** The bits of a float32 as the bits of the nearest bfloat16. */
function roundToBfloat(bits: number): number {
    return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}

/** The bits of a float32 as the bits of the nearest float16. */
function roundToHalf(bits: number): number {
    const sign = (bits >>> 16) & 0x8000;
    const magnitude = bits & 0x7fffffff;
    if (magnitude >= 0x47800000) return sign | 0x7c00;
    if (magnitude < 0x38800000) {
        // Below 2^-14 a half counts in steps of 2^-24. In units of the step, a double near 2^52 holds whole steps only:
        // adding and subtracting 2^52 rounds to the nearest step, ties to even.
        scratchBits[0] = magnitude;
        const steps = (scratch[0] as number) * 2 ** 24;
        return sign | (steps + 2 ** 52 - 2 ** 52);
    }
    // Adding just under half a step carries into the exponent where needed; then the exponent's bias moves from 127 to 15.
    return sign | ((magnitude + 0xfff + ((magnitude >>> 13) & 1) - 0x38000000) >>> 13);
}

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

let halves: Float32Array | undefined;

/** The value of each of the 65536 float16 bit patterns (256 KB, built at first use). */
function halfTable(): Float32Array {
    if (halves === undefined) {
        halves = new Float32Array(65536);
        for (let bits = 0; bits < 65536; bits++) {
            const exponent = (bits >>> 10) & 31;
            const fraction = bits & 1023;
            const magnitude =
                exponent === 0
                    ? fraction * 2 ** -24
                    : exponent === 31
                      ? fraction === 0
                          ? Number.POSITIVE_INFINITY
                          : Number.NaN
                      : (1 + fraction / 1024) * 2 ** (exponent - 15);
            halves[bits] = bits & 0x8000 ? -magnitude : magnitude;
        }
    }
    return halves;
}
