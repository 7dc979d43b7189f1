// node test/pack/try.mjs [--agent-only]: installs the tarball that lies in the working directory into an empty project, beside
// node-llama-cpp from the registry, and runs it. --agent-only leaves node-llama-cpp out, where it has no binaries (musl): the addon must
// load and score. It needs nothing of this repository installed.
import {execFileSync} from "node:child_process";
import {mkdtempSync, readdirSync, readFileSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";

const agentOnly = process.argv.includes("--agent-only");
const [file, ...others] = readdirSync(".").filter((name) => /^node-llama-mara-.*\.tgz$/.test(name));
if (file === undefined || others.length > 0)
    throw new Error("Expected one node-llama-mara-*.tgz in the working directory");
const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const cwd = mkdtempSync(path.join(tmpdir(), "mara-try-"));
const npm = (...args) => run(process.platform === "win32" ? "npm.cmd" : "npm", ...args);
const llama = agentOnly ? [] : [`node-llama-cpp@${manifest.devDependencies["node-llama-cpp"]}`];

writeFileSync(path.join(cwd, "package.json"), '{"private": true, "type": "module"}');
writeFileSync(
    path.join(cwd, "agent.mjs"),
    `import {MaraAgent} from "node-llama-mara";
const agent = await MaraAgent.load("node_modules/node-llama-mara/demo/agent.safetensors");
const [accept] = agent.score(new Float32Array(agent.width).fill(0.5));
if (!(accept >= 0 && accept <= 1)) throw new Error(\`The agent scores \${accept}\`);
console.log(agent.kernel, accept);`
);
npm("install", "--no-audit", "--no-fund", ...(agentOnly ? ["--legacy-peer-deps"] : []), path.resolve(file), ...llama);
console.log(run(process.execPath, "agent.mjs"));
if (!agentOnly) {
    const mara = path.join("node_modules", "node-llama-mara", manifest.bin.mara);
    const doctor = JSON.parse(run(process.execPath, mara, "doctor", "--gpu", "off", "--json"));
    console.log(JSON.stringify(doctor, undefined, 2));
    if (!doctor.ok || doctor.addon.origin !== "prebuilt") throw new Error("mara doctor is not content");
    const demo = JSON.parse(run(process.execPath, mara, "demo", "--json", "--prompts", "10"));
    if (demo.prompts !== 10) throw new Error("mara demo --json does not report its 10 prompts");
}

function run(command, ...args) {
    return execFileSync(command, args, {cwd, encoding: "utf8", shell: command.endsWith(".cmd")});
}
