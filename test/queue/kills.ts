/**
 * `npm run kills -- --kills 30`: trains by two workers, of which one is killed at a random moment again and again, and compares with a run
 * that had none of this. Prints what happened; the exit code is 1 where the runs differ.
 */
import {type ChildProcess, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {dirname, join} from "node:path";
import {parseArgs} from "node:util";
import {demoModelPath} from "../../lib/demo/files.js";
import {loadPrompts, trainAgent} from "../../lib/index.js";
import {seededRandom} from "../support/random.js";
import {TestRedis} from "./redis.js";

const {values} = parseArgs({
    options: {kills: {type: "string", default: "30"}, seed: {type: "string", default: "1"}}
});
const kills = Number(values.kills);
const random = seededRandom(Number(values.seed));
const folder = mkdtempSync(join(tmpdir(), "mara-kills-"));
const redis = await TestRedis.start();
const mara = join(import.meta.dirname, "../../lib/cli/mara.ts");
const base = {
    model: demoModelPath,
    prompts: (await loadPrompts("demo")).slice(0, 40),
    reward: "length:60 characters",
    ...{
        preset: "small" as const,
        episodes: 160,
        maxTokens: 24,
        sequences: 4,
        learnAfter: 200,
        batchSize: 64,
        hidden1: 32
    },
    ...{hidden2: 8, student: false, threads: 1, checkPrompts: 0}
} as const;

async function startWorker(): Promise<ChildProcess> {
    const options = ["--models", dirname(demoModelPath), "--gpu", "off", "--threads", "1", "--lock", "3"];
    const child = spawn(process.execPath, ["--import", "tsx", mara, "worker", ...options], {
        env: {...process.env, MARA_QUEUE: redis.url},
        stdio: ["ignore", "ignore", "pipe"]
    });
    await once(child.stderr, "data");
    child.stderr.resume();
    return child;
}

const outcome = (run: string) =>
    readFileSync(join(run, "agent.safetensors")).toString("base64") + readFileSync(join(run, "samples.jsonl"), "utf8");

const workers = [await startWorker(), await startWorker()];
let killed = 0;
let differing = 0;
let runs = 0;
const start = performance.now();
for (let seed = 1; killed < kills; seed++) {
    const [local, remote] = [join(folder, `local-${seed}`), join(folder, `remote-${seed}`)];
    await trainAgent({...base, seed, runDirectory: local});
    let over = false;
    const kill = async () => {
        while (!over && killed < kills) {
            await new Promise((resolve) => setTimeout(resolve, 200 + 2000 * random.uniform()));
            if (over) return;
            const i = random.integer(0, 1);
            workers[i]?.kill("SIGKILL");
            killed++;
            workers[i] = await startWorker();
        }
    };
    const killing = kill();
    await trainAgent({...base, seed, runDirectory: remote, queue: redis.url});
    over = true;
    await killing;
    runs++;
    const same = outcome(local) === outcome(remote);
    if (!same) differing++;
    console.log(`run ${seed}: ${killed} workers killed so far, ${same ? "the same bits" : "DIFFERENT"}`);
}
const seconds = Math.round((performance.now() - start) / 1000);
console.log(`${killed} workers killed over ${runs} runs of 160 episodes in ${seconds} s; ${differing} runs differ`);
for (const worker of workers) worker.kill("SIGKILL");
await redis.close();
rmSync(folder, {recursive: true});
process.exitCode = differing === 0 ? 0 : 1;
