// zig is clang with the headers and the symbol versions of every glibc, of musl and of mingw-w64: one compiler for all targets,
// and files that ask for no newer glibc than they are told, whatever machine makes them.
import {spawnSync} from "node:child_process";
import path from "node:path";
import {fileURLToPath} from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

export const zigInstall =
    "pip install ziglang==0.17.1, in the Python that `python3` names, in the virtual environment that is active or lies in .venv, or with $ZIG naming its command";

/** zig's command line, or undefined where there is none. */
export function findZig() {
    const {ZIG, VIRTUAL_ENV} = process.env;
    // A command is split at spaces, so a folder with spaces in its name cannot be part of one.
    const environments = [VIRTUAL_ENV, path.join(root, ".venv")].filter((folder) => folder && !folder.includes(" "));
    const program = process.platform === "win32" ? ["Scripts", "python.exe"] : ["bin", "python"];
    const pythons = [
        ...environments.map((folder) => path.join(folder, ...program)),
        located("python3"),
        located("python")
    ];
    const commands = [ZIG, "zig", ...pythons.map((python) => `${python} -m ziglang`)].filter(Boolean);
    return commands.find((command) => {
        const [program, ...args] = command.split(" ");
        return spawnSync(program, [...args, "version"], {stdio: "ignore"}).status === 0;
    });
}

/** The full path of a Python, because node-gyp puts another one in front of the PATH. */
function located(python) {
    const {stdout} = spawnSync(python, ["-c", "import sys; print(sys.executable)"], {encoding: "utf8"});
    const program = stdout?.trim() ?? "";
    return program === "" || program.includes(" ") ? python : program;
}
