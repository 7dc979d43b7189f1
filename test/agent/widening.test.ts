/** Weights that are not row-major float32 where they stand: the addon widens and gathers them while it packs them. */
import {describe, expect, test} from "vitest";
import {shapesOf} from "../../lib/agent/state-dict.js";
import {type AgentTensor, MaraAgent} from "../../lib/index.js";
import {native} from "../../lib/native.js";
import {failure, type PickledTensor, pickledDict, pthFile, random, randomStates, safetensorsFile} from "./helpers.js";

const [width, hidden1, hidden2] = [37, 21, 18];
const shapes: Record<string, number[]> = shapesOf({width, hidden1, hidden2});
const formats = {
    F16: {storage: "HalfStorage", exponent: 5, fraction: 10},
    BF16: {storage: "BFloat16Storage", exponent: 8, fraction: 7},
    F32: {storage: "FloatStorage", exponent: 8, fraction: 23},
    F64: {storage: "DoubleStorage", exponent: 11, fraction: 52}
} as const;
type Dtype = keyof typeof formats;

/** The value of a float's bits, by its definition. */
function realOf(bits: bigint, dtype: Dtype): number {
    const {exponent: exponentBits, fraction: fractionBits} = formats[dtype];
    const bias = 2 ** (exponentBits - 1) - 1;
    const exponent = Number(BigInt.asUintN(exponentBits, bits >> BigInt(fractionBits)));
    const fraction = Number(BigInt.asUintN(fractionBits, bits)) / 2 ** fractionBits;
    const sign = bits >> BigInt(exponentBits + fractionBits) ? -1 : 1;
    if (exponent === 2 ** exponentBits - 1) return fraction === 0 ? sign * Infinity : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias));
}

/** Bits of a weight: one in four is 0, subnormal or nearly so, the others lie below 2 in magnitude. */
function bitsOf(dtype: Dtype, next: ReturnType<typeof random>): bigint {
    const {exponent: exponentBits, fraction: fractionBits} = formats[dtype];
    const bias = 2 ** (exponentBits - 1) - 1;
    const exponent = next(0, 3) === 0 ? next(0, 1) : bias - next(0, 6);
    // Doubles whose last places are rounded, some of them right between two floats.
    const low = dtype === "F64" ? BigInt(next(0, 3)) << 28n : 0n;
    const fraction =
        dtype === "F64" ? (BigInt(next(0, 2 ** 23 - 1)) << 29n) | low : BigInt(next(0, 2 ** fractionBits - 1));
    return (((BigInt(next(0, 1)) << BigInt(exponentBits)) | BigInt(exponent)) << BigInt(fractionBits)) | fraction;
}

function bytesOf(bits: readonly bigint[], itemSize: number): Uint8Array {
    const bytes = Buffer.alloc(bits.length * itemSize);
    bits.forEach((item, i) => {
        for (let byte = 0; byte < itemSize; byte++)
            bytes[i * itemSize + byte] = Number((item >> BigInt(8 * byte)) & 255n);
    });
    return bytes;
}

const itemSizeOf = (dtype: Dtype): number => (1 + formats[dtype].exponent + formats[dtype].fraction) / 8;

interface Weights {
    bits: Record<string, bigint[]>;
    /** The same as float32, by the definition of the format. */
    floats: Record<string, AgentTensor>;
}

function weightsOf(dtype: Dtype, seed: number): Weights {
    const next = random(seed);
    const bits: Weights["bits"] = {};
    const floats: Weights["floats"] = {};
    for (const [name, shape] of Object.entries(shapes)) {
        const items = Array.from({length: shape.reduce((a, b) => a * b)}, () => bitsOf(dtype, next));
        bits[name] = items;
        floats[name] = {shape, data: Float32Array.from(items, (item) => realOf(item, dtype))};
    }
    return {bits, floats};
}

