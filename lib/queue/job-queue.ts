/**
 * Jobs of one queue, as their coordinator sees them. A job's id is the hash of what it asks, so that a job that is asked for again, after
 * whatever happened, is the same job. Results are taken once. Whatever Redis forgets is told it again.
 */
import type {Queue, QueueEvents} from "bullmq";
import {MaraError} from "../errors.js";
import type {Coordinator} from "./coordinator.js";
import {decodeResult} from "./encode.js";
import {beat, keys, lives, type Needs, prefix, queueName, sha256} from "./names.js";
import {canServe, type Payload, type Want, type WorkerDescription} from "./payloads.js";

/** Times that a job may fail where nothing is wrong with itself: a file that was lost, a worker that shut down. */
const attempts = 3;
/** Times that a job may fail because its workers fell silent: as many workers twice over may be killed over it. */
const maxSilences = 8;
/** Seconds for which BullMQ keeps what nobody took. */
const keptFor = 3600;

interface Waiting {
    id: string;
    payload: Payload;
    resolve: (value: unknown) => void;
    reject: (error: unknown) => void;
    settling: boolean;
    /** How often it failed because workers fell silent. */
    silences: number;
}

/** A queue that this coordinator has jobs in. */
export class JobQueue {
    readonly needs: Needs;
    /** Workers that take jobs from this queue, as of the last sign of life. */
    workers = 0;
    readonly #coordinator: Coordinator;
    readonly #name: string;
    readonly #queue: Queue;
    readonly #events: QueueEvents;
    readonly #want: string;
    readonly #waiting = new Map<string, Waiting>();
    readonly #promises = new Map<string, Promise<unknown>>();
    #toldMissing = false;

    /** @internal Made by `Coordinator.queue`. */
    constructor(coordinator: Coordinator, needs: Needs) {
        const {connection, version} = coordinator;
        this.needs = needs;
        this.#coordinator = coordinator;
        this.#name = queueName(version, needs);
        const {bullmq} = connection;
        this.#queue = new bullmq.Queue(this.#name, {connection: connection.redis, prefix});
        this.#events = new bullmq.QueueEvents(this.#name, {connection: connection.duplicate(), prefix});
        this.#queue.on("error", () => undefined);
        this.#events.on("error", () => undefined);
        const settle = ({jobId}: {jobId: string}) => void this.#settle(jobId);
        this.#events.on("completed", settle).on("failed", settle);
        const {label, files, modules} = needs;
        this.#want = JSON.stringify({version, label, files: [...files], modules: [...modules]} satisfies Want);
    }

    /**
     * The result of a job, as `decodeResult` gives it.
     * @throws MaraError QUEUE_JOB if the job fails again and again; the signal's reason
     */
    async run(payload: Payload, signal?: AbortSignal): Promise<unknown> {
        signal?.throwIfAborted();
        const id = sha256(JSON.stringify(payload)).slice(0, 40);
        let promise = this.#promises.get(id);
        if (promise === undefined) {
            promise = this.#begin(id, payload).finally(() => this.#promises.delete(id));
            promise.catch(() => undefined);
            this.#promises.set(id, promise);
        }
        if (signal === undefined) return await promise;
        return await new Promise((resolve, reject) => {
            const leave = () => reject(signal.reason);
            signal.addEventListener("abort", leave, {once: true});
            promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", leave));
        });
    }

