import {afterEach, describe, expect, it, vi} from "vitest";
import {MaraAgent, type MaraAgentOptions} from "../../lib/index.js";
import {loadedAddon, native} from "../../lib/native.js";

const devices = native().cudaDevices();

function tensors(width = 8) {
    const filled = (...shape: number[]) => ({
        shape,
        data: Float32Array.from({length: shape.reduce((a, b) => a * b)}, (_, i) => Math.sin(i + 1))
    });
    return {
        "ln.weight": filled(width),
        "ln.bias": filled(width),
        "linear1.weight": filled(16, width),
        "linear1.bias": filled(16),
        "linear2.weight": filled(4, 16),
        "linear2.bias": filled(4),
        "output_linear.weight": filled(2, 4),
        "output_linear.bias": filled(2)
    };
}

const states = Float32Array.from({length: 24}, (_, i) => Math.cos(i * 1.7));

describe("an agent's device", () => {
    afterEach(() => vi.restoreAllMocks());

    it("is checked", () => {
        expect(() => MaraAgent.fromTensors(tensors(), {device: "gpu"} as unknown as MaraAgentOptions)).toThrow(
            expect.objectContaining({
                code: "INVALID_ARGUMENT",
                message: 'Expected one of "auto", "cpu", "cuda" for options.device but received "gpu"'
            })
        );
        expect(() => MaraAgent.fromTensors(tensors(), {device: "cuda", dtype: "int8"})).toThrow(
            expect.objectContaining({code: "INVALID_ARGUMENT", message: expect.stringContaining('with device "cuda"')})
        );
    });

    it('is the CPU by default and with "cpu", without a word', async () => {
        const warn = vi.spyOn(process, "emitWarning");
        const plain = MaraAgent.fromTensors(tensors());
        for (const device of ["auto", "cpu"] as const) {
            const agent = MaraAgent.fromTensors(tensors(), {device});
            expect([agent.kernel, agent.dtype]).toEqual([plain.kernel, plain.dtype]);
            expect(native().kernels()).toContain(agent.kernel);
            expect(await agent.scoreAsync(states)).toEqual(plain.score(states));
            agent.dispose();
            expect(agent.kernel).toBe(plain.kernel);
        }
        expect(warn).not.toHaveBeenCalled();
    });

    it.skipIf(devices.length > 0)("stays the CPU, silently, where a context on CUDA asks and no device answers", () => {
        const warn = vi.spyOn(process, "emitWarning");
        const agent = MaraAgent.fromTensors(tensors());
        agent._preferCuda();
        expect(native().kernels()).toContain(agent.kernel);
        expect(warn).not.toHaveBeenCalled();
    });

    it.skipIf(devices.length > 0)(
        "is refused with code and fix where CUDA is asked for and cannot be had",
        async () => {
            const missing = loadedAddon().failures.some(({cuda}) => cuda)
                ? /mara\.node: no CUDA device answers\. Check the driver with nvidia-smi, or ask for device "auto" or "cpu"\.$/
                : /^This build of the native addon has no CUDA kernel\. Build it with `npm run build:cuda` in a clone, or ask for device "auto" or "cpu"\.$/;
            expect(() => MaraAgent.fromTensors(tensors(), {device: "cuda"})).toThrow(
                expect.objectContaining({
                    name: "MaraError",
                    code: "CUDA_UNAVAILABLE",
                    message: expect.stringMatching(missing)
                })
            );
            await expect(MaraAgent.load("demo/agent.safetensors", {device: "cuda"})).rejects.toMatchObject({
                code: "CUDA_UNAVAILABLE"
            });
        }
    );

    it.skipIf(devices.length === 0)("computes on CUDA what the CPU computes", async () => {
        const cpu = MaraAgent.fromTensors(tensors(), {device: "cpu", dtype: "f32"});
        const agent = MaraAgent.fromTensors(tensors(), {device: "cuda", dtype: "f32"});
        expect([agent.kernel, agent.dtype]).toEqual(["cuda", "f32"]);
        const expected = cpu.score(states);
        for (const [i, p] of (await agent.scoreAsync(states)).entries())
            expect(p).toBeCloseTo(expected[i] as number, 4);
    });

    // The native side of the fallback is tested in native/test/cuda_runtime.cpp, where every CUDA call is made to fail.
    it("is given up with one warning when it fails", async () => {
        const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
        const agent = MaraAgent.fromTensors(tensors(), {device: "cpu"});
        vi.spyOn(agent._native, "deviceFailure", "get").mockReturnValue(
            "cudaLaunchKernelExC: unspecified launch failure"
        );
        await agent.scoreAsync(states);
        await agent.scoreAsync(states);
        expect(warn.mock.calls).toEqual([
            [
                "The agent goes on computing on the CPU, because its CUDA device failed: cudaLaunchKernelExC: unspecified launch failure",
                {type: "MaraWarning", code: "CUDA_FAILED"}
            ]
        ]);
    });
});
