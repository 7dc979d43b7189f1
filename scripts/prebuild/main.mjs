// npm run prebuild:host, prebuild:all; node scripts/prebuild/main.mjs NAME…: makes prebuilt files, checks each, runs what can be run
// here, and lists the rest with the reason. Exits with 1 if a file that was asked for is wrong or could not be made.
// --check makes nothing: it checks and runs what lies in prebuilds/. --any-compiler lets this machine's own compiler make its file where
// zig is missing: good enough to try the package here, but it may need newer libraries than the package promises.
import {spawnSync} from "node:child_process";
import {existsSync} from "node:fs";
import path from "node:path";
import {build, root} from "./build.mjs";
import {check} from "./check.mjs";
import {run} from "./run.mjs";
import {hostTarget, targets} from "./targets.mjs";
import {findZig, zigInstall} from "./zig.mjs";

const words = process.argv.slice(2).filter((word) => !word.startsWith("--"));
const isCheckOnly = process.argv.includes("--check");
const anyCompiler = process.argv.includes("--any-compiler");
const wanted = words.includes("all")
    ? targets
    : words.map((word) => (word === "host" ? hostTarget() : targets.find(({name}) => name === word)));
if (wanted.length === 0 || wanted.includes(undefined)) {
    console.error(
        `Expected "host", "all" or names of ${targets.map(({name}) => name).join(", ")}, but received ${words.join(" ") || "nothing"}`
    );
    process.exit(2);
}

const zig = findZig();
let failures = 0;
for (const target of wanted) {
    const file = path.join(root, "prebuilds", target.path);
    const start = performance.now();
    const report = (text) => console.log(`${target.name.padEnd(18)} ${text}`);
    try {
        const reason = isCheckOnly ? (existsSync(file) ? undefined : "there is no such file") : cannotMake(target);
        if (reason !== undefined) {
            // With "all", a file that cannot be made may be missing, but not when it was asked for by name.
            if (!words.includes("all")) ++failures;
            report(`NOT MADE: ${reason}`);
            continue;
        }
        const isNew = !isCheckOnly && build(target, zig);
        const {problems, notChecked} = check(file, target, {floors: isCheckOnly || zig !== undefined});
        if (problems.length > 0) throw new Error(problems.join("\n"));
        for (const what of notChecked) console.log(`Skipped: checking ${what}`);
        const {kernels, node, skipped} = run(file, target);
        const outcome = skipped === undefined ? `ran in Node ${node}: ${kernels.join(", ")}` : `NOT RUN: ${skipped}`;
        const made = isNew ? `made in ${((performance.now() - start) / 1000).toFixed(0)} s, ` : "";
        report(`${made}checked; ${outcome}`);
    } catch (error) {
        ++failures;
        report(`FAILED: ${error.message}`);
    }
}
process.exitCode = failures === 0 ? 0 : 1;

function cannotMake(target) {
    if (
        target.cuda &&
        (process.platform !== "linux" || process.arch !== "x64" || spawnSync("nvcc", ["--version"]).status !== 0)
    )
        return "nvcc on linux-x64 is needed";
    if (target.platform === process.platform && target.platform !== "linux")
        return target.arch === process.arch || target.platform === "darwin"
            ? undefined
            : "node-gyp makes this machine's architecture";
    if (target.platform === "darwin") return "macOS is needed (the release workflow makes it there)";
    const canDoWithout = anyCompiler && target === hostTarget();
    return zig === undefined && !canDoWithout ? `zig is missing: ${zigInstall}` : undefined;
}
