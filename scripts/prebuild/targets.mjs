// Every file that the package carries: what it is for, how it is made here, and what it must be.

/**
 * The needs of Node 20's own Linux binaries, x64 and arm64, read with `objdump -T`: any system that runs them meets these.
 * (The libstdc++ limits bind only files that link it, which zig's do not.)
 */
export const floors = {GLIBC: "2.28", GLIBCXX: "3.4.21", CXXABI: "1.3.9"};

/** N-API version: no file may import a function of a later one. */
export const napiVersion = 8;

const glibc = [
    "libc.so.6",
    "libm.so.6",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "libstdc++.so.6",
    "libgcc_s.so.1"
];

export const targets = [
    {
        name: "linux-x64-glibc",
        path: "linux-x64/node-llama-mara.glibc.node",
        zig: "x86_64-linux-gnu.2.28",
        file: /ELF 64-bit LSB shared object, x86-64.*, stripped/,
        libraries: [...glibc, "ld-linux-x86-64.so.2"]
    },
    {
        name: "linux-x64-musl",
        path: "linux-x64/node-llama-mara.musl.node",
        zig: "x86_64-linux-musl",
        file: /ELF 64-bit LSB shared object, x86-64.*, stripped/,
        libraries: ["libc.so"]
    },
    {
        name: "linux-arm64-glibc",
        path: "linux-arm64/node-llama-mara.glibc.node",
        zig: "aarch64-linux-gnu.2.28",
        file: /ELF 64-bit LSB shared object, ARM aarch64.*, stripped/,
        libraries: [...glibc, "ld-linux-aarch64.so.1"]
    },
    {
        name: "win32-x64",
        path: "win32-x64/node-llama-mara.node",
        zig: "x86_64-windows-gnu",
        file: /PE32\+ executable.*x86-64/,
        libraries: ["node.exe", "kernel32.dll", /^api-ms-win-crt-/]
    },
    {name: "darwin-arm64", path: "darwin-arm64/node-llama-mara.node", file: /Mach-O 64-bit .*arm64/},
    {name: "darwin-x64", path: "darwin-x64/node-llama-mara.node", file: /Mach-O 64-bit .*x86_64/},
    {
        name: "linux-x64-cuda",
        path: "linux-x64/cuda/node-llama-mara.glibc.node",
        cuda: true,
        zig: "x86_64-linux-gnu.2.28",
        file: /ELF 64-bit LSB shared object, x86-64.*, stripped/,
        libraries: [...glibc, "ld-linux-x86-64.so.2"]
    }
].map((target) => {
    const [platform, arch, variant] = target.name.split("-");
    return {
        ...target,
        platform,
        arch,
        libc: platform === "linux" && variant === "musl" ? "musl" : platform === "linux" ? "glibc" : undefined
    };
});

/** The target that fits the machine this runs on. */
export function hostTarget() {
    const libc = process.platform !== "linux" ? "" : isGlibc() ? "-glibc" : "-musl";
    return targets.find(({name}) => name === `${process.platform}-${process.arch}${libc}`);
}

function isGlibc() {
    return process.report.getReport().header.glibcVersionRuntime !== undefined;
}
