// Runs test/pack/run-addon.mjs with a finished file, under an emulator where the file is for another system.
import {spawnSync} from "node:child_process";
import {existsSync, readFileSync, rmSync} from "node:fs";
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
    // Node under wine cannot write to pipes: its output goes to a file.
    const output = path.join(tmpdir(), `mara-${process.pid}-${target.name}.txt`);
    const [command, ...args] = found.command;
    const line = [...args, script, path.resolve(file)].map((word) => `'${word}'`).join(" ");
    const {status} = spawnSync("sh", ["-c", `exec '${command}' ${line} > '${output}' 2>&1`], {
        env: {...process.env, ...found.env},
        timeout: 300_000
    });
    const text = existsSync(output) ? readFileSync(output, "utf8").trim() : "";
    rmSync(output, {force: true});
    const last = text.split("\n").at(-1);
    if (status !== 0 || !last.startsWith("{")) throw new Error(`run-addon.mjs failed (${status}):\n${text}`);
    const {errors, node} = JSON.parse(last);
    return {kernels: Object.keys(errors), node};
}

function isHost({platform, arch, libc}) {
    const host = hostTarget();
    return platform === host?.platform && arch === host.arch && libc === host.libc;
}
