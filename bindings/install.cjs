// npm's install step: does nothing if a file that came with the package loads here. Otherwise it compiles, or says plainly what is missing.
const {spawnSync} = require("node:child_process");
const {existsSync} = require("node:fs");
const path = require("node:path");
const {pathToFileURL} = require("node:url");

const root = path.join(__dirname, "..");

function finds(command) {
    return spawnSync(command, ["--version"], {stdio: "ignore", shell: process.platform === "win32"}).status === 0;
}

/** Why no file of the package can be used, or undefined if one can. */
async function whyCompile() {
    // A clone's addon must be compiled from the clone's own sources, so `npm ci` there always compiles.
    const isInstalledPackage = root.split(path.sep).includes("node_modules");
    if (!isInstalledPackage && existsSync(path.join(root, ".git"))) return "this is a clone";
    if (process.env.npm_config_build_from_source) return "--build-from-source asks for it";
    try {
        const {loadAddon} = await import(pathToFileURL(path.join(root, "dist", "addon", "load.js")).href);
        loadAddon(root);
        return undefined;
    } catch (error) {
        return error.message;
    }
}

function fail(why, reason) {
    console.error(
        `\nnode-llama-mara: there is no prebuilt file that loads on ${process.platform}-${process.arch}, and compiling it ${reason}`
    );
    const toolchains = require("./toolchains.json");
    console.error(
        `${toolchains[process.platform] ?? ""}\nThen run: npm rebuild node-llama-mara\n\nWhy it must be compiled: ${why}\n`
    );
    process.exit(1);
}

async function main() {
    const why = await whyCompile();
    if (why === undefined) return;
    const missing = [];
    if (process.platform !== "win32") {
        if (!["c++", "g++", "clang++"].some(finds)) missing.push("a C++20 compiler (g++ 11, clang 14 or later)");
        if (!finds("make")) missing.push("make");
    }
    if (!["python3", "python"].some(finds)) missing.push("python3 (node-gyp needs it)");
    if (missing.length > 0) fail(why, `needs ${missing.join(", ")}, which this machine does not have.`);

    // npm sets this to the node-gyp it ships; a clone also has its own.
    const nodeGyp = process.env.npm_config_node_gyp ?? require.resolve("node-gyp/bin/node-gyp.js");
    const {status} = spawnSync(process.execPath, [nodeGyp, "rebuild"], {cwd: root, stdio: "inherit"});
    if (status !== 0) fail(why, "failed; the compiler's messages are above.");
}

main();
