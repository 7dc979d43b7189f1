/** A worker: takes jobs for the files that it has, one of each queue at a time, and gives the results back through Redis. */
import {randomBytes} from "node:crypto";
import {hostname} from "node:os";
import type {Job, Worker} from "bullmq";
import type {Llama} from "node-llama-cpp";
import {guideFiles} from "../align/guides/spec.js";
import {MaraError, reasonOf} from "../errors.js";
import {connect, type QueueConnection} from "./connect.js";
import {encodeResult} from "./encode.js";
import {beat, keys, lives, prefix, protocolVersion, queueName} from "./names.js";
import {
    maxBytes,
    type Payload,
    parsed,
    payloadSchema,
    type Want,
    type WorkerDescription,
    wantSchema
} from "./payloads.js";
import {WorkerFiles} from "./worker-files.js";
import {WorkerJobs} from "./worker-jobs.js";

export interface QueueWorkerOptions {
    /** redis://…, or rediss://… for TLS. */
    queue: string;
    /** The folder in which models and score heads are found, by SHA-256. */
    models: string;
    llama: Llama;
    /** True if modules in that folder may be run as rewards. Default false. */
    allowModules?: boolean;
    /** Threads of the models. Default: what a job says, else node-llama-cpp's choice. */
    threads?: number;
    /** Seconds after which the job of a worker that has fallen silent is given to another one. Default 30. */
    lock?: number;
    /** Called after each job. */
    onJob?: (told: {kind: string; seconds: number; failure: string | null}) => void;
    /** For tests: another version than this package's. */
    version?: string;
}

/** Times that a job is given out again after a worker fell silent over it. Whether it is tried further is its coordinator's choice. */
const maxSilences = 1;
const minute = 60_000;
/** Milliseconds between two looks at what is wanted. */
const lookEvery = 1000;

export class QueueWorker {
    readonly id = `${hostname()}-${process.pid}-${randomBytes(4).toString("hex")}`;
    readonly version: string;
    readonly #connection: QueueConnection;
    readonly #options: QueueWorkerOptions;
    readonly #files: WorkerFiles;
    readonly #jobs: WorkerJobs;
    readonly #workers = new Map<string, Worker>();
    readonly #started = performance.now();
    readonly #busy = new Map<string, string>();
    #latest: {at: number; jobs: number; tokens: number}[] = [];
    #done = 0;
    #failed = 0;
    #tokens = 0;
    #timer: NodeJS.Timeout | undefined;
    #looking: Promise<void> = Promise.resolve();
    #lastBeat = Number.NEGATIVE_INFINITY;
    #closed = false;

