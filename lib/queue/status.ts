/** What goes on in a queue, as Redis knows it. */
import {connect, type QueueConnection} from "./connect.js";
import {workersOf} from "./coordinator.js";
import {keys, prefix} from "./names.js";
import {canServe, parsed, type WorkerDescription, wantSchema} from "./payloads.js";

export interface QueueStatus {
    /** Address of Redis, without user and password. */
    address: string;
    workers: WorkerDescription[];
    queues: {
        name: string;
        /** What the jobs need, for people. */
        label: string;
        version: string;
        files: string[];
        modules: string[];
        waiting: number;
        active: number;
        failed: number;
        /** Workers that can serve it. */
        workers: number;
        /** Seconds since the oldest waiting job was added; null where none waits. */
        oldest: number | null;
    }[];
}

/** Looks again and again at one connection. */
export class StatusReader {
    readonly #connection: QueueConnection;

    private constructor(connection: QueueConnection) {
        this.#connection = connection;
    }

    /** @throws MaraError QUEUE_MISSING, QUEUE_CONNECTION, INVALID_ARGUMENT */
    static async open(url: string): Promise<StatusReader> {
        return new StatusReader(await connect(url));
    }

    async read(): Promise<QueueStatus> {
        const {redis, bullmq, address} = this.#connection;
        const workers = await workersOf(redis);
        const names = (await redis.smembers(keys.wanted)).sort();
        const queues: QueueStatus["queues"] = [];
        for (const name of names) {
            const want = parsed(wantSchema, await redis.get(keys.want(name)));
            if (want === undefined) continue;
            const queue = new bullmq.Queue(name, {connection: redis, prefix, skipMetasUpdate: true});
            queue.on("error", () => undefined);
            const {
                waiting = 0,
                active = 0,
                failed = 0,
                delayed = 0
            } = await queue.getJobCounts("waiting", "active", "failed", "delayed");
            const [oldest] = await queue.getJobs(["waiting"], 0, 0, true);
            await queue.close();
            const {version, label, files, modules} = want;
            queues.push({
                ...{name, label, version, files, modules, active, failed},
                waiting: waiting + delayed,
                workers: workers.filter((worker) => canServe(worker, want)).length,
                oldest: oldest === undefined ? null : Math.max(0, (Date.now() - oldest.timestamp) / 1000)
            });
        }
        return {address: address.shown, workers, queues};
    }

    close(): void {
        this.#connection.close();
    }
}