/** Where a matrix's items lie in its storage. */
const orders: Record<string, (rows: number, columns: number) => {strides: [number, number]; offset: number}> = {
    "row by row": (_, columns) => ({strides: [columns, 1], offset: 0}),
    transposed: (rows) => ({strides: [1, rows], offset: 0}),
    "transposed, with gaps, from the middle of a storage": (rows) => ({strides: [1, rows + 3], offset: 5}),
    "rows apart": (_, columns) => ({strides: [columns + 1, 1], offset: 1})
};

function pthOf(dtype: Dtype, {bits}: Weights, order: keyof typeof orders): Uint8Array {
    const tensors: Record<string, PickledTensor> = {};
    const files: Record<string, Uint8Array> = {};
    Object.entries(shapes).forEach(([name, shape], key) => {
        let items = bits[name] as bigint[];
        let place: Pick<PickledTensor, "strides" | "offset"> = {};
        if (shape.length === 2) {
            const [rows, columns] = shape as [number, number];
            const {strides, offset} = (orders[order] as (typeof orders)[string])(rows, columns);
            const spread = Array<bigint>(offset + (rows - 1) * strides[0] + (columns - 1) * strides[1] + 1).fill(0n);
            items.forEach((item, i) => {
                spread[offset + Math.floor(i / columns) * strides[0] + (i % columns) * strides[1]] = item;
            });
            items = spread;
            place = {strides, offset};
        }
        tensors[name] = {key: `${key}`, items: items.length, shape, storage: formats[dtype].storage, ...place};
        files[`agent/data/${key}`] = bytesOf(items, itemSizeOf(dtype));
    });
    return pthFile(pickledDict(tensors), files);
}

function safetensorsOf(dtype: Dtype, {bits}: Weights, padding: number): Uint8Array {
    const header: Record<string, unknown> = {};
    const parts: Uint8Array[] = [];
    let at = 0;
    for (const [name, shape] of Object.entries(shapes)) {
        const bytes = bytesOf(bits[name] as bigint[], itemSizeOf(dtype));
        header[name] = {dtype, shape, data_offsets: [at, at + bytes.length]};
        at += bytes.length;
        parts.push(bytes);
    }
    return safetensorsFile(JSON.stringify(header) + " ".repeat(padding), Buffer.concat(parts));
}

const states = randomStates(9, width);

async function expectSame(file: Uint8Array, {floats}: Weights): Promise<void> {
    for (const kernel of native().kernels()) {
        using wanted = MaraAgent.fromTensors(floats, {kernel, dtype: "f32"});
        using agent = await MaraAgent.load(file, {kernel, dtype: "f32"});
        expect([...agent.score(states)]).toEqual([...wanted.score(states)]);
        const tensors = agent.tensors();
        // Bits, so that −0 is not 0.
        const bits = (name: string, from: Record<string, AgentTensor>) =>
            Buffer.from((from[name] as AgentTensor).data.slice().buffer).toString("hex");
        for (const name of Object.keys(shapes)) expect(bits(name, tensors)).toBe(bits(name, floats));
    }
}

describe.each(Object.keys(formats) as Dtype[])("%s", (dtype) => {
    for (const order of Object.keys(orders)) {
        test(`in a .pth, ${order}`, async () => {
            const weights = weightsOf(dtype, 3);
            await expectSame(pthOf(dtype, weights, order), weights);
        });
    }

    test("in a .safetensors, at every address", async () => {
        const weights = weightsOf(dtype, 4);
        for (let padding = 0; padding < 8; padding++) await expectSame(safetensorsOf(dtype, weights, padding), weights);
    });

    test("with NaN or an infinity, by its place in the tensor", async () => {
        const {exponent, fraction} = formats[dtype];
        const infinity = ((1n << BigInt(exponent)) - 1n) << BigInt(fraction);
        for (const [bits, value] of [
            [infinity, "Infinity"],
            [infinity | 1n, "NaN"]
        ] as const) {
            const weights = weightsOf(dtype, 5);
            (weights.bits["linear2.weight"] as bigint[])[23] = bits;
            expect(await failure(() => MaraAgent.load(pthOf(dtype, weights, "transposed")))).toEqual({
                code: "AGENT_TENSORS",
                message: `Could not load the agent's bytes: Tensor "linear2.weight" holds ${value} at index 23`
            });
        }
    });
});
