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
