// Packs the package, checks the tarball, installs it into empty projects beside node-llama-cpp, and runs it there as a user would: with
// install scripts and without, in this Node and in those of later lines, with no compiler in reach.
import {execFileSync} from "node:child_process";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {npmNode} from "../../scripts/prebuild/emulators.mjs";
import {hostTarget} from "../../scripts/prebuild/targets.mjs";
import {expect, Project} from "./project.mjs";
import {root, tarball} from "./tarball.mjs";

const temporary = mkdtempSync(path.join(tmpdir(), "mara-smoke-"));
const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const llama = `node-llama-cpp@${manifest.devDependencies["node-llama-cpp"]}`;

/** Later lines come from npm; it has them for Linux on x64 and arm64. */
function laterNodes() {
    if (process.platform !== "linux") return [];
    return ["22", "24"].map((line) => npmNode(`node-linux-${process.arch}@${line}`, "bin/node"));
}

function tryOut(name, node, file, ...options) {
    const version = execFileSync(node, ["--version"], {encoding: "utf8"}).trim();
    console.log(`${name}, Node ${version}`);
    const project = new Project(path.join(temporary, `${name} ${version}`.replaceAll(" ", "-")), node);
    project.install(...options, file, llama);

    expect(project.run("node", "example.js").trim().length > 0, "the drop-in example printed nothing");
    const demo = JSON.parse(project.run("npx", "--no-install", "mara", "demo", "--json", "--prompts", "10"));
    expect(demo.prompts === 10, "mara demo --json does not report its 10 prompts");
    const doctor = JSON.parse(project.run("npx", "--no-install", "mara", "doctor", "--json"));
    expect(doctor.ok && doctor.mode === "lanes", `mara doctor reports ${JSON.stringify(doctor.checks)}`);
    expect(doctor.addon.origin === "prebuilt", `the addon is not the prebuilt one but ${doctor.addon.path}`);
    project.run("node", "require.cjs");
    project.run("node", "contexts.mjs");
    project.run("node", "worker.mjs");
    for (const delay of ["0", "5"]) project.run("node", "exit.mjs", delay);
    project.remove();
}

try {
    expect(hostTarget() !== undefined, `there is no prebuilt file for ${process.platform} ${process.arch} to try out`);
    const file = tarball(temporary);
    tryOut("installed", process.execPath, file);
    tryOut("installed without scripts", process.execPath, file, "--ignore-scripts");
    for (const node of laterNodes()) tryOut("installed", node, file);
    console.log("smoke test passed");
} finally {
    rmSync(temporary, {recursive: true, force: true});
}
