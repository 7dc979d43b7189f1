/**
 * `npm run compat`: installs each release of node-llama-cpp in turn, with its stock binaries, tries what works on it, and writes
 * docs/compatibility.md. Arguments: versions (default: all below); `--tests` also runs the hook's test suites on each, which
 * takes minutes per version; `--keep FOLDER` keeps the installations there for the next time.
 */
import {spawn} from "node:child_process";
import {existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {tmpdir} from "node:os";
import path from "node:path";
import {fileURLToPath, pathToFileURL} from "node:url";
import {parseArgs} from "node:util";
import {writeMarkedTable} from "../support/marked-table.js";
import type {ModeOutcome, Outcome} from "./check.js";

/** The newest two, and what the registry has of the previous minors back to 3.18. */
const releases = ["3.22.1", "3.22.0", "3.21.1", "3.20.0", "3.19.1", "3.19.0", "3.18.1", "3.18.0"];
const suites = ["test/align", "test/sameness"];
const root = fileURLToPath(new URL("../..", import.meta.url));
const page = path.join(root, "docs", "compatibility.md");

const {positionals, values} = parseArgs({
    allowPositionals: true,
    options: {tests: {type: "boolean", default: false}, keep: {type: "string"}}
});
const versions = positionals.length > 0 ? positionals : releases;
const folder = values.keep === undefined ? mkdtempSync(path.join(tmpdir(), "mara-compat-")) : path.resolve(values.keep);
const rows: Row[] = [];
let failed = false;
try {
    for (const version of versions) {
        const entry = await install(version);
        const outcome = await check(entry);
        const tests = values.tests ? await runSuites(entry) : undefined;
        const row = toRow(version, outcome, tests);
        rows.push(row);
        failed ||= row.failed;
        console.log([row.version, row.llamaCpp, row.lanes, row.serial, row.auto, row.tests].join(" | "));
        for (const warning of outcome.warnings) console.log(`  ${warning}`);
    }
} finally {
    if (values.keep === undefined) rmSync(folder, {recursive: true, force: true});
}
if (positionals.length === 0) writeTable(rows);
if (failed) process.exitCode = 1;

interface Row {
    version: string;
    llamaCpp: string;
    lanes: string;
    serial: string;
    auto: string;
    tests: string;
    failed: boolean;
}

/** Gives the release's entry file. Binaries for this machine's CPU only: the others are downloads of hundreds of megabytes. */
async function install(version: string): Promise<string> {
    const home = path.join(folder, version);
    const entry = path.join(home, "node_modules", "node-llama-cpp", "dist", "index.js");
    if (existsSync(entry)) return entry;
    mkdirSync(home, {recursive: true});
    writeFileSync(path.join(home, "package.json"), JSON.stringify({private: true}));
    const binaries = `@node-llama-cpp/${binaryName()}@${version}`;
    const options = [
        "--ignore-scripts",
        "--omit=optional",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
        "--save-exact"
    ];
    const {code, output} = await run("npm", ["install", ...options, `node-llama-cpp@${version}`, binaries], home);
    if (code !== 0) throw new Error(`npm could not install node-llama-cpp ${version}:\n${output}`);
    return entry;
}

function binaryName(): string {
    const {platform, arch} = process;
    if (platform === "darwin") return arch === "arm64" ? "mac-arm64-metal" : "mac-x64";
    return `${platform === "win32" ? "win" : "linux"}-${arch}`;
}

async function check(entry: string): Promise<Outcome> {
    const script = path.join(import.meta.dirname, "check.ts");
    const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
    const {code, output, stdout} = await run(process.execPath, ["--import", tsx, script, entry], root);
    if (code !== 0) throw new Error(`The check of ${entry} ended with ${code}:\n${output}`);
    return JSON.parse(stdout) as Outcome;
}

interface SuiteOutcome {
    numPassedTests: number;
    numFailedTests: number;
    testResults: {assertionResults: {status: string; fullName: string}[]}[];
}

async function runSuites(entry: string): Promise<SuiteOutcome> {
    const report = path.join(folder, "tests.json");
    const options = ["run", "--reporter=json", `--outputFile=${report}`];
    const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs");
    await run(process.execPath, [vitest, ...options, ...suites], root, {MARA_NODE_LLAMA_CPP: entry});
    const outcome = JSON.parse(readFileSync(report, "utf8")) as SuiteOutcome;
    for (const {assertionResults} of outcome.testResults)
        for (const {status, fullName} of assertionResults)
            if (status === "failed") console.log(`  failed: ${fullName}`);
    return outcome;
}

function toRow(version: string, outcome: Outcome, tests: SuiteOutcome | undefined): Row {
    const {lanes, serial, auto} = outcome;
    const same = JSON.stringify(lanes.aligned) === JSON.stringify(serial.aligned) && (lanes.rejections ?? 0) > 0;
    const total = tests === undefined ? 0 : tests.numPassedTests + tests.numFailedTests;
    return {
        version: outcome.version,
        llamaCpp: outcome.llamaCpp,
        lanes: verdict(lanes, same),
        serial: verdict(serial, true),
        auto,
        tests: tests === undefined ? "" : `${tests.numPassedTests} of ${total}`,
        failed: version !== outcome.version || !works(serial) || (lanes.error === undefined && !(works(lanes) && same))
    };
}

/** One decode per token at most: a token that had no rival is decoded with what follows it, if anything does. */
function works({sameAsPlain, tokens = 0, decodes = 0}: ModeOutcome): boolean {
    return sameAsPlain === true && tokens > 0 && decodes <= tokens && decodes > 0.8 * tokens;
}

function verdict(outcome: ModeOutcome, same: boolean): string {
    if (outcome.error !== undefined) return outcome.error.startsWith("LANES_UNAVAILABLE") ? "refused" : "fails";
    const counts = `${outcome.decodes} decodes for ${outcome.tokens} tokens`;
    if (!outcome.sameAsPlain) return `other text than plain generation, ${counts}`;
    return same ? `works, ${counts}` : `other text than serial, ${counts}`;
}

/** Puts the table between the marks of docs/compatibility.md. */
function writeTable(rows: readonly Row[]): void {
    const hasTests = rows.every(({tests}) => tests !== "");
    const head = [
        "node-llama-cpp",
        "llama.cpp",
        "Lanes",
        "Serial",
        '`mode: "auto"`',
        ...(hasTests ? ["Tests passed"] : [])
    ];
    const cells = rows.map((row) => [
        row.version,
        row.llamaCpp,
        row.lanes,
        row.serial,
        row.auto,
        ...(hasTests ? [row.tests] : [])
    ]);
    writeMarkedTable(page, "table", [head, ...cells]);
}

function run(
    command: string,
    args: string[],
    cwd: string,
    env: Record<string, string> = {}
): Promise<{code: number | null; stdout: string; output: string}> {
    return new Promise((resolve, reject) => {
        const child = spawn(command, args, {cwd, env: {...process.env, ...env}, shell: process.platform === "win32"});
        let stdout = "";
        let output = "";
        child.stdout.on("data", (chunk) => {
            stdout += chunk;
            output += chunk;
        });
        child.stderr.on("data", (chunk) => {
            output += chunk;
        });
        child.on("error", reject);
        child.on("close", (code) => resolve({code, stdout, output}));
    });
}
