import {describe, expect, test} from "vitest";
import {convert, type Tensor, tensorOf, toFloat32} from "../../lib/agent/tensor.js";
import {failure} from "./helpers.js";

type Float16 = Tensor & {dtype: "F16"};

/** Every float16 bit pattern from 0 up to the largest finite one, and the values of its neighbours. */
const halfBits = Uint16Array.from({length: 0x7c00}, (_, i) => i);
const halves = toFloat32({dtype: "F16", shape: [0x7c00], bytes: new Uint8Array(halfBits.buffer)});

function toHalves(values: Float32Array): Uint16Array {
    const {bytes} = convert("t", tensorOf([values.length], values) as Tensor & {dtype: "F32"}, "F16");
    return new Uint16Array(bytes.buffer);
}

describe("float16", () => {
    test("known values", () => {
        const bits = Uint16Array.of(0x0001, 0x03ff, 0x0400, 0x3c00, 0xc000, 0x7bff, 0x3555, 0x7c00, 0xfc00);
        const expected = [2 ** -24, 1023 * 2 ** -24, 2 ** -14, 1, -2, 65504, 0.333251953125, Infinity, -Infinity];
        const tensor: Float16 = {dtype: "F16", shape: [9], bytes: new Uint8Array(bits.buffer)};
        expect([...toFloat32(tensor)]).toEqual(expected);
    });

    test("every finite value survives, with either sign", () => {
        expect(toHalves(halves)).toEqual(halfBits);
        expect(toHalves(halves.map((value) => -value))).toEqual(halfBits.map((bits) => bits | 0x8000));
    });

    test("every midpoint goes to the even neighbour, and its float32 neighbours to the nearer one", () => {
        const middles = Float32Array.from({length: halves.length - 1}, (_, i) => {
            return ((halves[i] as number) + (halves[i + 1] as number)) / 2;
        });
        const bits = new Uint32Array(middles.buffer);
        const below = new Float32Array(bits.map((b) => b - 1).buffer);
        const above = new Float32Array(bits.map((b) => b + 1).buffer);
        expect(toHalves(middles)).toEqual(Uint16Array.from(middles, (_, i) => i + (i % 2)));
        expect(toHalves(below)).toEqual(Uint16Array.from(middles, (_, i) => i));
        expect(toHalves(above)).toEqual(Uint16Array.from(middles, (_, i) => i + 1));
    });

    test("a value that would round to infinity is refused", async () => {
        expect(toHalves(Float32Array.of(65519.99))).toEqual(Uint16Array.of(0x7bff));
        expect(await failure(() => toHalves(Float32Array.of(1, -65520)))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Tensor "t" holds -65520 at index 1, which is beyond the range of F16'
        });
    });
});

describe("bfloat16", () => {
    const convertAll = (...values: number[]): number[] => {
        const tensor = tensorOf([values.length], Float32Array.from(values)) as Tensor & {dtype: "F32"};
        return [...new Uint16Array(convert("t", tensor, "BF16").bytes.buffer)];
    };

    test("rounds to nearest, ties to even, and survives the way back", () => {
        const ulp = 2 ** -7;
        expect(convertAll(1, -2, 1 + ulp / 2, 1 + 1.5 * ulp, 1 + ulp / 2 + 2 ** -20, 2 ** -133)).toEqual([
            0x3f80, 0xc000, 0x3f80, 0x3f82, 0x3f81, 0x0001
        ]);
        const bits = Uint16Array.from({length: 0x7f80}, (_, i) => i);
        const widened = toFloat32({dtype: "BF16", shape: [bits.length], bytes: new Uint8Array(bits.buffer)});
        expect(convertAll(...widened)).toEqual([...bits]);
    });

    test("a value that would round to infinity is refused", async () => {
        expect(await failure(() => convertAll(3.4e38))).toMatchObject({code: "INVALID_ARGUMENT"});
    });
});
