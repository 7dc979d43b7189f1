/** The side that has work done: its connection, its queues, and the agents that it has put into Redis. */
import {connect, type QueueConnection} from "./connect.js";
import {JobQueue} from "./job-queue.js";
import {beat, keys, lives, type Needs, protocolVersion, queueName, sha256} from "./names.js";
import {parsed, type WorkerDescription, workerSchema} from "./payloads.js";

/** Jobs that one coordinator has in Redis at a time: what it asks beyond them waits here. */
const maxOutstanding = 64;
export class Coordinator {
    /** @internal */
    readonly connection: QueueConnection;
    /** This package's version and node-llama-cpp's. */
    readonly version: string;
    readonly #queues = new Map<string, JobQueue>();
    readonly #agents = new Map<string, Uint8Array>();
    #timer: NodeJS.Timeout | undefined;
    #beating: Promise<void> = Promise.resolve();
    #outstanding = 0;
    readonly #line: (() => void)[] = [];
    #closed = false;

    private constructor(connection: QueueConnection, version: string) {
        this.connection = connection;
        this.version = version;
        this.#schedule();
    }

    /** @throws MaraError QUEUE_MISSING, QUEUE_CONNECTION, INVALID_ARGUMENT */
    static async open(url: string): Promise<Coordinator> {
        const version = await protocolVersion();
        return new Coordinator(await connect(url), version);
    }

    queue(needs: Needs): JobQueue {
        const name = queueName(this.version, needs);
        let queue = this.#queues.get(name);
        if (queue === undefined) {
            queue = new JobQueue(this, needs);
            this.#queues.set(name, queue);
        }
        return queue;
    }

    /** Puts an agent where workers find it, and gives its hash. The latest ones are kept there. */
    async putAgent(bytes: Uint8Array): Promise<string> {
        const hash = sha256(bytes);
        if (!this.#agents.has(hash)) await this.#upload(hash, bytes);
        this.#agents.delete(hash);
        this.#agents.set(hash, bytes);
        for (const old of [...this.#agents.keys()].slice(0, -maxAgents)) this.#agents.delete(old);
        return hash;
    }

    async #upload(hash: string, bytes: Uint8Array): Promise<void> {
        await this.connection.redis.set(keys.agent(hash), Buffer.from(bytes), "PX", lives.agent);
    }

    /** Waits until one more job may be in Redis. @internal */
    async place(): Promise<() => void> {
        while (this.#outstanding >= maxOutstanding) await new Promise<void>((resolve) => this.#line.push(resolve));
        this.#outstanding++;
        return () => {
            this.#outstanding--;
            this.#line.shift()?.();
        };
    }

    #schedule(): void {
        this.#timer = setTimeout(() => {
            this.#beating = this.#beat()
                // What is lost with the connection is told anew at the next beat.
                .catch(() => undefined)
                .then(() => {
                    if (!this.#closed) this.#schedule();
                });
        }, beat);
    }

    async #beat(): Promise<void> {
        const {redis} = this.connection;
        for (const [hash, bytes] of this.#agents)
            if ((await redis.pexpire(keys.agent(hash), lives.agent)) === 0) await this.#upload(hash, bytes);
        const workers = await workersOf(redis);
        for (const queue of this.#queues.values()) await queue.tick(workers);
    }

    async close(): Promise<void> {
        this.#closed = true;
        clearTimeout(this.#timer);
        const {redis} = this.connection;
        // Without a connection nothing can be tidied up, and waiting for one would keep the process.
        if (redis.status === "ready") {
            await this.#beating;
            for (const queue of this.#queues.values()) await queue.close().catch(() => undefined);
        } else for (const queue of this.#queues.values()) queue.abandon();
        this.connection.close();
    }
}

/** Agents kept in Redis by one coordinator: those of batches under way, and a side's. */
const maxAgents = 16;

/** Workers that have given a sign of life lately. */
export async function workersOf(redis: QueueConnection["redis"]): Promise<WorkerDescription[]> {
    const ids = await redis.smembers(keys.workers);
    if (ids.length === 0) return [];
    const texts = await redis.mget(ids.map(keys.worker));
    const gone = ids.filter((_, i) => texts[i] === null);
    if (gone.length > 0) await redis.srem(keys.workers, ...gone);
    return texts.flatMap((json) => parsed(workerSchema, json) ?? []);
}
