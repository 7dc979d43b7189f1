// npm's install step: uses the prebuilt file if one fits this machine, otherwise compiles, and says plainly what is missing.
const {spawnSync} = require("node:child_process");
const path = require("node:path");

const root = path.join(__dirname, "..");

function finds(command) {
    return spawnSync(command, ["--version"], {stdio: "ignore", shell: process.platform === "win32"}).status === 0;
}

// `npm ci` in a clone: what is compiled must be what is in the clone.
const isInstalledPackage = root.split(path.sep).includes("node_modules");
if (isInstalledPackage || !require("node:fs").existsSync(path.join(root, ".git"))) {
    try {
        require("node-gyp-build").path(root);
        process.exit(0);
    } catch {
        // No prebuilt file fits: compile below.
    }
}

const missing = [];
if (process.platform !== "win32") {
    if (!["c++", "g++", "clang++"].some(finds)) missing.push("a C++20 compiler (g++ 11, clang 14 or later)");
    if (!finds("make")) missing.push("make");
}
if (!["python3", "python"].some(finds)) missing.push("python3 (node-gyp needs it)");

const packages = `${process.platform}-${process.arch}`;
const advice = {
    linux: "On Debian and Ubuntu: apt-get install g++ make python3. On Fedora: dnf install gcc-c++ make python3.",
    darwin: "Install the command line tools: xcode-select --install.",
    win32: "Install the Visual Studio Build Tools with the C++ workload, and Python 3."
};

function fail(reason) {
    console.error(`\nnode-llama-mara: there is no prebuilt file for ${packages}, and compiling it ${reason}`);
    console.error(`${advice[process.platform] ?? ""}\nThen run: npm rebuild node-llama-mara\n`);
    process.exit(1);
}

if (missing.length > 0) fail(`needs ${missing.join(", ")}, which this machine does not have.`);

// npm sets this to the node-gyp it ships; a clone also has its own.
const nodeGyp = process.env.npm_config_node_gyp ?? require.resolve("node-gyp/bin/node-gyp.js");
const {status} = spawnSync(process.execPath, [nodeGyp, "rebuild"], {cwd: root, stdio: "inherit"});
if (status !== 0) fail("failed; the compiler's messages are above.");
