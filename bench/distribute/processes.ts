/** Redis and workers in processes of their own, with the processor time that each has taken. */
import {type ChildProcess, spawn} from "node:child_process";
import {once} from "node:events";
import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {type AddressInfo, createServer} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {connect} from "../../lib/queue/connect.js";
import {benchFile} from "../harness/tools.js";

export interface Started {
    process: ChildProcess;
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
    for (let tries = 0; ; tries++) {
        try {
            (await connect(url)).close();
            break;
        } catch (error) {
            if (tries === 50) throw error;
            await new Promise((resolve) => setTimeout(resolve, 100));
        }
    }
    const stop = () => {
        child.kill();
        rmSync(folder, {recursive: true, force: true});
    };
    return {process: child, url, stop};
}

/** `mara worker` for the models in a folder; it takes jobs once this resolves. */
export async function startWorker(url: string, models: string, threads: number): Promise<Started> {
    const options = ["worker", "--models", models, "--gpu", "off", "--threads", String(threads)];
    const child = spawn(process.execPath, ["--import", "tsx", benchFile("../lib/cli/mara.ts"), ...options], {
        env: {...process.env, MARA_QUEUE: url},
        stdio: ["ignore", "ignore", "pipe"]
    });
    await once(child.stderr, "data");
    child.stderr.resume();
    return {process: child, stop: () => child.kill("SIGKILL")};
}

/** Seconds of processor time that a process has taken; 0 where the system does not tell. */
export function cpuSeconds({pid}: ChildProcess): number {
    try {
        const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
        // User and system time, in hundredths of a second (proc(5), USER_HZ).
        return (Number(fields[11]) + Number(fields[12])) / 100;
    } catch {
        return 0;
    }
}
