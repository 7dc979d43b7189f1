/**
 * `npm run fuzz -- --minutes N [--target NAME] [--seed S]`: each target in a process of its own, so that a crash or a hang leaves its input
 * in `findings/`. Inputs with new outcomes are added to `corpus/`.
 */
import {type ChildProcess, fork} from "node:child_process";
import {createHash} from "node:crypto";
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";
import {Finding, type FuzzReport, fuzz} from "./fuzz.js";
import {corpusFolder, findingsFolder, fuzzTargets} from "./target.js";

const silenceMs = 30_000;
/** The corpus is in git: many small files help, many large ones do not. */
const limits = {files: 64, bytes: 4096};

const {values} = parseArgs({
    options: {
        minutes: {type: "string", default: "1"},
        target: {type: "string"},
        seed: {type: "string"},
        child: {type: "string"}
    }
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const seconds = Number(values.minutes) * 60;
if (values.child === undefined) await runAll();
else await runOne(values.target as string, values.child);

async function runAll(): Promise<void> {
    const targets = (await fuzzTargets()).filter(({name}) => values.target === undefined || name === values.target);
    if (targets.length === 0 || !(seconds > 0)) {
        console.error("Usage: npm run fuzz -- --minutes N [--target NAME] [--seed S]");
        process.exit(2);
    }
    for (const {name} of targets) {
        const folder = mkdtempSync(join(tmpdir(), "mara-fuzz-"));
        const current = join(folder, "current");
        const args = ["--target", name, "--child", current, "--seed", `${seed}`];
        args.push("--minutes", `${seconds / 60 / targets.length}`);
        const child = fork(fileURLToPath(import.meta.url), args, {execArgv: ["--import", "tsx"]});
        const failure = await ended(child);
        if (failure !== undefined) {
            const kept = join(findingsFolder, `${name}-${seed}`);
            // A child that fails before its first input has written none.
            if (existsSync(current)) {
                mkdirSync(findingsFolder, {recursive: true});
                copyFileSync(current, kept);
            }
            console.error(
                `${name}: ${failure}; ${existsSync(current) ? `its input is in ${kept}` : "it had no input yet"}`
            );
            process.exitCode = 1;
        }
        rmSync(folder, {recursive: true});
    }
}

/** Resolves when the process has ended: with what went wrong, or undefined. */
function ended(child: ChildProcess): Promise<string | undefined> {
    return new Promise((resolve) => {
        let silent = false;
        const kill = () => {
            silent = true;
            child.kill("SIGKILL");
        };
        let timer = setTimeout(kill, silenceMs);
        child.on("message", () => {
            clearTimeout(timer);
            timer = setTimeout(kill, silenceMs);
        });
        child.on("exit", (code, signal) => {
            clearTimeout(timer);
            if (silent) resolve(`no sign of life for ${silenceMs / 1000} s`);
            else resolve(code === 0 ? undefined : `ended by ${signal ?? `exit code ${code}`}`);
        });
    });
}

async function runOne(name: string, current: string): Promise<void> {
    const target = (await fuzzTargets()).find((candidate) => candidate.name === name);
    if (target === undefined) throw new Error(`There is no target ${name}`);
    const corpus = corpusFolder(name);
    mkdirSync(corpus, {recursive: true});
    let files = readdirSync(corpus).length;
    const life = setInterval(() => process.send?.("alive"), 1000);
    try {
        const report = await fuzz(target, {
            seconds,
            seed,
            onInput: (input) => writeFileSync(current, input),
            onNew: (input) => {
                if (input.length > limits.bytes || files >= limits.files) return;
                const hash = createHash("sha256").update(input).digest("hex").slice(0, 16);
                writeFileSync(join(corpus, hash), input);
                files++;
            }
        });
        printReport(name, report);
    } catch (error) {
        if (!(error instanceof Finding)) throw error;
        console.error(error.message, error.cause ?? "");
        process.exitCode = 1;
    } finally {
        clearInterval(life);
        process.disconnect?.();
    }
}

function printReport(name: string, {runs, outcomes, kinds, slowestMs}: FuzzReport): void {
    const counts = Object.entries(outcomes).map(([outcome, count]) => `${outcome} ${count}`);
    const peak = Math.round(process.resourceUsage().maxRSS / 1024);
    console.log(
        `${name}, seed ${seed}: ${runs} inputs, ${kinds} kinds of outcome; slowest ${Math.round(slowestMs)} ms, peak ${peak} MB`
    );
    console.log(`  ${counts.join(", ")}`);
}
