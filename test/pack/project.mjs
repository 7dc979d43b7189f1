// An empty project with the packed package in it, on a PATH without compilers.
import {execFileSync, spawnSync} from "node:child_process";
import {cpSync, mkdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync} from "node:fs";
import path from "node:path";
import {fileURLToPath} from "node:url";

const programs = fileURLToPath(new URL("programs", import.meta.url));
/** All that npm, npx and node-llama-cpp's install step call besides node. */
const tools = ["sh", "env", "uname", "ldd"];
const compilers = ["c++", "g++", "gcc", "cc", "clang++", "make", "cmake", "python3", "python", "node-gyp", "zig"];

export function expect(condition, message) {
    if (!condition) throw new Error(`smoke test: ${message}`);
}

export class Project {
    #folder;
    #env;

    /** @param node the node program to use */
    constructor(folder, node) {
        this.#folder = folder;
        const bin = path.join(folder, "bin");
        mkdirSync(bin, {recursive: true});
        const which = (name) => execFileSync("sh", ["-c", `command -v ${name} || true`], {encoding: "utf8"}).trim();
        for (const name of ["npm", "npx"]) symlinkSync(realpathSync(which(name)), path.join(bin, name));
        for (const name of tools) if (which(name) !== "") symlinkSync(which(name), path.join(bin, name));
        symlinkSync(node, path.join(bin, "node"));
        const {HOME, TMPDIR} = process.env;
        // npm's own settings (registry, cache, certificates), but nothing that steers the package.
        const settings = Object.entries(process.env).filter(([name]) =>
            /^(npm_config_|NODE_EXTRA_CA_CERTS|https?_proxy|no_proxy)/i.test(name)
        );
        this.#env = {...Object.fromEntries(settings), HOME, ...(TMPDIR && {TMPDIR}), PATH: bin};
        delete this.#env.npm_config_nodedir;
        for (const name of compilers)
            expect(spawnSync(name, ["--version"], {env: this.#env}).error?.code === "ENOENT", `${name} is not hidden`);
        writeFileSync(
            path.join(folder, "package.json"),
            JSON.stringify({name: "smoke", private: true, type: "module"})
        );
    }

    install(...args) {
        this.run("npm", "install", "--no-audit", "--no-fund", "--prefer-offline", ...args);
        const installed = path.join(this.#folder, "node_modules", "node-llama-mara");
        // The README's drop-in example, word for word, with the demo pair under the names it uses.
        for (const name of ["model.gguf", "agent.safetensors"])
            cpSync(path.join(installed, "demo", name), path.join(this.#folder, name));
        const example = /```js\n([\s\S]*?)```/.exec(readFileSync(path.join(installed, "README.md"), "utf8"))?.[1];
        expect(example?.includes("createAlignedContext"), "the README has no drop-in example");
        writeFileSync(path.join(this.#folder, "example.js"), example);
        cpSync(programs, this.#folder, {recursive: true});
    }

    run(command, ...args) {
        const start = performance.now();
        const {status, signal, stdout, stderr} = spawnSync(path.join(this.#folder, "bin", command), args, {
            cwd: this.#folder,
            env: this.#env,
            encoding: "utf8",
            timeout: 900_000
        });
        const words = [command, ...args].join(" ").replaceAll(this.#folder, ".");
        console.log(`  ${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${words}`);
        process.stderr.write(stderr);
        expect(status === 0, `${words} ended with ${status ?? signal}`);
        // llama.cpp's abort at the very end can come too late for the exit code.
        expect(!stderr.includes("libggml"), `${words} was aborted by llama.cpp`);
        return stdout;
    }

    remove() {
        rmSync(this.#folder, {recursive: true, force: true});
    }
}
