import {execFileSync} from "node:child_process";
import {existsSync, mkdirSync, statSync} from "node:fs";
import {tmpdir} from "node:os";
import {basename, join} from "node:path";
import {fileURLToPath} from "node:url";

/** Everything that the bench builds and writes for itself. */
export const scratchFolder = join(tmpdir(), "node-llama-mara-bench");

const benchFolder = fileURLToPath(new URL("..", import.meta.url));

/** Compiles a program of this folder, unless that was done since it changed. @throws Error with the compiler's words */
export function compile(path: string, flags: readonly string[]): string {
    const source = join(benchFolder, path);
    mkdirSync(scratchFolder, {recursive: true});
    const program = join(scratchFolder, basename(path, ".cpp"));
    if (existsSync(program) && statSync(program).mtimeMs > statSync(source).mtimeMs) return program;
    execFileSync(process.env.CXX ?? "g++", ["-std=c++20", ...flags, source, "-o", program, "-ldl", "-pthread"], {
        stdio: "pipe"
    });
    return program;
}

/** The Python that has torch: `MARA_BENCH_PYTHON`, or python3. @throws Error if the modules cannot be imported */
export function pythonWith(...modules: string[]): string {
    const python = process.env.MARA_BENCH_PYTHON ?? "python3";
    try {
        execFileSync(python, ["-c", `import ${modules.join(", ")}`], {stdio: "pipe"});
    } catch {
        throw new Error(`${modules.join(" and ")} cannot be imported by python3; MARA_BENCH_PYTHON can name another`);
    }
    return python;
}

export function benchFile(path: string): string {
    return join(benchFolder, path);
}

/** Installs a peer beside the bench, not into the project, if it is absent. */
export function installPeers(): void {
    const folder = join(benchFolder, "peers");
    if (existsSync(join(folder, "node_modules", "onnxruntime-node"))) return;
    execFileSync("npm", ["install", "--no-package-lock", "--no-audit", "--no-fund", "--prefix", folder], {
        stdio: "pipe",
        env: {...process.env, ONNXRUNTIME_NODE_INSTALL: "skip"}
    });
}

/** The folder of the CPU libraries that node-llama-cpp ships for this machine. @throws Error if there is none */
export function ggmlFolder(): string {
    const name = `${process.platform === "darwin" ? "mac" : process.platform}-${process.arch}`;
    const folder = join(benchFolder, "..", "node_modules", "@node-llama-cpp", name, "bins", name);
    if (!existsSync(join(folder, "libggml-base.so")))
        throw new Error(`node-llama-cpp ships no shared ggml libraries for ${name}`);
    return folder;
}

/** Adds what `make` gives, or the reason why it cannot. */
export function orSkip(name: string, skipped: Record<string, string>, make: () => void): void {
    try {
        make();
    } catch (error) {
        skipped[name] = (error as Error).message.split("\n")[0] as string;
    }
}