    async #begin(id: string, payload: Payload): Promise<unknown> {
        const free = await this.#coordinator.place();
        try {
            return await new Promise((resolve, reject) => {
                this.#waiting.set(id, {id, payload, resolve, reject, settling: false, silences: 0});
                this.#ask(id, payload).catch(reject);
            });
        } finally {
            this.#waiting.delete(id);
            free();
        }
    }

    /** Adds the job, unless it is there. A failure of an earlier run says nothing about this one. */
    async #ask(id: string, payload: Payload): Promise<void> {
        await this.announce();
        if ((await this.#queue.getJobState(id)) === "failed") await this.#queue.remove(id);
        await this.#add(id, payload);
        // It may have been done for a coordinator that is gone.
        await this.#settle(id);
    }

    async #add(id: string, payload: Payload): Promise<void> {
        await this.#queue.add(payload.kind, payload, {
            jobId: id,
            attempts,
            backoff: {type: "fixed", delay: beat / 2},
            removeOnComplete: {age: keptFor},
            removeOnFail: {age: keptFor}
        });
    }

    /** Takes the result, if it is there; asks again for what Redis has lost. */
    async #settle(id: string): Promise<void> {
        const waiting = this.#waiting.get(id);
        if (waiting === undefined || waiting.settling) return;
        waiting.settling = true;
        try {
            const {redis} = this.#coordinator.connection;
            const bytes = await redis.getBuffer(keys.result(id));
            if (bytes !== null) {
                waiting.resolve(await decodeResult(bytes));
                await redis.del(keys.result(id));
                await this.#queue.remove(id).catch(() => 0);
                return;
            }
            const state = await this.#queue.getJobState(id);
            if (state === "failed") {
                const failure = await this.#failure(id, waiting.payload);
                // A worker's end says nothing against a job, but for one that a reward may have caused.
                const again = failure.silent && waiting.payload.kind !== "score" && ++waiting.silences < maxSilences;
                if (again) await this.#add(id, waiting.payload);
                else waiting.reject(failure.error);
            } else if (state === "completed") await this.#queue.remove(id);
            if (state === "completed" || state === "unknown") await this.#add(id, waiting.payload);
        } catch (error) {
            if (error instanceof MaraError) waiting.reject(error);
            // What Redis refuses for a moment is tried again at the next beat.
        } finally {
            waiting.settling = false;
        }
    }

    /** Why a job failed; `silent` if the workers that took it ended or fell silent. The job is removed. */
    async #failure(id: string, {kind}: Payload): Promise<{error: MaraError; silent: boolean}> {
        const job = await this.#queue.getJob(id);
        const {failedReason = "no reason is known"} = job ?? {};
        await this.#queue.remove(id).catch(() => 0);
        const silent = /stalled/.test(failedReason);
        const why = silent ? "the workers that took it ended, or fell silent" : failedReason;
        return {error: new MaraError("QUEUE_JOB", `A job of kind ${kind} failed on its workers: ${why}`), silent};
    }

    /** Tells workers what this queue needs. */
    async announce(): Promise<void> {
        const {redis} = this.#coordinator.connection;
        await redis
            .multi()
            .sadd(keys.wanted, this.#name)
            .set(keys.want(this.#name), this.#want, "PX", lives.wanted)
            .exec();
    }

    /** A sign of life, and a look at everything that is waited for. */
    async tick(workers: readonly WorkerDescription[]): Promise<void> {
        await this.announce();
        const fitting = workers.filter((worker) =>
            canServe(worker, {...this.needs, version: this.#coordinator.version})
        );
        this.workers = fitting.length;
        if (this.workers > 0) this.#toldMissing = false;
        else if (this.#waiting.size > 0 && !this.#toldMissing) {
            this.#toldMissing = true;
            process.emitWarning(this.#missing(workers), "MaraWarning");
        }
        for (const id of [...this.#waiting.keys()]) await this.#settle(id);
    }

    #missing(workers: readonly WorkerDescription[]): string {
        const {files, modules, label} = this.needs;
        const wanted = [...files, ...modules].map((sha) => `${sha.slice(0, 12)}…`).join(", ");
        const others = workers.filter(({version}) => version !== this.#coordinator.version).length;
        const versions =
            others === 0 ? "" : ` ${others} of them are of another version than ${this.#coordinator.version}.`;
        return `No worker has ${label} (SHA-256 ${wanted}); ${workers.length} are there.${versions} Waiting for one.`;
    }

    #giveUp(): void {
        for (const {reject} of this.#waiting.values())
            reject(new MaraError("QUEUE_JOB", "The queue was closed before the job was done"));
    }

    /** Closes where there is no connection to tidy up by. */
    abandon(): void {
        this.#giveUp();
        for (const part of [this.#events, this.#queue]) void part.close().catch(() => undefined);
    }

    async close(): Promise<void> {
        this.#giveUp();
        const left = [...this.#waiting.keys()];
        // What nobody waits for need not be done; what a worker is at is left to it.
        await Promise.all(left.map((id) => this.#queue.remove(id).catch(() => 0)));
        await this.#events.close();
        await this.#queue.close();
    }
}
