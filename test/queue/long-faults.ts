/**
 * Faults that take longer than a test may, each on runs by two workers that are compared, bit for bit, with runs that had none:
 * `npm run faults -- --kills 30` kills workers at random moments, `--outage 60` keeps everything from the network for so many seconds,
 * `--slow 10` lets one worker run for a tenth of the time, and counts jobs. Prints what happened; the exit code is 1 where runs differ.
 */
import {type ChildProcess, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {dirname, join} from "node:path";
import {setTimeout as wait} from "node:timers/promises";
import {parseArgs} from "node:util";
import {demoModelPath} from "../../lib/demo/files.js";
import {loadPrompts, type TrainProgress, trainAgent} from "../../lib/index.js";
import {StatusReader} from "../../lib/queue/status.js";
import {seededRandom} from "../support/random.js";
import {TestRedis} from "./redis.js";

const number = (byDefault: string) => ({type: "string", default: byDefault}) as const;
const {values} = parseArgs({
    options: {kills: number("0"), outage: number("0"), slow: number("0"), seed: number("1")}
});
const [kills, outage, slow] = [Number(values.kills), Number(values.outage), Number(values.slow)];
const random = seededRandom(Number(values.seed));
const folder = mkdtempSync(join(tmpdir(), "mara-faults-"));
const redis = await TestRedis.start();
const mara = join(import.meta.dirname, "../../lib/cli/mara.ts");
const episodes = 160;
const base = {
    model: demoModelPath,
    prompts: (await loadPrompts("demo")).slice(0, 40),
    reward: "length:60 characters",
    ...{preset: "small" as const, episodes, maxTokens: 24, sequences: 4, learnAfter: 200, batchSize: 64},
    ...{hidden1: 32, hidden2: 8, student: false, threads: 1, checkPrompts: 0}
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

let runs = 0;
let differing = 0;

/** Trains by the workers, and compares with a run without them. `during` goes on until it is told that the run is over. */
async function compare(during: (run: {over: boolean; done: number}) => Promise<void>): Promise<void> {
    const seed = ++runs;
    const [local, remote] = [join(folder, `local-${seed}`), join(folder, `remote-${seed}`)];
    await trainAgent({...base, seed, runDirectory: local});
    const run = {over: false, done: 0};
    const onProgress = ({phase, done}: TrainProgress) => {
        if (phase === "rollouts") run.done = done;
    };
    const fault = during(run);
    await trainAgent({...base, seed, runDirectory: remote, queue: redis.url, onProgress});
    run.over = true;
    await fault;
    if (outcome(local) !== outcome(remote)) differing++;
}

const workers = [await startWorker(), await startWorker()];
const start = performance.now();
const seconds = () => `${Math.round((performance.now() - start) / 1000)} s`;

let killed = 0;
while (killed < kills) {
    await compare(async (run) => {
        while (!run.over && killed < kills) {
            await wait(200 + 2000 * random.uniform());
            if (run.over) return;
            const i = random.integer(0, 1);
            workers[i]?.kill("SIGKILL");
            killed++;
            workers[i] = await startWorker();
        }
    });
    console.log(
        `${killed} workers killed over ${runs} runs of ${episodes} episodes; ${differing} differ (${seconds()})`
    );
}

if (outage > 0)
    await compare(async (run) => {
        while (run.done === 0) await wait(20);
        const before = run.done;
        redis.stopNetwork();
        await wait(1000 * outage);
        const after = run.done;
        redis.resumeNetwork();
        console.log(`no network for ${outage} s, from episode ${before} to ${after} of ${episodes}`);
    });

/** How many jobs each worker has done, once all have told. */
async function doneBy(children: readonly ChildProcess[]): Promise<number[]> {
    await wait(5000);
    const status = await StatusReader.open(redis.url);
    const {workers: known} = await status.read();
    status.close();
    return children.map((child) => known.find(({pid}) => pid === child.pid)?.done ?? Number.NaN);
}

if (slow > 0) {
    const before = await doneBy(workers);
    await compare(async () => undefined);
    const middle = await doneBy(workers);
    await compare(async (run) => {
        while (!run.over) {
            workers[0]?.kill("SIGSTOP");
            await wait(20 * (slow - 1));
            workers[0]?.kill("SIGCONT");
            await wait(20);
        }
    });
    const after = await doneBy(workers);
    const sum = (of: readonly number[]) => of.reduce((total, each) => total + each, 0);
    const [usual, slowed] = [sum(middle) - sum(before), sum(after) - sum(middle)];
    console.log(
        `${usual} jobs done by two workers alike; ${slowed} where one ran for 1/${slow} of the time, ` +
            `${(after[0] as number) - (middle[0] as number)} of them by it`
    );
    if (usual !== slowed) process.exitCode = 1;
}

console.log(`${runs} runs of ${episodes} episodes in ${seconds()}; ${differing} differ from those without workers`);
for (const worker of workers) worker.kill("SIGKILL");
await redis.close();
rmSync(folder, {recursive: true});
if (differing > 0) process.exitCode = 1;
