import {execFileSync} from "node:child_process";
import {lstat, mkdtemp, readdir, readFile, rm, symlink, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {afterEach, beforeEach, describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {readSafetensors} from "../../lib/agent/safetensors.js";
import {failure, goldenPath, randomStates, smallTensors} from "./helpers.js";

let folder: string;
beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "mara-agent-"));
});
afterEach(() => rm(folder, {recursive: true}));

describe("save", () => {
    test("as f32 loses nothing, metadata included", async () => {
        using agent = MaraAgent.fromTensors(smallTensors(), {dtype: "f32", metadata: {origin: "test", 日: "\u0000\n"}});
        const path = join(folder, "agent.safetensors");
        await agent.save(path, {dtype: "f32"});
        using again = await MaraAgent.load(path, {dtype: "f32"});
        expect(again.tensors()).toEqual(agent.tensors());
        expect(again.metadata).toEqual(agent.metadata);
        const states = randomStates(5, 8);
        expect(again.score(states)).toEqual(agent.score(states));
        expect(await readdir(folder)).toEqual(["agent.safetensors"]);
    });

    for (const [dtype, name, relative] of [
        ["f16", "F16", 2 ** -11],
        ["bf16", "BF16", 2 ** -8]
    ] as const) {
        test(`as ${dtype} rounds to nearest, and saving that again changes nothing`, async () => {
            using agent = MaraAgent.fromTensors(smallTensors());
            const path = join(folder, "agent.safetensors");
            await agent.save(path, {dtype});
            const first = await readFile(path);
            expect([...readSafetensors(first).tensors.values()].map((tensor) => tensor.dtype)).toEqual(
                Array(8).fill(name)
            );
            using rounded = await MaraAgent.load(path);
            const original = agent.tensors();
            for (const [key, {data}] of Object.entries(rounded.tensors())) {
                const exact = original[key as keyof typeof original].data;
                data.forEach((value, i) => {
                    const error = Math.abs(value - (exact[i] as number));
                    expect(error).toBeLessThanOrEqual(Math.abs(exact[i] as number) * relative);
                });
            }
            await rounded.save(path);
            expect(await readFile(path)).toEqual(first);
            await rounded.save(path, {dtype});
            expect(await readFile(path)).toEqual(first);
        });
    }

    test("without a dtype keeps that of each tensor, and float64 becomes f32", async () => {
        const path = join(folder, "agent.safetensors");
        for (const [file, dtype] of [
            ["half.pth", "F16"],
            ["nested-bfloat16.pth", "BF16"],
            ["views-float64.pth", "F32"],
            ["module-prefix.pth", "F32"]
        ] as const) {
            using agent = await MaraAgent.load(goldenPath(file));
            await agent.save(path);
            using again = await MaraAgent.load(path);
            expect(again.tensors()).toEqual(agent.tensors());
            const {tensors} = readSafetensors(await readFile(path));
            expect(new Set([...tensors.values()].map((tensor) => tensor.dtype))).toEqual(new Set([dtype]));
        }
    });

    test("does not depend on how the weights are packed", async () => {
        using agent = MaraAgent.fromTensors(smallTensors(), {dtype: "int8"});
        const path = join(folder, "agent.safetensors");
        await agent.save(path);
        using again = await MaraAgent.load(path);
        expect(again.tensors()).toEqual(smallTensors());
    });

    test("writes a header padded to a multiple of 8 and nothing but the format", async () => {
        using agent = MaraAgent.fromTensors(smallTensors());
        const path = join(folder, "agent.safetensors");
        await agent.save(path);
        const bytes = await readFile(path);
        expect(Number(bytes.readBigUInt64LE()) % 8).toBe(0);
        const {tensors, metadata} = readSafetensors(bytes);
        expect([...tensors.keys()]).toEqual(Object.keys(smallTensors()));
        expect(metadata).toEqual({});
    });
});

describe("a save that fails", () => {
    test("into a folder that does not exist leaves nothing behind", async () => {
        using agent = MaraAgent.fromTensors(smallTensors());
        const path = join(folder, "missing", "agent.safetensors");
        expect(await failure(() => agent.save(path))).toEqual({
            code: "WRITE_FAILED",
            message: `Could not write ${path}: ENOENT: no such file or directory`
        });
        expect(await readdir(folder)).toEqual([]);
    });

    test("onto a folder leaves the folder and nothing beside it", async () => {
        using agent = MaraAgent.fromTensors(smallTensors());
        await writeFile(join(folder, "other"), "");
        expect((await failure(() => agent.save(folder))).code).toBe("WRITE_FAILED");
        expect(await readdir(folder)).toEqual(["other"]);
        expect(
            (await readdir(join(folder, ".."))).filter((name) => name.startsWith(`${folder.split("/").at(-1)}.`))
        ).toEqual([]);
    });

    test.skipIf(process.platform === "win32")(
        "onto what is no regular file leaves it as it is, and through a link replaces the file (skipped on Windows)",
        async () => {
            using agent = MaraAgent.fromTensors(smallTensors());
            const [pipe, link, file, fileLink] = ["pipe", "link", "file", "file-link"].map((name) =>
                join(folder, name)
            ) as [string, string, string, string];
            execFileSync("mkfifo", [pipe]);
            await symlink(pipe, link);
            for (const path of [pipe, link]) {
                expect(await failure(() => agent.save(path))).toEqual({
                    code: "WRITE_FAILED",
                    message: `Could not write ${path}: it is not a regular file`
                });
            }
            expect((await lstat(pipe)).isFIFO()).toBe(true);
            expect((await lstat(link)).isSymbolicLink()).toBe(true);
            await writeFile(file, "previous");
            await symlink(file, fileLink);
            await agent.save(fileLink);
            expect((await lstat(fileLink)).isSymbolicLink()).toBe(true);
            (await MaraAgent.load(file)).dispose();
            expect((await readdir(folder)).sort()).toEqual(["file", "file-link", "link", "pipe"]);
        }
    );

    test("since a weight is beyond float16 leaves the previous file", async () => {
        const tensors = smallTensors();
        (tensors["linear1.bias"]?.data as Float32Array)[2] = 70000;
        using agent = MaraAgent.fromTensors(tensors);
        const path = join(folder, "agent.safetensors");
        await writeFile(path, "previous");
        expect(await failure(() => agent.save(path, {dtype: "f16"}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Tensor "linear1.bias" holds 70000 at index 2, which is beyond the range of F16'
        });
        expect(await readFile(path, "utf8")).toBe("previous");
        await agent.save(path, {dtype: "bf16"});
    });

    test("for its arguments says which", async () => {
        using agent = MaraAgent.fromTensors(smallTensors());
        const save = agent.save.bind(agent) as (path: unknown, options?: unknown) => Promise<void>;
        expect(await failure(() => save(""))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected a path for path but received ""'
        });
        expect(await failure(() => save(join(folder, "a"), {dtype: "int8"}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected one of "f32", "f16", "bf16" for options.dtype but received "int8"'
        });
        expect(await readdir(folder)).toEqual([]);
    });
});
