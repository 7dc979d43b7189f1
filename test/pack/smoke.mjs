// Packs the package, installs the tarball into an empty project beside node-llama-cpp, and runs it there as a user would.
import {execFileSync} from "node:child_process";
import {cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {fileURLToPath} from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));
const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const project = mkdtempSync(path.join(tmpdir(), "mara-smoke-"));

function run(cwd, command, ...args) {
    const start = performance.now();
    const output = execFileSync(command, args, {cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"]});
    console.log(`  ${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${[command, ...args].join(" ")}`);
    return output;
}

function expect(condition, message) {
    if (!condition) throw new Error(`smoke test: ${message}`);
}

try {
    run(root, "npm", "run", "--silent", "prebuild:host");
    const [tarball] = JSON.parse(run(root, "npm", "pack", "--json", "--ignore-scripts", "--pack-destination", project));
    const paths = tarball.files.map((file) => file.path);
    expect(tarball.size <= 10 * 2 ** 20, `the tarball has ${tarball.size} bytes, more than 10 MiB`);
    for (const wanted of [
        "dist/index.js",
        "dist/index.d.ts",
        "dist/cli/mara.js",
        "demo/model.gguf",
        "demo/agent.safetensors"
    ])
        expect(paths.includes(wanted), `the tarball lacks ${wanted}`);
    expect(
        !paths.some((file) => /^(test|bench|node_modules|build)\//.test(file)),
        "the tarball holds development files"
    );

    const llama = `node-llama-cpp@${manifest.devDependencies["node-llama-cpp"]}`;
    writeFileSync(path.join(project, "package.json"), JSON.stringify({name: "smoke", private: true, type: "module"}));
    run(project, "npm", "install", "--no-audit", "--no-fund", path.join(project, tarball.filename), llama);

    // The README's drop-in example, word for word, with the demo pair under the names it uses.
    const installed = path.join(project, "node_modules", "node-llama-mara");
    cpSync(path.join(installed, "demo", "model.gguf"), path.join(project, "model.gguf"));
    cpSync(path.join(installed, "demo", "agent.safetensors"), path.join(project, "agent.safetensors"));
    const example = /```js\n([\s\S]*?)```/.exec(readFileSync(path.join(installed, "README.md"), "utf8"))?.[1];
    expect(example?.includes("createAlignedContext"), "the README has no drop-in example");
    writeFileSync(path.join(project, "example.js"), example);
    expect(run(project, "node", "example.js").trim().length > 0, "the drop-in example printed nothing");

    const doctor = JSON.parse(run(project, "npx", "mara", "doctor", "--json"));
    expect(doctor.mode === "lanes", `mara doctor reports mode ${doctor.mode}, not lanes`);
    const demo = JSON.parse(run(project, "npx", "mara", "demo", "--json", "--prompts", "40"));
    expect(demo.prompts === 40, "mara demo --json does not report its 40 prompts");
    console.log("smoke test passed");
} finally {
    rmSync(project, {recursive: true, force: true});
}
