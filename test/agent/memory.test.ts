import {execFile} from "node:child_process";
import {fileURLToPath} from "node:url";
import {promisify} from "node:util";
import {describe, expect, test} from "vitest";

const script = fileURLToPath(new URL("memory-child.ts", import.meta.url));

/** The attack's output; rejects if a signal ended the process. */
async function attack(name: string): Promise<unknown> {
    const {stdout} = await promisify(execFile)(process.execPath, ["--import", "tsx", "--expose-gc", script, name]);
    return JSON.parse(stdout);
}

describe("memory that JavaScript takes away while native code works", () => {
    for (const [name, expected] of [
        ["score, resized", true],
        ["score, transferred", true],
        ["score, overwritten", true],
        ["fit, resized", true],
        ["transitions, transferred while the replay is learnt from", true],
        ["transitions, whose getters take the others away", "INVALID_ARGUMENT"],
        ["transitions, whose getters dispose the learner", "LEARNER_DISPOSED"],
        ["transitions, overwritten from another thread", true]
    ] as const) {
        test.concurrent(name, async () => expect(await attack(name)).toEqual(expected));
    }
});
