// Makes one file. prebuildify and node-gyp work in a copy of the sources, so that the clone's own build/ is left alone.
import {execFileSync} from "node:child_process";
import {createHash} from "node:crypto";
import {
    cpSync,
    existsSync,
    mkdirSync,
    readdirSync,
    readFileSync,
    rmSync,
    statSync,
    symlinkSync,
    writeFileSync
} from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {fileURLToPath} from "node:url";

const require = createRequire(import.meta.url);
export const root = fileURLToPath(new URL("../..", import.meta.url));
const sources = ["native", "bindings", "binding.gyp", "CMakeLists.txt"];

/**
 * Makes the file, unless it was made of the same sources by the same compiler. Returns whether it had to.
 *
 * @param zig zig's command line; undefined: this machine's own compiler, which can make its own file only
 */
export function build(target, zig) {
    const folder = path.join(root, "build", "prebuild", target.name);
    const prebuilt = path.join(root, "prebuilds", target.path);
    const stampFile = `${folder}.sha256`;
    const stamp = () =>
        `${hashOf(
            sources.map((source) => path.join(root, source)),
            zig ?? ""
        )} ${hashOf([prebuilt], "")}\n`;
    if (existsSync(prebuilt) && existsSync(stampFile) && readFileSync(stampFile, "utf8") === stamp()) return false;
    rmSync(prebuilt, {force: true});
    rmSync(folder, {recursive: true, force: true});
    mkdirSync(folder, {recursive: true});
    for (const source of [...sources, "package.json"])
        cpSync(path.join(root, source), path.join(folder, source), {recursive: true});
    symlinkSync(path.join(root, "node_modules"), path.join(folder, "node_modules"), "junction");
    const isCrossWindows = target.platform === "win32" && process.platform !== "win32";
    if (isCrossWindows) buildWindows(target, zig, folder);
    else if (target.cuda) buildCuda(target, zig, folder);
    else prebuildify(target, zig, folder);
    writeFileSync(stampFile, stamp());
    return true;
}

/** A hash of the names and contents of all files at or under the paths, and of a text. */
function hashOf(paths, text) {
    const hash = createHash("sha256").update(text);
    for (const start of paths) {
        const names = statSync(start).isDirectory() ? readdirSync(start, {recursive: true}).sort() : [""];
        for (const name of names) {
            const file = path.join(start, name);
            if (statSync(file).isFile()) hash.update(`${file}\0`).update(readFileSync(file));
        }
    }
    return hash.digest("hex");
}

/** Makes a file for another Linux, or on the target's own system with its own compiler. */
function prebuildify(target, zig, folder) {
    const env = {...process.env, JOBS: "2"};
    const args = [
        "--napi",
        "--strip",
        `--cwd=${folder}`,
        `--out=${root}`,
        `--platform=${target.platform}`,
        `--arch=${target.arch}`
    ];
    if (target.libc !== undefined) {
        args.push(`--tag-libc=${target.libc}`);
        if (zig !== undefined) {
            env.CC = `${zig} cc -target ${target.zig}`;
            env.CXX = `${zig} c++ -target ${target.zig}`;
        }
        // The linker strips: the system's strip knows only its own architecture.
        env.LDFLAGS = "-s";
        env.PREBUILD_STRIP_BIN = "true";
    }
    run(process.execPath, [require.resolve("prebuildify/bin.js"), ...args], {cwd: folder, env});
}

/** Makes the files that node-gyp cannot make here, Windows' and the one with CUDA, from the same sources through CMake. */
function cmake(target, zig, folder, settings) {
    const compiler = (language) => [...zig.split(" "), language, "-target", target.zig].join(";");
    const output = path.join(folder, "build");
    const all = {
        CMAKE_C_COMPILER: compiler("cc"),
        CMAKE_CXX_COMPILER: compiler("c++"),
        CMAKE_SHARED_LINKER_FLAGS: "-s",
        CMAKE_JS_VERSION: "8",
        CMAKE_JS_INC: require("node-api-headers").include_dir,
        ...settings
    };
    run("cmake", ["-S", folder, "-B", output, ...Object.entries(all).map(([name, value]) => `-D${name}=${value}`)]);
    run("cmake", ["--build", output, "--parallel", "2", "--target", "mara"]);
    const prebuilt = path.join(root, "prebuilds", target.path);
    mkdirSync(path.dirname(prebuilt), {recursive: true});
    cpSync(path.join(output, "mara.node"), prebuilt);
}

function buildWindows(target, zig, folder) {
    const zigCommand = zig.split(" ");
    const definitions = path.join(folder, "node.def");
    // One import library for both parts of N-API. Each .def starts with NAME and EXPORTS lines.
    const {def_paths} = require("node-api-headers");
    const names = Object.values(def_paths).flatMap((file) => readFileSync(file, "utf8").split("\n").slice(2));
    writeFileSync(definitions, ["NAME NODE.EXE", "EXPORTS", ...names].join("\n"));
    const library = path.join(folder, "node.lib");
    run(zigCommand[0], [...zigCommand.slice(1), "dlltool", "-m", "i386:x86-64", "-d", definitions, "-l", library]);
    cmake(target, zig, folder, {CMAKE_SYSTEM_NAME: "Windows", CMAKE_SYSTEM_PROCESSOR: "AMD64", CMAKE_JS_LIB: library});
}

/** nvcc compiles the kernels with the system's g++, of which nothing but the C++ ABI remains; zig compiles and links the rest. */
function buildCuda(target, zig, folder) {
    cmake(target, zig, folder, {MARA_CUDA: "ON", CMAKE_CUDA_HOST_COMPILER: "g++"});
}

/** Quiet unless it fails: the builds' own output is long. */
function run(command, args, options = {}) {
    try {
        execFileSync(command, args, {
            ...options,
            encoding: "utf8",
            stdio: ["ignore", "pipe", "pipe"],
            maxBuffer: 2 ** 28
        });
    } catch (error) {
        throw new Error(`${command} ${args.join(" ")} failed:\n${error.stdout ?? ""}${error.stderr ?? error.message}`);
    }
}
