/** Bun and Deno reply as Node does. */
import {execFile} from "node:child_process";
import {cpSync, mkdirSync, symlinkSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {promisify} from "node:util";
import {beforeAll, describe, expect, it} from "vitest";
import {demoAgentPath, demoModelPath} from "../lib/demo/files.js";
import {root, temporaryFolder} from "./cli/helpers.js";
import {bunPath, denoPath} from "./support/runtimes.js";

const run = promisify(execFile);
const folder = temporaryFolder();

beforeAll(() => {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules", "node-llama-mara"), "junction");
    symlinkSync(
        join(root, "node_modules", "node-llama-cpp"),
        join(folder, "node_modules", "node-llama-cpp"),
        "junction"
    );
    writeFileSync(join(folder, "package.json"), '{"type": "module", "private": true}');
    cpSync(join(root, "test", "pack", "programs", "reply.mjs"), join(folder, "reply.mjs"));
    cpSync(demoModelPath, join(folder, "model.gguf"));
    cpSync(demoAgentPath, join(folder, "agent.safetensors"));
    writeFileSync(
        join(folder, "one.mjs"),
        'import {openReply} from "./reply.mjs";\nconst reply = await openReply();\nconsole.log(await reply());\nprocess.exit(0);\n'
    );
});

async function replyOf(program: string, ...args: string[]): Promise<string> {
    const {stdout} = await run(program, [...args, "one.mjs"], {cwd: folder, timeout: 60_000});
    return stdout.trim();
}

describe("The aligned reply", () => {
    it.skipIf(bunPath === undefined)("is the same in Bun (needs bun)", async () => {
        expect(await replyOf(bunPath as string, "run")).toBe(await replyOf(process.execPath));
    });

    it.skipIf(denoPath === undefined)("is the same in Deno (needs deno)", async () => {
        const permissions = ["--allow-all", "--no-lock", "--node-modules-dir=manual"];
        expect(await replyOf(denoPath as string, "run", ...permissions)).toBe(await replyOf(process.execPath));
    });
});
