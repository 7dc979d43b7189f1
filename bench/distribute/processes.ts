/** Redis and workers in processes of their own, with the processor time that each has taken. */
import {spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, rmSync} from "node:fs";
import {type AddressInfo, createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {connect} from "../../lib/queue/connect.js";
import {cpuSeconds} from "../harness/process.js";
import {benchFile} from "../harness/tools.js";

export interface Started {
    /** Seconds of processor time that it has taken; 0 where the system does not tell. */
    cpuSeconds(): Promise<number>;
    stop(): void;
}

/** A Redis that keeps nothing, on a port that was free a moment before. @throws Error if there is none */
export async function startRedis(): Promise<Started & {url: string}> {
    const folder = mkdtempSync(join(tmpdir(), "mara-bench-redis-"));
    const finder = createServer().listen(0, "127.0.0.1");
    await once(finder, "listening");
    const {port} = finder.address() as AddressInfo;
    finder.close();
    const options = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""];
    const child = spawn("redis-server", options, {stdio: "ignore"});
    await once(child, "spawn");
    const url = `redis://127.0.0.1:${port}`;
    const connection = await patiently(() => connect(url));
    const cpuSeconds = async () => {
        const told = await connection.redis.info("cpu");
        return [...told.matchAll(/^used_cpu_(?:sys|user):([\d.]+)/gm)].reduce(
            (sum, [, value]) => sum + Number(value),
            0
        );
    };
    const stop = () => {
        connection.close();
        child.kill();
        rmSync(folder, {recursive: true, force: true});
    };
    return {url, cpuSeconds, stop};
}

/** `mara worker` for the models in a folder; it takes jobs once this resolves. */
export async function startWorker(url: string, models: string, threads: number): Promise<Started> {
    const options = ["worker", "--models", models, "--gpu", "off", "--threads", String(threads)];
    const child = spawn(process.execPath, [benchFile("../dist/cli/mara.js"), ...options], {
        env: {...process.env, MARA_QUEUE: url},
        stdio: ["ignore", "ignore", "pipe"]
    });
    await once(child.stderr, "data");
    child.stderr.resume();
    return {cpuSeconds: async () => cpuSeconds(child), stop: () => child.kill("SIGKILL")};
}

async function patiently<T>(act: () => Promise<T>): Promise<T> {
    for (let tries = 0; ; tries++) {
        try {
            return await act();
        } catch (error) {
            if (tries === 50) throw error;
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
    }
}
