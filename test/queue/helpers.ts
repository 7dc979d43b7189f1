/** Workers of tests: in this process, or as processes of their own that can be killed. */
import {type ChildProcess, spawn} from "node:child_process";
import {once} from "node:events";
import {copyFileSync, mkdirSync} from "node:fs";
import {join} from "node:path";
import {afterAll, describe} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {QueueWorker, type QueueWorkerOptions} from "../../lib/queue/worker.js";
import {root, temporaryFolder} from "../cli/helpers.js";
import {testLlama} from "../support/models.js";
import {hasRedis, TestRedis} from "./redis.js";

/** A `describe` whose tests need Redis; skipped where there is none. */
export function describeWithRedis(name: string, tests: () => void): void {
    describe.skipIf(!hasRedis)(`${name} (needs redis-server)`, tests);
}

/** A Redis for the tests of one file, and workers for it; all of it ends with them. */
export function queueOfTests(): {
    redis: () => Promise<TestRedis>;
    worker: (options?: Partial<QueueWorkerOptions>) => Promise<QueueWorker>;
    process: (models?: string, options?: readonly string[], env?: NodeJS.ProcessEnv) => Promise<ChildProcess>;
    /** A folder with the demo's model. */
    models: string;
} {
    const models = join(temporaryFolder(), "models");
    mkdirSync(models);
    copyFileSync(demoModelPath, join(models, "model.gguf"));
    let redis: Promise<TestRedis> | undefined;
    const workers: QueueWorker[] = [];
    const processes: ChildProcess[] = [];
    const started = () => {
        redis ??= TestRedis.start();
        return redis;
    };
    afterAll(async () => {
        for (const child of processes) child.kill("SIGKILL");
        for (const worker of workers) await worker.close();
        await (await redis)?.close();
    });
    return {
        models,
        redis: started,
        worker: async (options = {}) => {
            const {url} = await started();
            const worker = await QueueWorker.open({
                queue: url,
                models,
                llama: await testLlama(),
                threads: 1,
                ...options
            });
            workers.push(worker);
            return worker;
        },
        process: async (folder = models, options = [], env = {}) => {
            const {url} = await started();
            const args = ["worker", "--models", folder, "--gpu", "off", "--threads", "1", "--lock", "3", ...options];
            const child = spawn(process.execPath, [join(root, "dist/cli/mara.js"), ...args], {
                env: {...process.env, MARA_QUEUE: url, ...env},
                stdio: ["ignore", "ignore", "pipe"]
            });
            processes.push(child);
            // It tells what it has once it takes jobs.
            await once(child.stderr, "data");
            child.stderr.resume();
            return child;
        }
    };
}

/** Waits for the condition to hold; the test's own time limit ends it. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 50));
}
