import {readFileSync} from "node:fs";
import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {native} from "../../lib/native.js";
import {failure, goldenPath, randomStates, smallTensors} from "./helpers.js";

describe("an agent's properties", () => {
    test("come from its tensors", () => {
        using agent = MaraAgent.fromTensors(smallTensors(), {dtype: "f16", metadata: {origin: "test"}});
        expect(agent.width).toBe(8);
        expect(agent.hiddenSizes).toEqual([6, 4]);
        expect(agent.dtype).toBe("f16");
        expect(native().kernels()).toContain(agent.kernel);
        expect(agent.metadata).toEqual({origin: "test"});
        expect(agent.parameters).toBe(8 + 8 + 6 * 8 + 6 + 4 * 6 + 4 + 2 * 4 + 2);
    });

    test("cannot be changed through what they return", () => {
        using agent = MaraAgent.fromTensors(smallTensors(), {metadata: {origin: "test"}});
        expect(Object.isFrozen(agent.metadata)).toBe(true);
        expect(Object.isFrozen(agent.hiddenSizes)).toBe(true);
    });

    test("metadata is read from __metadata__", async () => {
        using agent = await MaraAgent.load(goldenPath("w64.agent.safetensors"));
        expect(agent.metadata).toEqual({origin: "golden width 64"});
    });
});

