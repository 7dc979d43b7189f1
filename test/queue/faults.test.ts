/** What may go wrong, on a real Redis. A run by workers must come out as one without, whatever happened to it. */
import {type ChildProcess, spawn} from "node:child_process";
import {once} from "node:events";
import {existsSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {beforeAll, expect, it} from "vitest";
import {type TrainOptions, type TrainProgress, trainAgent} from "../../lib/index.js";
import {root} from "../cli/helpers.js";
import {linesOf, loadDemoModel, outcomeOf, prompts, runFolder, smallSac} from "../train/helpers.js";
import {describeWithRedis, queueOfTests, until} from "./helpers.js";

const time = {timeout: 180_000};
const logs = ["metrics", "samples", "responses"];

describeWithRedis("A run by workers comes out as one without", () => {
    const newRun = runFolder();
    const {redis, worker, process: workerProcess, models} = queueOfTests();
    const reward = "length:60 characters";
    let model: LlamaModel;
    let options: Omit<TrainOptions, "runDirectory">;
    let local: object;
    beforeAll(async () => {
        model = await loadDemoModel();
        options = {...smallSac, model, reward};
        const runDirectory = newRun();
        await trainAgent({...options, runDirectory});
        local = outcomeOf(runDirectory, logs);
    }, 120_000);

    /** Does something as the run comes to these episodes. Its failure is the test's. */
    async function trainWith(events: Record<number, () => Promise<void> | void>): Promise<object> {
        const runDirectory = newRun();
        const done: Promise<void>[] = [];
        const left = new Map(Object.entries(events).map(([episodes, event]) => [Number(episodes), event]));
        const onProgress = ({phase, done: episodes}: TrainProgress) => {
            if (phase !== "rollouts") return;
            const event = left.get(episodes);
            left.delete(episodes);
            if (event !== undefined) done.push(Promise.resolve(event()));
        };
        const {url: queue} = await redis();
        await trainAgent({...options, runDirectory, queue, onProgress});
        await Promise.all(done);
        expect(left.size).toBe(0);
        return outcomeOf(runDirectory, logs);
    }

    it("where Redis restarts, with and without its data, and the network ends or stands still", time, async () => {
        const server = await redis();
        const workers = [await worker({lock: 2}), await worker({lock: 2})];
        const outcome = await trainWith({
            0: () => server.restart({keepData: true}),
            4: () => server.restart({keepData: false}),
            12: () => server.cut(),
            16: async () => {
                server.stopNetwork();
                await new Promise((resolve) => setTimeout(resolve, 3000));
                server.resumeNetwork();
            }
        });
        expect(outcome).toEqual(local);
        for (const one of workers) await one.close();
    });

    it("where workers are killed, and one is so slow that its jobs are given to another", time, async () => {
        const children = [await workerProcess(), await workerProcess()];
        let slow: ChildProcess | undefined;
        const kill = async (i: number) => {
            const child = children[i] as ChildProcess;
            child.kill("SIGKILL");
            children[i] = await workerProcess();
        };
        const outcome = await trainWith({
            0: () => kill(0),
            8: () => kill(1),
            12: () => {
                slow = children[0] as ChildProcess;
                slow.kill("SIGSTOP");
            },
            20: () => {
                slow?.kill("SIGCONT");
            }
        });
        expect(outcome).toEqual(local);
        for (const child of children) child.kill("SIGKILL");
    });

    it("where the coordinator is killed, and resumed", time, async () => {
        const {url} = await redis();
        await worker();
        const runDirectory = newRun();
        const file = join(newRun(), "..", "prompts.json");
        writeFileSync(file, JSON.stringify(prompts));
        const {model: _, prompts: __, reward: ___, student: ____, ...constants} = options;
        const flags = Object.entries(constants).flatMap(([name, value]) => [
            `--${name.replace(/[A-Z]/g, (part) => `-${part.toLowerCase()}`)}`,
            String(value)
        ]);
        const files = ["--model", join(models, "model.gguf"), "--prompts", file, "--reward", reward];
        const command = [
            join(root, "dist/cli/mara.js"),
            "train",
            "--out",
            runDirectory,
            "--no-student",
            "--gpu",
            "off"
        ];
        const child = spawn(process.execPath, [...command, ...files, "--top-k", "10", ...flags, "--queue", url], {
            stdio: "ignore"
        });
        const metrics = join(runDirectory, "metrics.jsonl");
        await until(() => child.exitCode !== null || (existsSync(metrics) && readFileSync(metrics).length > 0));
        child.kill("SIGKILL");
        if (child.signalCode === null && child.exitCode === null) await once(child, "exit");
        expect(existsSync(join(runDirectory, "agent.safetensors"))).toBe(false);
        const {completed} = await trainAgent({model, runDirectory, resume: true, prompts: file, queue: url});
        expect(completed).toBe(true);
        expect(linesOf(runDirectory, "samples")).toEqual((local as {samples: object}).samples);
        expect(outcomeOf(runDirectory, logs)).toEqual(local);
    });
});

describeWithRedis("A worker ten times as slow as another", () => {
    const newRun = runFolder();
    const {redis, process: workerProcess, models} = queueOfTests();

    it("keeps its jobs: nothing is lost, and nothing done twice", time, async () => {
        const file = join(models, "reward.mjs");
        const logOf = (who: string) => join(models, `${who}.log`);
        const ready = join(models, "ready");
        // Each worker's calls are written down. The slow one's first lasts until the other is there, too.
        writeFileSync(
            file,
            `import {appendFileSync, existsSync} from "node:fs";
            import {setTimeout as wait} from "node:timers/promises";
            const who = process.env.MARA_TEST_WHO ?? "local";
            export default async (prompt, response) => {
                appendFileSync(${JSON.stringify(models)} + "/" + who + ".log", JSON.stringify([prompt, response]) + "\\n");
                while (who === "slow" && !existsSync(${JSON.stringify(ready)})) await wait(50);
                if (who !== "local") await wait(who === "slow" ? 10_000 : 1000);
                return response.length / 100;
            };`
        );
        const model = await loadDemoModel();
        const options = {
            ...{...smallSac, model, episodes: 8, baseline: "none" as const, checkPrompts: 0, calibrationPrompts: 0},
            reward: `module:${file}`
        } as const;
        const local = newRun();
        await trainAgent({...options, runDirectory: local});
        const remote = newRun();
        const {url} = await redis();
        // A job of the slow worker takes longer than its lock lasts, so it has to be renewed.
        const flags = ["--allow-modules", "--lock", "8"];
        await workerProcess(models, flags, {MARA_TEST_WHO: "slow"});
        const run = trainAgent({...options, runDirectory: remote, queue: {url, rewards: true}});
        await until(() => existsSync(logOf("slow")));
        await workerProcess(models, flags, {MARA_TEST_WHO: "fast"});
        writeFileSync(ready, "");
        await run;
        const kept = ["metrics", "samples"];
        expect(outcomeOf(remote, kept)).toEqual(outcomeOf(local, kept));
        const asked = (...logs: string[]) =>
            logs.flatMap((who) => readFileSync(logOf(who), "utf8").trimEnd().split("\n")).sort();
        expect(asked("slow", "fast")).toEqual(asked("local"));
        expect(asked("local")).toHaveLength(8);
    });
});

describeWithRedis("A reward that ends its workers", () => {
    const newRun = runFolder();
    const {redis, process: workerProcess, models} = queueOfTests();

    it("is asked about each response, counted and named, and not for ever", time, async () => {
        const file = join(models, "reward.mjs");
        writeFileSync(
            file,
            `export default (prompt, response) => {
                if (prompt.includes("table for four")) process.kill(process.pid, "SIGKILL");
                return response.length / 100;
            };`
        );
        const {url} = await redis();
        let ended = 0;
        let over = false;
        const keepWorking = async () => {
            while (!over) {
                const child = await workerProcess(models, ["--allow-modules"]);
                await until(() => over || child.signalCode !== null);
                if (!over) ended++;
            }
        };
        const working = keepWorking();
        const runDirectory = newRun();
        const model = await loadDemoModel();
        await trainAgent({
            ...smallSac,
            model,
            prompts: prompts.slice(2, 4),
            episodes: 2,
            episodesPerBatch: 2,
            baseline: "none",
            reward: `module:${file}`,
            runDirectory,
            queue: {url, rewards: true}
        });
        over = true;
        await working;
        const samples = linesOf(runDirectory, "samples") as {prompt: number; reward: number | null; failure?: string}[];
        const poison = samples.find(({prompt}) => prompt === 1);
        expect(poison).toMatchObject({reward: null, failure: expect.stringContaining("ended, or fell silent")});
        expect(samples.find(({prompt}) => prompt === 0)?.reward).toBeGreaterThan(0);
        expect(linesOf(runDirectory, "metrics").at(-1)).toMatchObject({dropped: 1});
        // Two for the response among others, and two for it alone; more only where a busy machine lets a worker count as silent.
        expect(ended).toBeGreaterThanOrEqual(2);
        expect(ended).toBeLessThanOrEqual(8);
    });
});
