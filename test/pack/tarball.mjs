// Makes the tarball that npm would publish from this clone, and checks what is in it.
import {execFileSync} from "node:child_process";
import {rmSync} from "node:fs";
import path from "node:path";
import {fileURLToPath} from "node:url";
import {hostTarget} from "../../scripts/prebuild/targets.mjs";
import {expect} from "./project.mjs";

export const root = fileURLToPath(new URL("../..", import.meta.url));

const wanted = [
    "dist/index.js",
    "dist/index.d.ts",
    "dist/cli/mara.js",
    "demo/model.gguf",
    "demo/agent.safetensors",
    "demo/prompts/held-out.jsonl",
    "docs/training.md",
    "bindings/install.cjs",
    "include/napi.h",
    "binding.gyp",
    "native/kernel/kernel.h",
    "LICENSE",
    "THIRD_PARTY_NOTICES.md",
    "CHANGELOG.md",
    "README.md",
    `prebuilds/${hostTarget()?.path}`
];
const unwanted = /^(test|bench|scripts|node_modules|build|lib|native\/test)\/|^docs\/.*\.(ts|jsonl?)$|\.(o|log|py)$/;

/** @returns the path of the tarball, in `folder` */
export function tarball(folder) {
    const npm = (...args) =>
        execFileSync("npm", args, {cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"]});
    const prebuild = path.join(root, "scripts", "prebuild", "main.mjs");
    execFileSync(process.execPath, [prebuild, "host", "--any-compiler"], {cwd: root, stdio: "inherit"});
    rmSync(path.join(root, "dist"), {recursive: true, force: true});
    npm("run", "--silent", "build:ts");
    npm("run", "--silent", "prepack");
    const [packed] = JSON.parse(npm("pack", "--json", "--ignore-scripts", "--pack-destination", folder));
    const paths = packed.files.map((file) => file.path);
    expect(packed.size <= 10 * 2 ** 20, `the tarball has ${packed.size} bytes, more than 10 MiB`);
    for (const file of wanted) expect(paths.includes(file), `the tarball lacks ${file}`);
    const strays = paths.filter((file) => unwanted.test(file));
    expect(strays.length === 0, `the tarball holds development files: ${strays.join(", ")}`);
    console.log(`${packed.filename}: ${(packed.size / 1e6).toFixed(1)} MB, ${paths.length} files`);

    const file = path.join(folder, packed.filename);
    npm("run", "--silent", "lint:publint", "--", file);
    npm("run", "--silent", "lint:types", "--", file);
    return file;
}
