/** The parts of the package that users see besides its functions: printed objects, types, warnings, and a bundler's output. */
import {execFile} from "node:child_process";
import {mkdirSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {inspect, promisify} from "node:util";
import {build} from "esbuild";
import {getLlama, type Llama, LlamaLogLevel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {createAlignedContext, MaraAgent} from "../lib/index.js";
import {root, temporaryFolder} from "./cli/helpers.js";
import {writeTinyModel} from "./support/tiny-model.js";

const run = promisify(execFile);
const folder = temporaryFolder();
const golden = join(root, "test/golden/w64.agent.safetensors");

describe("A bundle by esbuild", () => {
    // Deep enough that no relative path of the package leads anywhere, and below node-llama-cpp, which stays outside the bundle.
    const program = join(root, "build", "test", "bundle", "here", "bundle.mjs");
    const source = `
        import {MaraAgent} from ${JSON.stringify(join(root, "lib/index.ts"))};
        const agent = await MaraAgent.load(${JSON.stringify(golden)}).catch(({code, message}) => ({code, message}));
        console.log(JSON.stringify(agent.code ? agent : [...agent.score(new Float32Array(64))]));`;

    beforeAll(async () => {
        await build({
            stdin: {contents: source, resolveDir: root, loader: "ts"},
            bundle: true,
            platform: "node",
            format: "esm",
            // Dependencies that are CommonJS ask for Node's own modules (docs/bundlers.md).
            banner: {
                js: 'import {createRequire as requireFrom} from "node:module"; const require = requireFrom(import.meta.url);'
            },
            outfile: program,
            external: ["node-llama-cpp"],
            logLevel: "silent"
        });
    });

    it.each([root, "."])("works where NODE_LLAMA_MARA_PREBUILD names the package's folder: %s", async (named) => {
        const env = {...process.env, NODE_LLAMA_MARA_PREBUILD: named};
        const {stdout} = await run(process.execPath, [program], {env, cwd: root});
        const agent = await MaraAgent.load(golden);
        expect(JSON.parse(stdout)).toEqual([...agent.score(new Float32Array(64))]);
        agent.dispose();
    });

    it("says that the addon is missing where nothing names it", async () => {
        const {NODE_LLAMA_MARA_PREBUILD: _, ...env} = process.env;
        const {stdout} = await run(process.execPath, [program], {env});
        expect(JSON.parse(stdout)).toMatchObject({
            code: "NATIVE_ADDON",
            message: expect.stringContaining("Then run: npm rebuild node-llama-mara")
        });
    });
});

describe("The declared types", () => {
    it("hold nothing internal, and are whole without skipLibCheck", async () => {
        const out = join(root, "build", "types");
        mkdirSync(out, {recursive: true});
        const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
        const emit = ["-p", "tsconfig.build.json", "--emitDeclarationOnly", "--outDir", out];
        await run(process.execPath, [tsc, ...emit], {cwd: root});
        for (const file of ["agent/agent.d.ts", "align/aligner.d.ts"])
            expect(readFileSync(join(out, file), "utf8"), file).not.toMatch(
                /@internal|^ {4}(?:get )?_\w+[(:]|inspect/m
            );
        writeFileSync(join(out, "use.mts"), 'import * as mara from "./index.js";\nexport const {MaraAgent} = mara;\n');
        const options = [
            "--module",
            "nodenext",
            "--target",
            "es2023",
            "--strict",
            "--noEmit",
            "--skipLibCheck",
            "false"
        ];
        // node-llama-cpp's own types are not whole.
        const {stdout} = await run(
            process.execPath,
            [tsc, ...options, "--types", "node", "--ignoreConfig", join(out, "use.mts")],
            {cwd: root}
        ).catch((error: {stdout: string}) => error);
        expect(stdout.split("\n").filter((line) => line.startsWith("build/"))).toEqual([]);
    });
});

describe("In a context", () => {
    const messages: string[] = [];
    let llama: Llama;
    let agent: MaraAgent;

    beforeAll(async () => {
        const logger = (_: LlamaLogLevel, message: string) => void messages.push(message);
        llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.warn, logger});
        agent = await MaraAgent.load(golden);
    });
    afterAll(async () => {
        await llama.dispose();
        agent.dispose();
    });

    it("llama.cpp warns of the training context only where a sequence is beyond it", async () => {
        const model = await llama.loadModel({modelPath: writeTinyModel({trainContext: 256})});
        const warnings = async (contextSize: number) => {
            messages.length = 0;
            const {logger} = llama;
            const {context} = await createAlignedContext(model, {agent, contextSize, threads: 1, mode: "lanes"});
            await context.dispose();
            expect(llama.logger).toBe(logger);
            return messages.filter((message) => message.includes("training context overflow")).length;
        };
        expect(await warnings(256)).toBe(0);
        expect(await warnings(512)).toBe(1);
        await model.dispose();
    });

    it("an agent and an aligner print themselves in one line", async () => {
        const model = await llama.loadModel({modelPath: writeTinyModel()});
        const {context, aligner} = await createAlignedContext(model, {agent, contextSize: 256, threads: 1});
        expect(inspect({agent, aligner}, {breakLength: 1000})).toMatch(
            /^\{ agent: MaraAgent \{64 → \d+ → \d+ → 2, [\d,]+ parameters, \w+ weights on [\w-]+\}, aligner: Aligner \{enabled, lanes mode, agent of width 64, threshold 0\.5, strategy "first"\} \}$/
        );
        await context.dispose();
        expect(inspect(aligner)).toContain("Aligner {disposed");
    });
});

describe("prebuild:host", () => {
    it.skipIf(process.platform === "win32")("finds zig in the virtual environment that is active", async () => {
        const bin = join(folder, "venv", "bin");
        mkdirSync(bin, {recursive: true});
        writeFileSync(join(bin, "python"), '#!/bin/sh\n[ "$*" = "-m ziglang version" ]\n', {mode: 0o755});
        const code = 'import("./scripts/prebuild/zig.mjs").then(({findZig}) => console.log(findZig()))';
        const env = {PATH: "/nowhere", VIRTUAL_ENV: join(folder, "venv")};
        const {stdout} = await run(process.execPath, ["-e", code], {cwd: root, env});
        expect(stdout.trim()).toBe(`${join(bin, "python")} -m ziglang`);
    });

    it.skipIf(process.platform === "win32")(
        "names zig's Python by its path, since node-gyp changes the PATH",
        async () => {
            const bin = join(folder, "bin");
            mkdirSync(bin, {recursive: true});
            const script = `#!/bin/sh\nif [ "$1" = -c ]; then echo ${join(bin, "python3")}; else [ "$*" = "-m ziglang version" ]; fi\n`;
            writeFileSync(join(bin, "python3"), script, {mode: 0o755});
            const code = 'import("./scripts/prebuild/zig.mjs").then(({findZig}) => console.log(findZig()))';
            const {stdout} = await run(process.execPath, ["-e", code], {cwd: root, env: {PATH: bin}});
            expect(stdout.trim()).toBe(`${join(bin, "python3")} -m ziglang`);
        }
    );
});
