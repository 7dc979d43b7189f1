// Runs test/pack/run-addon.mjs with a finished file, under an emulator where the file is for another system.
import {spawnSync} from "node:child_process";
import {existsSync, readFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {root} from "./build.mjs";
import {emulator} from "./emulators.mjs";
import {hostTarget} from "./targets.mjs";

/** {kernels} of a file that ran and gave the right numbers, or {skipped} with the reason; throws if it gave wrong ones. */
export function run(file, target) {
    const script = path.join(root, "test", "pack", "run-addon.mjs");
    const found = isHost(target) ? {command: [process.execPath]} : emulator(target);
    if (found.missing !== undefined) return {skipped: found.missing};
    // Wine's console is no pipe: its output goes to a file.
    const output = path.join(tmpdir(), `mara-${process.pid}-${target.name}.txt`);
    const [command, ...args] = found.command;
    const line = [...args, script, path.resolve(file)].map((word) => `'${word}'`).join(" ");
    const {status, stderr} = spawnSync("sh", ["-c", `exec '${command}' ${line} > '${output}'`], {
        env: {...process.env, ...found.env},
        encoding: "utf8",
        timeout: 300_000
    });
    const text = existsSync(output) ? readFileSync(output, "utf8").trim() : "";
    if (status !== 0 || !text.startsWith("{")) throw new Error(`run-addon.mjs failed (${status}):\n${text}\n${stderr}`);
    return {kernels: Object.keys(JSON.parse(text).errors), node: JSON.parse(text).node};
}

function isHost({platform, arch, libc}) {
    const host = hostTarget();
    return platform === host?.platform && arch === host.arch && libc === host.libc;
}