    private constructor(
        connection: QueueConnection,
        {options, files, version}: {options: QueueWorkerOptions; files: WorkerFiles; version: string}
    ) {
        this.#connection = connection;
        this.#options = options;
        this.#files = files;
        this.version = version;
        this.#jobs = new WorkerJobs({
            llama: options.llama,
            files,
            threads: options.threads,
            fetchAgent: async (hash) => {
                const {redis} = connection;
                const bytes = await redis.strlen(keys.agent(hash));
                if (bytes > maxBytes.agent) throw new MaraError("AGENT_FORMAT", `An agent of ${bytes} bytes is none.`);
                return await redis.getBuffer(keys.agent(hash));
            },
            onTokens: (count) => this.#count(0, count)
        });
        this.#look();
    }

    /**
     * Reads what it has, connects, and begins to take jobs.
     * @throws MaraError QUEUE_MISSING, QUEUE_CONNECTION, INVALID_ARGUMENT
     */
    static async open(options: QueueWorkerOptions): Promise<QueueWorker> {
        const files = await WorkerFiles.open(options.models, options.allowModules ?? false);
        const version = options.version ?? (await protocolVersion());
        return new QueueWorker(await connect(options.queue), {options, files, version});
    }

    get description(): WorkerDescription {
        const since = performance.now() - minute;
        this.#latest = this.#latest.filter(({at}) => at > since);
        const sum = (of: "jobs" | "tokens") => this.#latest.reduce((total, each) => total + each[of], 0);
        return {
            id: this.id,
            host: hostname(),
            pid: process.pid,
            version: this.version,
            files: this.#files.described,
            seconds: (performance.now() - this.#started) / 1000,
            done: this.#done,
            failed: this.#failed,
            tokens: this.#tokens,
            minute: {jobs: sum("jobs"), tokens: sum("tokens")},
            busy: [...this.#busy.values()]
        };
    }

    #count(jobs: number, tokens: number): void {
        this.#tokens += tokens;
        const now = performance.now();
        const last = this.#latest.at(-1);
        // A second's counts are kept together.
        if (last !== undefined && now - last.at < 1000) {
            last.jobs += jobs;
            last.tokens += tokens;
        } else this.#latest.push({at: now, jobs, tokens});
    }

    #look(): void {
        this.#looking = this.#update()
            // A lost connection comes back by itself.
            .catch(() => undefined)
            .then(() => {
                if (!this.#closed) this.#timer = setTimeout(() => this.#look(), lookEvery);
            });
    }

    /** A sign of life, and the queues that this worker can serve. */
    async #update(): Promise<void> {
        const {redis} = this.#connection;
        if (redis.status !== "ready") return;
        const now = performance.now();
        if (now - this.#lastBeat >= beat) {
            this.#lastBeat = now;
            const text = JSON.stringify(this.description);
            await redis.multi().sadd(keys.workers, this.id).set(keys.worker(this.id), text, "PX", lives.worker).exec();
        }
        const names = await redis.smembers(keys.wanted);
        const texts = names.length === 0 ? [] : await redis.mget(names.map(keys.want));
        const gone = names.filter((_, i) => texts[i] === null);
        if (gone.length > 0) await redis.srem(keys.wanted, ...gone);
        for (const [i, name] of names.entries()) {
            const want = parsed(wantSchema, texts[i] ?? null);
            if (want === undefined || this.#workers.has(name) || !this.#serves(name, want)) continue;
            this.#workers.set(name, this.#begin(name, want));
        }
        for (const name of this.#workers.keys()) if (!names.includes(name)) await this.#end(name);
    }

    #serves(name: string, want: Want): boolean {
        // The name says what the queue needs, so that nobody can lead a worker to another one.
        if (want.version !== this.version || name !== queueName(this.version, want)) return false;
        const {files, modules} = want;
        return (
            files.every((hash) => this.#files.has(hash, false)) && modules.every((hash) => this.#files.has(hash, true))
        );
    }

    #begin(name: string, want: Want): Worker {
        const {bullmq, redis} = this.#connection;
        const lockDuration = (this.#options.lock ?? 30) * 1000;
        const worker = new bullmq.Worker(name, (job) => this.#do(job, want), {
            connection: redis,
            prefix,
            name: this.id,
            concurrency: 1,
            lockDuration,
            stalledInterval: lockDuration / 2,
            maxStalledCount: maxSilences,
            drainDelay: 1,
            runRetryDelay: 500
        });
        worker.on("error", () => undefined);
        return worker;
    }

    /** The queue is wanted no more, by anybody. */
    async #end(name: string): Promise<void> {
        const worker = this.#workers.get(name);
        this.#workers.delete(name);
        await worker?.close();
    }

    async #do(job: Job, want: Want): Promise<{seconds: number}> {
        const start = performance.now();
        const seconds = () => Math.round(performance.now() - start) / 1000;
        const id = String(job.id);
        this.#busy.set(id, job.name);
        try {
            const payload = payloadOf(job.data, want);
            const bytes = await encodeResult(await this.#jobs.run(payload));
            // The result is there before the job counts as done.
            await this.#connection.redis.set(keys.result(id), bytes, "PX", lives.result);
            this.#done++;
            this.#count(1, 0);
            this.#options.onJob?.({kind: payload.kind, seconds: seconds(), failure: null});
            return {seconds: seconds()};
        } catch (error) {
            this.#failed++;
            this.#options.onJob?.({kind: job.name, seconds: seconds(), failure: reasonOf(error)});
            throw error;
        } finally {
            this.#busy.delete(id);
        }
    }

    /** Ends after the jobs at hand. */
    async close(): Promise<void> {
        this.#closed = true;
        clearTimeout(this.#timer);
        const {redis} = this.#connection;
        const connected = redis.status === "ready";
        if (connected) {
            await this.#looking;
            await redis
                .multi()
                .srem(keys.workers, this.id)
                .del(keys.worker(this.id))
                .exec()
                .catch(() => undefined);
        }
        await Promise.all([...this.#workers.values()].map((worker) => worker.close(!connected)));
        await this.#jobs.close();
        this.#connection.close();
    }
}

/** @throws MaraError QUEUE_JOB for anything that is no job, or asks for other files than its queue is for */
function payloadOf(data: unknown, {files, modules}: Want): Payload {
    const {success, data: payload, error} = payloadSchema.safeParse(data);
    if (!success) {
        const [issue] = error.issues;
        throw new MaraError("QUEUE_JOB", `This is no job: ${issue?.path.join(".")}: ${issue?.message}`);
    }
    const needed = payload.kind === "score" ? Object.values(payload.files) : modelsOf(payload);
    if (needed.some((hash) => !files.includes(hash) && !modules.includes(hash)))
        throw new MaraError("QUEUE_JOB", "This job asks for a file that its queue is not for.");
    return payload;
}

function modelsOf(payload: Exclude<Payload, {kind: "score"}>): string[] {
    const guide = payload.kind === "answer" ? payload.guide : undefined;
    return [payload.model, ...(guide === undefined ? [] : Object.values(guideFiles(guide)))];
}
