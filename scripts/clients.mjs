// Clients of mara serve that are not npm's, and the tests that run them: npm run clients. --install NAME... only fetches those.
import {spawnSync} from "node:child_process";
import {existsSync} from "node:fs";
import path from "node:path";

const root = path.resolve(import.meta.dirname, "..");
const packages = {"lm-eval": ["lm-eval[api]==0.4.13"], schemathesis: ["schemathesis==4.32.5", "hypothesis==6.170.17"]};

function run(command, ...args) {
    const {status, error} = spawnSync(command, args, {cwd: root, stdio: ["ignore", "inherit", "inherit"]});
    if (error) throw error;
    if (status !== 0) process.exit(status ?? 1);
}

const at = process.argv.indexOf("--install");
for (const name of at < 0 ? Object.keys(packages) : process.argv.slice(at + 1)) {
    const folder = path.join(root, ".test-models", name);
    const python = path.join(folder, "bin", "python");
    if (!existsSync(python)) run("python3", "-m", "venv", folder);
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", ...packages[name]);
}
if (at < 0) run(process.execPath, path.join(root, "node_modules", "vitest", "vitest.mjs"), "run", "test/clients");
