import {spawn} from "node:child_process";
import {fileURLToPath} from "node:url";
import {Worker} from "node:worker_threads";
import {describe, expect, it} from "vitest";
import {writeTinyModel} from "../support/tiny-model.js";
import {modes} from "./harness.js";
import type {Task} from "./worker.js";

const script = fileURLToPath(new URL("worker-start.mjs", import.meta.url));
const modelPath = writeTinyModel();

function start(task: Omit<Task, "modelPath">): {worker: Worker; message: Promise<unknown>; ended: Promise<number>} {
    const worker = new Worker(script, {workerData: {...task, modelPath}});
    const message = new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
    });
    const ended = new Promise<number>((resolve) => worker.once("exit", resolve));
    return {worker, message, ended};
}

describe.each(modes)("Outside the main thread (%s)", (mode) => {
    it("generates the same in worker threads at once", async () => {
        const run = async (seed: number) => {
            const {message, ended} = start({mode, seed});
            const found = (await message) as {tokens: number[]; decisions: number};
            expect(await ended).toBe(0);
            expect(found.decisions).toBeGreaterThan(10);
            return found.tokens;
        };
        const [one, two, again] = await Promise.all([run(5), run(6), run(5)]);
        expect(one).toHaveLength(30);
        expect(two).not.toEqual(one);
        expect(again).toEqual(one);
    });

    // Not in mid-decision: there node-llama-cpp itself ends the process, on a plain context too, when its own calls find no JavaScript.
    if (mode === "lanes")
        it("lets a worker thread end or be terminated with everything still open", async () => {
            const left = start({mode, seed: 5, leave: true});
            const idle = start({mode, seed: 5, leave: true, stay: true});
            await Promise.all([left.message, idle.message]);
            expect(await left.ended).toBe(0);
            await idle.worker.terminate();
            expect(await idle.ended).toBe(1);
        });

    it("lets the process exit in mid-decision with the given code", async () => {
        const exit = (exitAfter: number, exitCode: number) =>
            new Promise((resolve) => {
                const task: Task = {modelPath, mode, seed: 5, exitAfter, exitCode};
                const child = spawn(process.execPath, [script, JSON.stringify(task)], {
                    stdio: ["ignore", "pipe", "pipe"]
                });
                let output = "";
                let errors = "";
                child.stdout.on("data", (data) => {
                    output += data;
                });
                child.stderr.on("data", (data) => {
                    errors += data;
                });
                child.on("close", (code, signal) => resolve({code, signal, output, errors}));
            });
        const exits = await Promise.all([exit(0, 3), exit(15, 0)]);
        for (const [i, code] of [3, 0].entries())
            expect(exits[i]).toEqual({code, signal: null, output: "generating\n", errors: ""});
    });
});
