/** Where the addon may lie: which files fit this process, best first. */
import {join} from "node:path";

export interface AddonFile {
    path: string;
    /** `override`: named by NODE_LLAMA_MARA_PREBUILD. */
    origin: "prebuilt" | "built" | "override";
    /** Holds the CUDA kernel beside everything else; of use only where a device answers. */
    cuda: boolean;
}

export interface AddonFailure extends AddonFile {
    reason: string;
}

/** This failure is not worth a complaint once another file works. */
export const missing = "there is no such file";

export interface Platform {
    os: string;
    arch: string;
    /** Linux only. */
    libc?: "glibc" | "musl";
    /** Version of the glibc in use. */
    glibc?: string;
}

export function thisPlatform(): Platform {
    const {platform: os, arch} = process;
    if (os !== "linux") return {os, arch};
    const {header} = process.report.getReport() as {header: {glibcVersionRuntime?: string}};
    const glibc = header.glibcVersionRuntime;
    return glibc === undefined ? {os, arch, libc: "musl"} : {os, arch, libc: "glibc", glibc};
}

/**
 * The files to try in `root`, the package's folder: with CUDA, then without; each time the file compiled there, then the one that it came with.
 * `override` (NODE_LLAMA_MARA_PREBUILD), a `.node` file or a folder laid out like the package, replaces them all.
 */
export function addonFiles(root: string, {os, arch, libc}: Platform, override?: string): AddonFile[] {
    if (override?.endsWith(".node")) return [{path: override, origin: "override", cuda: false}];
    const folder = override ?? root;
    const name = libc === undefined ? "node-llama-mara.node" : `node-llama-mara.${libc}.node`;
    const prebuilds = join(folder, "prebuilds", `${os}-${arch}`);
    const file = (path: string, origin: "prebuilt" | "built", cuda: boolean): AddonFile => ({
        path,
        origin: override === undefined ? origin : "override",
        cuda
    });
    return [
        file(join(folder, "build-cuda", "Release", "mara.node"), "built", true),
        file(join(prebuilds, "cuda", name), "prebuilt", true),
        file(join(folder, "build", "Release", "mara.node"), "built", false),
        file(join(prebuilds, name), "prebuilt", false)
    ];
}
