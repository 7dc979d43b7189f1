// zig is clang with the headers and the symbol versions of every glibc, of musl and of mingw-w64: one compiler for all targets,
// and files that ask for no newer glibc than they are told, whatever machine makes them.
import {spawnSync} from "node:child_process";

export const zigInstall =
    "pip install ziglang==0.17.1, in the Python that `python3` names, or with $ZIG naming its command";

/** zig's command line, or undefined where there is none. */
export function findZig() {
    const commands = [process.env.ZIG, "zig", "python3 -m ziglang"].filter(Boolean);
    return commands.find((command) => {
        const [program, ...args] = command.split(" ");
        return spawnSync(program, [...args, "version"], {stdio: "ignore"}).status === 0;
    });
}
