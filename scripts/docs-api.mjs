// Builds the API reference from the public docstrings, into build/api: npm run docs:api [-- typedoc's options]. An export that has no
// docstring is an error (typedoc.json). --install only fetches typedoc. It needs a TypeScript of an earlier line than this project's, so
// both lie in a folder of their own.
import {spawnSync} from "node:child_process";
import {existsSync} from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const folder = path.join(root, ".test-models", "typedoc");
const typedoc = path.join(folder, "node_modules", "typedoc", "bin", "typedoc");
const packages = ["typedoc@0.28.20", "typescript@6.0.3"];

function run(command, ...args) {
    const {status, error} = spawnSync(command, args, {
        cwd: root,
        stdio: ["ignore", "inherit", "inherit"],
        shell: command.endsWith(".cmd")
    });
    if (error) throw error;
    if (status !== 0) process.exit(status ?? 1);
}

const options = process.argv.slice(2).filter((option) => option !== "--install");
if (!existsSync(typedoc)) {
    const npm = process.platform === "win32" ? "npm.cmd" : "npm";
    run(npm, "install", "--silent", "--no-save", "--ignore-scripts", "--prefix", folder, ...packages);
}
if (!process.argv.includes("--install")) run(process.execPath, typedoc, ...options);
