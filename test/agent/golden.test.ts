import {existsSync} from "node:fs";
import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {native} from "../../lib/native.js";
import {goldenPath, goldenTensor} from "./helpers.js";

/** The golden state whose entries are all the same, but not zero. */
const constantState = 31;

function differences(actual: Float32Array, expected: ArrayLike<number>): number[] {
    expect(actual.length).toBe(expected.length);
    return Array.from(actual, (value, i) => Math.abs(value - (expected[i] as number)));
}

/**
 * Float32 arithmetic stays within 1e-5. The kernels fold LayerNorm into the first layer, which leaves the rounding of a difference that should
 * be zero to be divided by sqrt(1e-5) when a state has no variance at all: there, and nowhere else, 1e-4.
 */
function expectFloat32Agreement(actual: Float32Array, expected: ArrayLike<number>): void {
    const found = differences(actual, expected);
    expect(found[constantState]).toBeLessThanOrEqual(1e-4);
    found[constantState] = 0;
    expect(Math.max(...found)).toBeLessThanOrEqual(1e-5);
}

const sets = [
    {width: 64, folder: "", hidden: [128, 32]},
    {width: 576, folder: "large/", hidden: [1024, 256]},
    {width: 2048, folder: "large/", hidden: [1024, 256]},
    {width: 4096, folder: "large/", hidden: [1024, 256]}
];

for (const {width, folder, hidden} of sets) {
    const file = `${folder}w${width}.agent.safetensors`;
    const present = existsSync(goldenPath(file));
    const absence = present ? "" : " (skipped: run test/golden/make_golden.py --large first)";
    describe.skipIf(!present)(`golden width ${width}${absence}`, () => {
        for (const kernel of native().kernels()) {
            test(`kernel ${kernel} agrees with PyTorch's float64 within 1e-5`, async () => {
                using agent = await MaraAgent.load(goldenPath(file), {dtype: "f32", kernel});
                expect(agent.kernel).toBe(kernel);
                expect([agent.width, ...agent.hiddenSizes]).toEqual([width, ...hidden]);
                const states = goldenTensor(`${folder}w${width}.cases.safetensors`, "states") as Float32Array;
                const accept = goldenTensor(`${folder}w${width}.cases.safetensors`, "accept");
                expectFloat32Agreement(agent.score(states), accept);
            });
        }

        // The tolerance is the cost of rounding the weights; the kernels' own tests bound their arithmetic tightly.
        for (const [dtype, tolerance] of [
            ["f16", 0.002],
            ["bf16", 0.02],
            ["int8", 0.06]
        ] as const) {
            test(`packed as ${dtype} stays within ${tolerance}`, async () => {
                using agent = await MaraAgent.load(goldenPath(file), {dtype});
                expect(agent.dtype).toBe(dtype);
                const states = goldenTensor(`${folder}w${width}.cases.safetensors`, "states") as Float32Array;
                const accept = goldenTensor(`${folder}w${width}.cases.safetensors`, "accept");
                expect(Math.max(...differences(agent.score(states), accept))).toBeLessThanOrEqual(tolerance);
            });
        }
    });
}

describe("golden .pth files, as torch.save wrote them", () => {
    const files = [
        ["module-prefix.pth", "f32"],
        ["parameters.pth", "f32"],
        ["views-float64.pth", "f32"],
        ["half.pth", "f16"],
        ["nested-bfloat16.pth", "bf16"]
    ] as const;
    for (const [file, precision] of files) {
        test(`${file} agrees with PyTorch's float64 within 1e-5`, async () => {
            using agent = await MaraAgent.load(goldenPath(file), {dtype: "f32"});
            expect([agent.width, ...agent.hiddenSizes]).toEqual([24, 16, 4]);
            expect(agent.metadata).toEqual({});
            const states = goldenTensor("pth.cases.safetensors", "states") as Float32Array;
            const accept = goldenTensor("pth.cases.safetensors", precision);
            expectFloat32Agreement(agent.score(states), accept);
        });
    }

    test("the float32 files hold the same tensors, bit for bit", async () => {
        const loaded = await Promise.all(
            ["module-prefix.pth", "parameters.pth", "views-float64.pth"].map((file) => MaraAgent.load(goldenPath(file)))
        );
        const [first, ...others] = loaded.map((agent) => agent.tensors());
        for (const tensors of others) expect(tensors).toEqual(first);
    });
});
