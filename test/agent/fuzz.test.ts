import {readFile} from "node:fs/promises";
import {describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {MaraError, type MaraErrorCode} from "../../lib/errors.js";
import {goldenPath, type Random, random, randomStates} from "./helpers.js";

const rounds = 500;
const allowed: MaraErrorCode[] = ["AGENT_FORMAT", "AGENT_UNSAFE_PICKLE", "AGENT_TENSORS"];

/** The file with one of: a cut, a few flipped bits, a run of random bytes, a piece doubled. Small files: most hits count. */
function damage(whole: Uint8Array, next: Random): Uint8Array {
    const at = next(0, whole.length - 1);
    const kind = next(0, 3);
    if (kind === 0) return whole.subarray(0, at);
    if (kind === 1) {
        const bytes = whole.slice();
        for (let i = next(1, 4); i > 0; i--) {
            const index = next(0, bytes.length - 1);
            bytes[index] = (bytes[index] as number) ^ (1 << next(0, 7));
        }
        return bytes;
    }
    if (kind === 2) {
        const bytes = whole.slice();
        for (let i = at; i < Math.min(bytes.length, at + 16); i++) bytes[i] = next(0, 255);
        return bytes;
    }
    const end = Math.min(whole.length, at + next(1, 64));
    return Buffer.concat([whole.subarray(0, end), whole.subarray(at)]);
}

/** Loads; the agent that comes out, if any, must score. Returns what happened. */
async function attempt(bytes: Uint8Array): Promise<string> {
    try {
        using agent = await MaraAgent.load(bytes);
        expect(agent.score(randomStates(2, agent.width)).length).toBe(2);
        return "loaded";
    } catch (error) {
        if (!(error instanceof MaraError)) throw error;
        expect(allowed).toContain(error.code);
        return error.code;
    }
}

describe("a damaged file gives a MaraError or an agent that works", () => {
    const files = ["module-prefix.pth", "parameters.pth", "views-float64.pth", "w64.agent.safetensors"];
    for (const [index, file] of files.entries()) {
        const seed = 20250 + index;
        test(`${file}, ${rounds} times, seed ${seed}`, async () => {
            const whole = await readFile(goldenPath(file));
            const next = random(seed);
            for (let round = 0; round < rounds; round++) {
                await attempt(damage(whole, next)).catch((error) => {
                    throw new Error(`seed ${seed}, round ${round}`, {cause: error});
                });
            }
        });
    }

    test(`only where it matters: headers and pickles, ${rounds} times each, seed 7`, async () => {
        const next = random(7);
        const outcomes = new Set<string>();
        const regions: [string, (bytes: Buffer) => [number, number]][] = [
            ["w64.agent.safetensors", (bytes) => [0, 8 + Number(bytes.readBigUInt64LE())]],
            ["module-prefix.pth", (bytes) => [bytes.indexOf(0x80), bytes.indexOf("PK\u0003\u0004", 4)]],
            ["module-prefix.pth", (bytes) => [bytes.indexOf("PK\u0001\u0002"), bytes.length]]
        ];
        for (const [file, region] of regions) {
            const whole = await readFile(goldenPath(file));
            const [start, end] = region(whole);
            for (let round = 0; round < rounds; round++) {
                const bytes = Uint8Array.from(whole);
                const index = next(start, end - 1);
                bytes[index] = (bytes[index] as number) ^ next(1, 255);
                outcomes.add(
                    await attempt(bytes).catch((error) => {
                        throw new Error(`${file}, round ${round}, byte ${index}`, {cause: error});
                    })
                );
            }
        }
        expect([...outcomes].sort()).toEqual(["AGENT_FORMAT", "AGENT_TENSORS", "AGENT_UNSAFE_PICKLE", "loaded"]);
    });
});
