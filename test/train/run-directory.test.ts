import {execFile} from "node:child_process";
import {appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {promisify} from "node:util";
import {afterAll, describe, expect, it} from "vitest";
import {z} from "zod";
import {RunDirectory} from "../../lib/train/run/run-directory.js";
import {forgottenSegments, pack, unpack} from "../../lib/train/run/segments.js";

const folder = mkdtempSync(join(tmpdir(), "mara-run-"));
afterAll(() => rmSync(folder, {recursive: true}));
let runs = 0;
const newPath = () => join(folder, String(runs++));
const anything = z.looseObject({});
const bytes = (...values: number[]) => Uint8Array.from(values);

async function segmentsOf(run: RunDirectory): Promise<number[][]> {
    const all: number[][] = [];
    for await (const segment of run.segments()) all.push([...segment]);
    return all;
}

describe("a run's directory", () => {
    it("gives back what was committed, and nothing that came later", async () => {
        const path = newPath();
        const run = await RunDirectory.create(path, {a: 1});
        await run.append("metrics", [{n: 1}, {n: 2}]);
        await run.addSegment(bytes(1, 2));
        await run.commit({at: 1}, {learner: bytes(7)});
        await run.append("metrics", [{n: 3}]);
        await run.append("samples", [{s: 1}]);
        await run.addSegment(bytes(3));
        await run.close();
        appendFileSync(join(path, "metrics.jsonl"), '{"n": 4, "cut sh');
        writeFileSync(join(path, "checkpoint", "learner-000009.bin.abc.tmp"), "half");

        expect(await RunDirectory.readConfig(path, anything)).toEqual({a: 1});
        const again = await RunDirectory.open(path);
        expect(again.state).toEqual({at: 1});
        expect(await again.rows("metrics")).toEqual([{n: 1}, {n: 2}]);
        expect(await again.rows("samples")).toEqual([]);
        expect(await segmentsOf(again)).toEqual([[1, 2]]);
        expect(await again.readFile("learner")).toEqual(Buffer.from([7]));
        expect(readdirSync(join(path, "checkpoint")).length).toBe(2);
        await again.append("metrics", [{n: 5}]);
        await again.addSegment(bytes(4));
        await again.commit({at: 2}, {learner: bytes(8)}, 1);
        await again.close();

        const last = await RunDirectory.open(path);
        expect(last.state).toEqual({at: 2});
        expect(await last.rows("metrics")).toEqual([{n: 1}, {n: 2}, {n: 5}]);
        expect(await segmentsOf(last)).toEqual([[4]]);
        expect(await last.readFile("learner")).toEqual(Buffer.from([8]));
        expect(readdirSync(join(path, "checkpoint")).length).toBe(2);
        await last.close();
    });

    it("starts over where nothing was committed", async () => {
        const path = newPath();
        const run = await RunDirectory.create(path, {});
        await run.append("metrics", [{n: 1}]);
        await run.close();
        const again = await RunDirectory.open(path);
        expect(again.state).toBeUndefined();
        expect(await again.rows("metrics")).toEqual([]);
        await again.close();
    });

    it("is not made where something is, nor opened where none is", async () => {
        const path = newPath();
        await (await RunDirectory.create(path, {})).close();
        await expect(RunDirectory.create(path, {})).rejects.toMatchObject({
            code: "RUN_DIRECTORY",
            message: `${path} holds a run already. Resume it, or give another directory.`
        });
        await expect(RunDirectory.create(folder, {})).rejects.toMatchObject({
            code: "RUN_DIRECTORY",
            message: `${folder} is not empty. Give another directory.`
        });
        await expect(RunDirectory.readConfig(newPath(), anything)).rejects.toMatchObject({code: "RUN_DIRECTORY"});
    });

    it.each([
        ["a changed byte", (file: string) => writeFileSync(file, bytes(1, 3)), /is not as it was written/],
        ["a missing file", (file: string) => rmSync(file), /is missing/]
    ])("notices %s", async (_, harm, message) => {
        const path = newPath();
        const run = await RunDirectory.create(path, {});
        await run.addSegment(bytes(1, 2));
        await run.commit({});
        await run.close();
        const [name] = readdirSync(join(path, "checkpoint")) as [string];
        harm(join(path, "checkpoint", name));
        const error = await segmentsOf(await RunDirectory.open(path)).catch((reason) => reason);
        expect(error).toMatchObject({code: "RUN_DAMAGED", message: expect.stringMatching(message)});
    });

    it("notices a log that lost lines", async () => {
        const path = newPath();
        const run = await RunDirectory.create(path, {});
        await run.append("metrics", [{n: 1}]);
        await run.commit({});
        await run.close();
        writeFileSync(join(path, "metrics.jsonl"), "");
        await expect(RunDirectory.open(path)).rejects.toMatchObject({code: "RUN_DAMAGED"});
    });

    // A limit on the size of files fails writes as a full disk does: after some of the bytes.
    it.skipIf(process.platform === "win32")("keeps the last checkpoint when a write fails", async () => {
        const path = newPath();
        const script = `
            import {RunDirectory} from "./lib/train/run/run-directory.js";
            process.on("SIGXFSZ", () => {});
            const run = await RunDirectory.create(${JSON.stringify(path)}, {});
            await run.addSegment(new Uint8Array(1000).fill(1));
            await run.append("metrics", [{n: 1}]);
            await run.commit({at: 1}, {learner: new Uint8Array(1000)});
            await run.append("metrics", [{n: 2}]);
            const failures = [];
            await run.addSegment(new Uint8Array(50_000)).catch(({code}) => failures.push(code));
            await run.commit({at: 2}, {learner: new Uint8Array(50_000)}).catch(({code}) => failures.push(code));
            await run.commit({at: 3, large: "x".repeat(50_000)}).catch(({code}) => failures.push(code));
            await run.append("metrics", [{large: "x".repeat(50_000)}]).catch(({code}) => failures.push(code));
            console.log(failures.join());`;
        const file = join(folder, "full.mts");
        writeFileSync(file, script.replace("./lib", join(import.meta.dirname, "../../lib")));
        const limited = `ulimit -f 32; exec ${process.execPath} --import tsx ${file}`;
        const {stdout} = await promisify(execFile)("bash", ["-c", limited], {cwd: join(import.meta.dirname, "../..")});
        expect(stdout.trim()).toBe("WRITE_FAILED,WRITE_FAILED,WRITE_FAILED,WRITE_FAILED");
        const run = await RunDirectory.open(path);
        expect(run.state).toEqual({at: 1});
        expect(await run.rows("metrics")).toEqual([{n: 1}]);
        expect((await segmentsOf(run)).map(({length}) => length)).toEqual([1000]);
        expect((await run.readFile("learner")).length).toBe(1000);
        expect(existsSync(join(path, "checkpoint.json"))).toBe(true);
        expect(readFileSync(join(path, "metrics.jsonl"), "utf8")).toBe('{"n":1}\n');
        await run.close();
    });
});

describe("segments", () => {
    it("come back as they were packed", () => {
        const arrays = {
            a: Float32Array.of(1.5, -0, Number.NaN),
            b: new Int32Array(0),
            c: Uint8Array.of(1, 2, 3, 4, 5),
            d: Uint32Array.of(2 ** 32 - 1)
        };
        expect(unpack(pack(arrays))).toEqual(arrays);
        // As a file is read: a view into a larger buffer.
        expect(unpack(Buffer.concat([Buffer.alloc(3), pack(arrays)]).subarray(3))).toEqual(arrays);
    });

    it.each([
        [[], 5, 0],
        [[5], 5, 0],
        [[5, 5], 5, 1],
        [[5, 4], 5, 0],
        [[9, 3, 3, 3], 8, 1]
    ])("%j of which a replay of %d has forgotten the first %d", (counts, capacity, forgotten) => {
        expect(forgottenSegments(counts, capacity)).toBe(forgotten);
    });
});
