import {chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {afterAll, describe, expect, it} from "vitest";
import {type Platform, thisPlatform} from "../../lib/addon/files.js";
import {loadAddon} from "../../lib/addon/load.js";
import type {NativeAddon} from "../../lib/native.js";
import {ofAnotherMachine, ofNewerGlibc, real, realPath} from "./broken.js";

const temporary = mkdtempSync(path.join(tmpdir(), "mara-addon-"));
afterAll(() => rmSync(temporary, {recursive: true}));

const platform = thisPlatform();
const prebuilt = `prebuilds/${platform.os}-${platform.arch}/node-llama-mara${platform.libc ? `.${platform.libc}` : ""}.node`;
const cuda = prebuilt.replace("/node-llama-mara", "/cuda/node-llama-mara");
const built = "build/Release/mara.node";
let folders = 0;

/** A package folder with these files; `true` stands for the addon as it is. */
function packageWith(files: Record<string, Buffer | true>): string {
    const root = path.join(temporary, `package-${++folders}`);
    mkdirSync(root);
    for (const [name, content] of Object.entries(files)) {
        const file = path.join(root, name);
        mkdirSync(path.dirname(file), {recursive: true});
        if (content === true) copyFileSync(realPath, file);
        else writeFileSync(file, content);
        chmodSync(file, 0o644);
    }
    return root;
}

const load = (root: string, options: {platform?: Platform; override?: string} = {}) =>
    loadAddon<NativeAddon>(root, {override: "", ...options});

function messageOf(root: string, options: {platform?: Platform; override?: string} = {}): string {
    try {
        load(root, options);
    } catch (error) {
        return (error as Error).message;
    }
    throw new Error("the addon was loaded");
}

describe("loads", () => {
    it("what was compiled in the package's folder before what it came with", () => {
        const root = packageWith({[built]: true, [prebuilt]: true});
        const loaded = load(root);
        expect(loaded).toMatchObject({path: path.join(root, built), origin: "built", cuda: false, failures: []});
        expect(loaded.addon.kernels()).toContain("reference");
    });

    it("the prebuilt file where nothing was compiled", () => {
        const root = packageWith({[prebuilt]: true});
        expect(load(root)).toMatchObject({path: path.join(root, prebuilt), origin: "prebuilt", failures: []});
    });

    it("the prebuilt file where what was compiled is broken, and says so", () => {
        const root = packageWith({[built]: Buffer.from("no library"), [prebuilt]: true});
        const {origin, failures} = load(root);
        expect(origin).toBe("prebuilt");
        expect(failures).toEqual([
            {path: path.join(root, built), origin: "built", cuda: false, reason: expect.any(String)}
        ]);
    });

    it("another file where CUDA's is broken or no device answers", () => {
        for (const [content, reason] of [
            [Buffer.from("no library"), /./],
            [true, /^no CUDA device answers$/]
        ] as const) {
            const root = packageWith({[cuda]: content, [prebuilt]: true});
            const {path: chosen, failures} = load(root);
            expect(chosen).toBe(path.join(root, prebuilt));
            expect(failures).toEqual([
                {path: path.join(root, cuda), origin: "prebuilt", cuda: true, reason: expect.stringMatching(reason)}
            ]);
        }
    });

    it("the file or folder that NODE_LLAMA_MARA_PREBUILD names", () => {
        const root = packageWith({[prebuilt]: true});
        const empty = packageWith({});
        const file = path.join(root, prebuilt);
        expect(load(empty, {override: root})).toMatchObject({path: file, origin: "override"});
        expect(load(empty, {override: file})).toMatchObject({path: file, origin: "override"});
    });
});

describe("names every file, why it failed, and what to do, where", () => {
    it("there is none", () => {
        const root = packageWith({});
        const text = messageOf(root);
        expect(text).toContain(`could be loaded on ${platform.os} ${platform.arch}`);
        expect(text).toContain(`  ${path.join(root, built)}: there is no such file\n`);
        expect(text).toContain(`  ${path.join(root, prebuilt)}: there is no such file\n`);
        expect(text).not.toContain("cuda");
        expect(text).toMatch(/\nThe package has no file for this system: compile it\. .*npm rebuild node-llama-mara$/);
    });

    it("there are only those of other systems", () => {
        const root = packageWith({[prebuilt]: true});
        const musl = {os: "linux", arch: "riscv64", libc: "musl"} as const;
        const text = messageOf(root, {platform: musl});
        expect(text).toContain("could be loaded on linux riscv64 musl. Tried:\n");
        expect(text).toContain(path.join(root, "prebuilds/linux-riscv64/node-llama-mara.musl.node"));
        expect(text).toContain("apk add g++ make python3");
        const windows = messageOf(root, {platform: {os: "win32", arch: "arm64"}});
        expect(windows).toContain("Visual Studio Build Tools");
        expect(windows).toContain(path.join(root, "prebuilds/win32-arm64/node-llama-mara.node"));
        expect(messageOf(root, {platform: {os: "darwin", arch: "x64"}})).toContain("xcode-select --install");
    });

    it.each([
        ["empty", 0],
        ["cut off after its header", 100],
        ["cut off in the middle", Math.floor(real.length / 2)],
        ["cut off at its end", real.length - 1]
    ])("it is %s", (_, length) => {
        const root = packageWith({[prebuilt]: real.subarray(0, length)});
        const text = messageOf(root);
        expect(text).toMatch(/: .+\nThe file is damaged/);
        expect(text).toContain("Delete node_modules/node-llama-mara and install again.");
    });

    it.skipIf(platform.os !== "linux")("it is for another processor", () => {
        const text = messageOf(packageWith({[prebuilt]: ofAnotherMachine()}));
        expect(text).toContain("The file is for another system, or node_modules was copied from one.");
        expect(text).toContain(`install again on this one (${platform.os} ${platform.arch} ${platform.libc}).`);
    });

    it.skipIf(platform.libc !== "glibc")("it needs a newer glibc", () => {
        const text = messageOf(packageWith({[prebuilt]: ofNewerGlibc()}));
        expect(text).toMatch(/GLIBC_9[.\d]+' not found/);
        expect(text).toContain(`glibc ${platform.glibc}, is older than the file was made for.`);
        expect(text).toContain("npm rebuild node-llama-mara");
    });

    it("NODE_LLAMA_MARA_PREBUILD names nothing that fits", () => {
        const root = packageWith({[prebuilt]: true});
        const override = path.join(root, "elsewhere");
        const text = messageOf(root, {override});
        expect(text).toContain(`NODE_LLAMA_MARA_PREBUILD names ${override}. Unset it, or name a file that fits.`);
        expect(text).not.toContain(path.join(root, prebuilt));
    });
});
