/** Folders of training runs and evaluations that were damaged, left half made, or are in use. */
import {spawn} from "node:child_process";
import {once} from "node:events";
import {cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {beforeAll, describe, expect, it} from "vitest";
import {demoAgentPath} from "../lib/demo/files.js";
import {evaluate, trainAgent} from "../lib/index.js";
import {root} from "./cli/helpers.js";
import {failure} from "./support/failure.js";
import {interruptAt, loadDemoModel, runFolder, smallSac} from "./train/helpers.js";

const newRun = runFolder();
let model: LlamaModel;
let interrupted: string;
let evaluated: string;

const inputs = {reward: smallSac.reward, prompts: smallSac.prompts};
const resume = (runDirectory: string) => trainAgent({...inputs, model, runDirectory, resume: true});
const measure = (runDirectory: string) =>
    evaluate({
        model,
        agent: demoAgentPath,
        prompts: inputs.prompts,
        rewards: ["length"],
        maxTokens: 8,
        threads: 1,
        fluency: false,
        runDirectory
    });

beforeAll(async () => {
    model = await loadDemoModel();
    interrupted = newRun();
    const signal = interruptAt(({phase, done}) => phase === "rollouts" && done === 8);
    await trainAgent({...smallSac, ...signal, model, runDirectory: interrupted});
    evaluated = newRun();
    await measure(evaluated);
});

function copyOf(run: string): string {
    const copy = newRun();
    cpSync(run, copy, {recursive: true});
    return copy;
}

/** Changes a digit in the middle of the file, which stays JSON of the same length. */
function flip(path: string): void {
    const bytes = readFileSync(path);
    const at = bytes.findIndex((byte, i) => i >= bytes.length / 2 && byte >= 0x30 && byte < 0x39);
    bytes[at] = (bytes[at] as number) + 1;
    writeFileSync(path, bytes);
}

const asFolder = (path: string) => {
    rmSync(path);
    mkdirSync(path);
};
const as = (text: string) => (path: string) => writeFileSync(path, text);

describe("A training run", () => {
    it.each([
        ["config.json", as("null"), "is no JSON object"],
        ["config.json", as("{"), "is not JSON"],
        ["config.json", as("{}"), "is not as it was written"],
        ["config.json", flip, "is not as it was written"],
        ["config.json", asFolder, "EISDIR: illegal operation on a directory"],
        ["checkpoint.json", as("[]"), "is no JSON object"],
        ["checkpoint.json", flip, "is not as it was written"],
        ["metrics.jsonl", flip, "is not as it was written"],
        ["samples.jsonl", flip, "is not as it was written"],
        ["responses.jsonl", flip, "is not as it was written"],
        ["samples.jsonl", asFolder, "is not a regular file"],
        ["metrics.jsonl", as(""), /^has 0 bytes where \d+ were written$/]
    ])("names %s (%#)", async (name, harm, what) => {
        const run = copyOf(interrupted);
        harm(join(run, name));
        const {code, message} = await failure(() => resume(run));
        expect(code).toBe("RUN_DAMAGED");
        const before = `The run in ${run} cannot go on: ${name} `;
        expect(message.slice(0, before.length)).toBe(before);
        const reason = message.slice(before.length).replace(/\. Start a new run in another directory\.$/, "");
        if (typeof what === "string") expect(reason).toBe(what);
        else expect(reason).toMatch(what);
        // Nor is the folder left locked.
        expect((await failure(() => resume(run))).code).toBe("RUN_DAMAGED");
    });

    it("notices each flipped byte of its logs", async () => {
        const run = copyOf(interrupted);
        const path = join(run, "metrics.jsonl");
        const whole = readFileSync(path);
        for (let at = 0; at < whole.length; at += 101) {
            const bytes = Buffer.from(whole);
            bytes[at] = (bytes[at] as number) ^ 1;
            writeFileSync(path, bytes);
            expect((await failure(() => resume(run))).code).toBe("RUN_DAMAGED");
        }
        writeFileSync(path, whole);
        expect((await resume(run)).completed).toBe(true);
    });

    it("starts in a folder where a process ended before it had written the configuration", async () => {
        const run = newRun();
        mkdirSync(join(run, "checkpoint"), {recursive: true});
        writeFileSync(join(run, ".lock"), "");
        writeFileSync(join(run, "config.json.0123456789ab.tmp"), "{");
        const {completed} = await trainAgent({...smallSac, episodes: 4, model, runDirectory: run});
        expect(completed).toBe(true);
        expect(existsSync(join(run, "agent.safetensors"))).toBe(true);
    });
});

describe("An evaluation", () => {
    it.each([
        ["garbage", (lines: string[]) => lines.splice(2, 0, "garbage"), "line 3 is not JSON"],
        ["null", (lines: string[]) => lines.splice(1, 0, "null"), "line 2 is no JSON object"],
        ["an empty object", (lines: string[]) => lines.splice(1, 1, "{}"), "line 2 is not as it was written"],
        ["an empty object as header", (lines: string[]) => lines.splice(0, 1, "{}"), "line 1 is not as it was written"],
        [
            "another score",
            (lines: string[]) => lines.splice(2, 1, (lines[2] as string).replace('"score":', '"score":1')),
            "line 3 is not as it was written"
        ]
    ])("names the line of %s", async (_, harm, what) => {
        const run = copyOf(evaluated);
        const path = join(run, "sides", "raw.jsonl");
        const lines = readFileSync(path, "utf8").split("\n");
        harm(lines);
        writeFileSync(path, lines.join("\n"));
        expect(await failure(() => measure(run))).toEqual({
            code: "RUN_DAMAGED",
            message: `The answers in ${path} cannot be used: ${what}. Remove the file to have them made again.`
        });
        rmSync(path);
        const {result} = await measure(run);
        expect(result.aligned).toEqual(JSON.parse(readFileSync(join(evaluated, "result.json"), "utf8")).aligned);
    });

    it("names answers that are a folder", async () => {
        const run = copyOf(evaluated);
        const path = join(run, "sides", "raw.jsonl");
        asFolder(path);
        const message = `The answers in ${path} cannot be used: EISDIR: illegal operation on a directory. Remove the file to have them made again.`;
        expect(await failure(() => measure(run))).toEqual({code: "RUN_DAMAGED", message});
    });
});

describe("A run's folder", () => {
    it("is one process's at a time, and free again when that is killed", async () => {
        for (const [run, use] of [
            [copyOf(interrupted), resume],
            [copyOf(evaluated), measure]
        ] as const) {
            const code = `
                import {lockRun} from "./lib/run-lock.ts";
                const unlock = await lockRun(${JSON.stringify(run)});
                console.log("locked");
                setInterval(() => unlock, 1000);`;
            const holder = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {cwd: root});
            await once(holder.stdout, "data");
            const before = readdirSync(run);
            expect(await failure(() => use(run))).toEqual({
                code: "RUN_BUSY",
                message: `Another run is at work in ${run}. Wait until it has ended, or give another directory.`
            });
            expect(readdirSync(run)).toEqual(before);
            holder.kill("SIGKILL");
            await once(holder, "exit");
            await use(run);
        }
    });

    it("is one call's at a time", async () => {
        const run = newRun();
        const both = await Promise.allSettled(
            [1, 2].map(() => trainAgent({...smallSac, episodes: 4, model, runDirectory: run}))
        );
        expect(both.map(({status}) => status).sort()).toEqual(["fulfilled", "rejected"]);
        // The slower one finds the lock, or what the quicker one has written already.
        const [refused] = both.flatMap((each) => (each.status === "rejected" ? [each.reason.code] : []));
        expect(["RUN_BUSY", "RUN_DIRECTORY"]).toContain(refused);
    });
});
