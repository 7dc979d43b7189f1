// Formats the C++ and CUDA sources by .clang-format; with --check it changes nothing and fails where they differ.
import {spawnSync} from "node:child_process";
import {readdirSync} from "node:fs";
import {createRequire} from "node:module";
import {join} from "node:path";

const root = new URL("..", import.meta.url).pathname;
const files = ["native", "bindings", "bench"].flatMap((folder) =>
    readdirSync(join(root, folder), {recursive: true})
        .filter((name) => /\.(cpp|h|cu|cuh)$/.test(name))
        .map((name) => join(folder, name))
);
const mode = process.argv.includes("--check") ? ["--dry-run", "--Werror"] : ["-i"];
const clangFormat = createRequire(import.meta.url).resolve("clang-format");
const {status} = spawnSync(process.execPath, [clangFormat, ...mode, ...files], {cwd: root, stdio: "inherit"});
process.exit(status ?? 1);