describe("load", () => {
    test("takes bytes, does not keep them, and gives what the path gives", async () => {
        const path = goldenPath("w64.agent.safetensors");
        const bytes = readFileSync(path);
        using fromBytes = await MaraAgent.load(bytes);
        bytes.fill(0);
        using fromPath = await MaraAgent.load(path);
        expect(fromBytes.tensors()).toEqual(fromPath.tensors());
        const states = randomStates(3, 64);
        expect(fromBytes.score(states)).toEqual(fromPath.score(states));
    });

    test("takes bytes at an odd offset of a larger buffer", async () => {
        const bytes = readFileSync(goldenPath("w64.agent.safetensors"));
        const shifted = new Uint8Array(bytes.length + 3);
        shifted.set(bytes, 3);
        using agent = await MaraAgent.load(shifted.subarray(3));
        expect(agent.width).toBe(64);
    });

    test("refuses other sources and options", async () => {
        const load = MaraAgent.load as (source: unknown, options?: unknown) => Promise<MaraAgent>;
        const path = goldenPath("w64.agent.safetensors");
        expect(await failure(() => load(5))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected a path or a Uint8Array for source but received 5"
        });
        expect(await failure(() => load(path, {dtype: "f8"}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected one of "auto", "f32", "f16", "bf16", "int8" for options.dtype but received "f8"'
        });
        expect(await failure(() => load(path, {threads: 0}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected a whole number from 1 to 256 for options.threads but received 0"
        });
        const kernels = native()
            .kernels()
            .map((name) => `"${name}"`);
        expect(await failure(() => load(path, {kernel: "abacus"}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: `Expected one of ${kernels.join(", ")} for options.kernel but received "abacus"`
        });
    });

    test("takes a number of threads", async () => {
        const path = goldenPath("w64.agent.safetensors");
        using one = await MaraAgent.load(path, {threads: 1});
        using two = await MaraAgent.load(path, {threads: 2});
        const states = randomStates(40, 64);
        expect(two.score(states)).toEqual(one.score(states));
    });
});

describe("fromTensors", () => {
    test("copies its data", () => {
        const tensors = smallTensors();
        using agent = MaraAgent.fromTensors(tensors);
        for (const {data} of Object.values(tensors)) data.fill(0);
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("accepts a common prefix", () => {
        const prefixed = Object.entries(smallTensors()).map(([name, tensor]) => [`module.actor.${name}`, tensor]);
        using agent = MaraAgent.fromTensors(Object.fromEntries(prefixed));
        expect(agent.tensors()).toEqual(smallTensors());
    });

    test("refuses data that is no Float32Array or does not fit its shape, and metadata that is no text", async () => {
        const make = MaraAgent.fromTensors as (tensors: unknown, options?: unknown) => MaraAgent;
        const plain = {...smallTensors(), "ln.bias": {shape: [2], data: [1, 2]}};
        expect(await failure(() => make(plain))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected a Float32Array for tensors["ln.bias"].data but received Array'
        });
        const short = {...smallTensors(), "ln.bias": {shape: [8], data: new Float32Array(7)}};
        expect(await failure(() => make(short))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected a shape of 7 items for tensors["ln.bias"].shape but received "[8]"'
        });
        expect(await failure(() => make(smallTensors(), {metadata: {steps: 5}}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected a string for options.metadata.steps but received 5"
        });
    });
});

describe("score", () => {
    test("gives one probability per state, each state by itself", () => {
        using agent = MaraAgent.fromTensors(smallTensors(), {dtype: "f32"});
        const states = randomStates(40, 8);
        const all = agent.score(states);
        expect(all).toBeInstanceOf(Float32Array);
        expect(all.length).toBe(40);
        for (let i = 0; i < 40; i++) {
            const alone = agent.score(states.subarray(i * 8, (i + 1) * 8))[0] as number;
            expect(alone).toBeCloseTo(all[i] as number, 6);
            expect(alone).toBeGreaterThanOrEqual(0);
            expect(alone).toBeLessThanOrEqual(1);
        }
    });

    test("of no states is empty", async () => {
        using agent = MaraAgent.fromTensors(smallTensors());
        expect(agent.score(new Float32Array())).toEqual(new Float32Array());
        expect(await agent.scoreAsync(new Float32Array())).toEqual(new Float32Array());
    });

    test("of a state with a NaN is 0, and leaves its neighbours alone", () => {
        using agent = MaraAgent.fromTensors(smallTensors(), {dtype: "f32"});
        const states = randomStates(3, 8);
        const clean = agent.score(states);
        states[8 + 5] = Number.NaN;
        expect(agent.score(states)).toEqual(Float32Array.of(clean[0] as number, 0, clean[2] as number));
    });

    test("equals scoreAsync, also for many calls at once", async () => {
        using agent = MaraAgent.fromTensors(smallTensors());
        const batches = Array.from({length: 20}, (_, i) => randomStates(i, 8, i));
        const results = await Promise.all(batches.map((states) => agent.scoreAsync(states)));
        expect(results).toEqual(batches.map((states) => agent.score(states)));
    });

    test("refuses a wrong length or type, and scoreAsync rejects alike", async () => {
        using agent = MaraAgent.fromTensors(smallTensors());
        const width = {
            code: "AGENT_WIDTH",
            message: "Expected states of 8 values each but received 12 values, which is no multiple of it"
        };
        expect(await failure(() => agent.score(new Float32Array(12)))).toEqual(width);
        expect(await failure(() => agent.scoreAsync(new Float32Array(12)))).toEqual(width);
        const type = {
            code: "INVALID_ARGUMENT",
            message: "Expected a Float32Array for states but received Float64Array(8)"
        };
        const wrong = new Float64Array(8) as unknown as Float32Array;
        expect(await failure(() => agent.score(wrong))).toEqual(type);
        expect(await failure(() => agent.scoreAsync(wrong))).toEqual(type);
    });
});

describe("dispose", () => {
    const gone = {code: "AGENT_DISPOSED", message: "The agent was disposed"};

    test("refuses every later use, and may be repeated", async () => {
        const agent = MaraAgent.fromTensors(smallTensors());
        expect(agent.disposed).toBe(false);
        agent.dispose();
        agent.dispose();
        expect(agent.disposed).toBe(true);
        expect(await failure(() => agent.score(new Float32Array(8)))).toEqual(gone);
        expect(await failure(() => agent.scoreAsync(new Float32Array(8)))).toEqual(gone);
        expect(await failure(() => agent.save("never.safetensors"))).toEqual(gone);
        expect(await failure(() => agent.tensors())).toEqual(gone);
        expect(await failure(() => agent._native)).toEqual(gone);
        expect(agent.width).toBe(8);
    });

    test("lets a running call finish", async () => {
        const agent = MaraAgent.fromTensors(smallTensors(3, 512, 256, 64));
        const states = randomStates(200, 512);
        const expected = agent.score(states);
        const running = agent.scoreAsync(states);
        agent.dispose();
        expect(await running).toEqual(expected);
    });

    test("happens at the end of a using block", () => {
        let kept: MaraAgent;
        {
            using agent = MaraAgent.fromTensors(smallTensors());
            kept = agent;
        }
        expect(kept.disposed).toBe(true);
    });
});
