import {execFileSync} from "node:child_process";
import {mkdtemp, readFile, rm, truncate, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {afterAll, beforeAll, describe, expect, test} from "vitest";
import {MaraAgent} from "../../lib/agent/agent.js";
import {failure, goldenPath, random, safetensorsFile} from "./helpers.js";

let folder: string;
beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mara-bad-"));
});
afterAll(() => rm(folder, {recursive: true}));

const load = (bytes: Uint8Array): Promise<MaraAgent> => MaraAgent.load(bytes);
const format = (reason: string, from = "the agent's bytes") => ({
    code: "AGENT_FORMAT",
    message: `Could not load ${from}: ${reason}`
});
const safetensors = (reason: string) => format(`This is not a valid .safetensors file: ${reason}`);
const neither = "It is neither a .safetensors file (no JSON header at byte 8) nor a .pth file (no zip archive)";

describe("a path", () => {
    test("that does not exist", async () => {
        const path = join(folder, "missing.safetensors");
        expect(await failure(() => MaraAgent.load(path))).toEqual({
            code: "AGENT_NOT_FOUND",
            message: `Could not load ${path}: ENOENT: no such file or directory`
        });
    });

    test("that is a folder, or holds a null byte", async () => {
        expect(await failure(() => MaraAgent.load(folder))).toEqual({
            code: "AGENT_NOT_FOUND",
            message: `Could not load ${folder}: It is not a regular file`
        });
        expect((await failure(() => MaraAgent.load("a\0b"))).code).toBe("AGENT_NOT_FOUND");
    });

    test.skipIf(process.platform === "win32")(
        "that is a named pipe does not wait for a writer (skipped on Windows)",
        async () => {
            const path = join(folder, "pipe");
            execFileSync("mkfifo", [path]);
            expect((await failure(() => MaraAgent.load(path))).code).toBe("AGENT_NOT_FOUND");
        }
    );

    test("to a file of many gigabytes is refused before it is read", async () => {
        const path = join(folder, "language-model.safetensors");
        await writeFile(path, "");
        await truncate(path, 5 * 2 ** 30);
        expect(await failure(() => MaraAgent.load(path))).toEqual(
            format("A file of 5368709120 bytes is no agent: the limit is 1073741824 bytes", path)
        );
    });
});

describe("a file", () => {
    test("that is empty", async () => {
        const path = join(folder, "empty.pth");
        await writeFile(path, "");
        expect(await failure(() => MaraAgent.load(path))).toEqual(format("The file is empty", path));
        expect(await failure(() => load(new Uint8Array()))).toEqual(format("The file is empty"));
    });

    test("of random bytes, of any length", async () => {
        const next = random(5);
        for (let length = 1; length < 200; length++) {
            const bytes = Uint8Array.from({length}, () => next(0, 255));
            bytes[0] = 0x81;
            if (length > 8) bytes[8] = 0;
            expect(await failure(() => load(bytes))).toEqual(format(neither));
        }
    });

    test("cut short anywhere", async () => {
        const whole = await readFile(goldenPath("w64.agent.safetensors"));
        const headerEnd = 8 + Number(whole.readBigUInt64LE());
        for (const length of [1, 7, 8]) {
            expect(await failure(() => load(whole.subarray(0, length)))).toEqual(format(neither));
        }
        expect(await failure(() => load(whole.subarray(0, 9)))).toEqual(
            safetensors(`a header of ${headerEnd - 8} bytes does not fit into a file of 9 bytes`)
        );
        expect(await failure(() => load(whole.subarray(0, headerEnd - 1)))).toEqual(
            safetensors(`a header of ${headerEnd - 8} bytes does not fit into a file of ${headerEnd - 1} bytes`)
        );
        const cut = await failure(() => load(whole.subarray(0, -1)));
        expect(cut.code).toBe("AGENT_FORMAT");
        expect(cut.message).toMatch(/ ends at byte \d+ of \d+; the file is cut short$/);
        const pth = await readFile(goldenPath("module-prefix.pth"));
        for (const length of [4, 100, pth.length - 1]) {
            const {code, message} = await failure(() => load(pth.subarray(0, length)));
            expect(code).toBe("AGENT_FORMAT");
            expect(message).toMatch(/This is not a valid .pth file: the zip archive is damaged or cut short/);
        }
    });

    test("with a huge header", async () => {
        for (const [size, shown] of [
            [2n ** 64n - 1n, "18446744073709551615"],
            [2n ** 63n, "9223372036854775808"],
            [2n ** 20n + 1n, "1048577"]
        ] as const) {
            expect(await failure(() => load(safetensorsFile("{}", new Uint8Array(9), size)))).toEqual(
                safetensors(`a header of ${shown} bytes is beyond 1048576`)
            );
        }
        expect(await failure(() => load(safetensorsFile("{}", new Uint8Array(9), 1000n)))).toEqual(
            safetensors("a header of 1000 bytes does not fit into a file of 19 bytes")
        );
    });
});
