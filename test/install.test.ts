import {spawnSync} from "node:child_process";
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {expect, it} from "vitest";

it.skipIf(process.platform === "win32")("install says what is missing when nothing can be compiled", () => {
    const empty = mkdtempSync(path.join(tmpdir(), "mara-path-"));
    const script = path.resolve(import.meta.dirname, "..", "bindings", "install.cjs");
    const {status, stderr} = spawnSync(process.execPath, [script], {env: {PATH: empty}, encoding: "utf8"});
    rmSync(empty, {recursive: true});
    expect(status).toBe(1);
    expect(stderr).toContain(
        `there is no prebuilt file that loads on ${process.platform}-${process.arch}, and compiling it needs ` +
            "a C++20 compiler (g++ 11, clang 14 or later), make, python3 (node-gyp needs it), which this machine does not have."
    );
    expect(stderr).toContain("Then run: npm rebuild node-llama-mara");
});
