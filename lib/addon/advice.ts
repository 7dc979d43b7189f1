/** Tells what to do about an addon that could not be loaded, by the message of the system's loader. */
import {readFileSync} from "node:fs";
import {type AddonFailure, missing, type Platform} from "./files.js";

const rebuild = "Then run: npm rebuild node-llama-mara";

const anyToolchain = "A C++20 compiler, make and python3 are needed.";

/** How to get a compiler on a platform; bindings/install.cjs tells the same. Read when asked for: a bundle lacks the file. */
function toolchain(os: string): string {
    try {
        const text = readFileSync(new URL("../../bindings/toolchains.json", import.meta.url), "utf8");
        return (JSON.parse(text) as Record<string, string>)[os] ?? anyToolchain;
    } catch {
        return anyToolchain;
    }
}

/** Patterns of dlopen's and LoadLibrary's messages, on glibc, musl, macOS and Windows. */
const causes: readonly [pattern: RegExp, fix: (platform: Platform) => string][] = [
    [
        /version [`'"]?GLIBC(XX)?_[\d.]+/,
        (platform) =>
            `This system's C library${platform.glibc === undefined ? "" : `, glibc ${platform.glibc},`} is older than the file was made for. ` +
            `Use a newer system, or compile the addon here. ${compile(platform)}`
    ],
    [
        /wrong ELF class|invalid ELF header|Exec format error|incompatible architecture|not a mach-o|not a valid Win32|unsupported machine|e_machine|no suitable image|slice is not valid|cannot open shared object file|Error loading shared library|Error relocating/i,
        ({os, arch, libc}) =>
            "The file is for another system, or node_modules was copied from one. " +
            `Delete node_modules and install again on this one (${os} ${arch}${libc === undefined ? "" : ` ${libc}`}).`
    ],
    [
        /did not self-register|Module version|symbol .* not found|undefined symbol|file too short|truncated|segment|ELF|procedure could not be found|ELF load command|cannot read file data/i,
        () =>
            "The file is damaged or belongs to another version. Delete node_modules/node-llama-mara and install again."
    ],
    [
        /specified module could not be found/i,
        () => "A Windows system library is missing: install the Microsoft Visual C++ redistributable (x64)."
    ],
    [
        /permission denied|not permitted|code signature|operation not permitted/i,
        () =>
            "The system forbids to load it: check the file's permissions, and that its file system is not mounted noexec."
    ]
];

function compile(platform: Platform): string {
    return `${toolchain(platform.os)} ${rebuild}`;
}

export function explain(failures: readonly AddonFailure[], platform: Platform, override?: string): string {
    const present = failures.filter(({reason}) => reason !== missing);
    const system = `${platform.os} ${platform.arch}${platform.libc === undefined ? "" : ` ${platform.libc}`}`;
    const lines = failures.map(({path, reason}) => `  ${path}: ${reason}`);
    return [`No native addon of node-llama-mara could be loaded on ${system}. Tried:`, ...lines, advice()].join("\n");

    function advice(): string {
        if (override !== undefined)
            return `NODE_LLAMA_MARA_PREBUILD names ${override}. Unset it, or name a file that fits.`;
        // The last file is the one that came with the package. Its failure tells most.
        const last = present.at(-1);
        if (last === undefined) return `The package has no file for this system: compile it. ${compile(platform)}`;
        return (
            causes.find(([pattern]) => pattern.test(last.reason))?.[1](platform) ??
            `Compile it here. ${compile(platform)}`
        );
    }
}
