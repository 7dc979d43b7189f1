// Clients of mara serve that are too large for every installation, and the tests that run them: npm run clients. --install NAME... only
// fetches those.
import {spawnSync} from "node:child_process";
import {existsSync, mkdirSync} from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const pythons = {"lm-eval": ["lm-eval[api]==0.4.13"], schemathesis: ["schemathesis==4.32.5", "hypothesis==6.170.17"]};
const npms = {promptfoo: ["promptfoo@0.121.20"]};

function run(command, ...args) {
    const {status, error} = spawnSync(command, args, {cwd: root, stdio: ["ignore", "inherit", "inherit"]});
    if (error) throw error;
    if (status !== 0) process.exit(status ?? 1);
}

const at = process.argv.indexOf("--install");
const all = [...Object.keys(pythons), ...Object.keys(npms)];
for (const name of at < 0 ? all : process.argv.slice(at + 1)) {
    const folder = path.join(root, ".test-models", name);
    if (name in npms) {
        mkdirSync(folder, {recursive: true});
        // Its database has its binary in a package that is optional, as are hundreds of megabytes that nothing here needs.
        const database = `@libsql/${process.platform}-${process.arch}${process.platform === "linux" ? "-gnu" : ""}@0.5.29`;
        const quiet = [
            "--ignore-scripts",
            "--omit=optional",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--loglevel=error"
        ];
        run("npm", "install", "--prefix", folder, ...quiet, ...npms[name], database);
        continue;
    }
    const python = path.join(folder, "bin", "python");
    if (!existsSync(python)) run("python3", "-m", "venv", folder);
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...pythons[name]);
}
if (at < 0) run(process.execPath, path.join(root, "node_modules", "vitest", "vitest.mjs"), "run", "test/clients");
