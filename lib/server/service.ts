/** What every endpoint works with. */
import {randomUUID} from "node:crypto";
import {setMaxListeners} from "node:events";
import {setImmediate} from "node:timers/promises";
import type {LlamaContextSequence, Token} from "node-llama-cpp";
import type {Alignment} from "./alignment.js";
import type {Answered, AnswerTask} from "./answer.js";
import {ApiError} from "./api-error.js";
import type {Engine} from "./engine.js";
import type {Metrics} from "./metrics.js";
import type {ResolvedOptions} from "./options.js";
import {Running} from "./running.js";

export interface Service {
    readonly engine: Engine;
    readonly options: ResolvedOptions;
    readonly metrics: Metrics;
    /** Requests that generate now, by the id in their responses. */
    readonly running: Map<string, Running>;
    /** Aborted when the server can wait no longer for answers to end. */
    readonly closing: AbortSignal;
    /** Tells the log of a failure that the client sees as an event of its stream, if at all. */
    failed(error: unknown): void;
}

/** The time for which a request that generates is worked at. */
export class Lifetime {
    readonly id: string;
    readonly created = Math.floor(Date.now() / 1000);
    readonly #start = performance.now();
    readonly #running: Running;
    readonly #controller = new AbortController();
    readonly #service: Service;
    readonly #timer: NodeJS.Timeout;
    readonly #sources: readonly AbortSignal[];

    constructor(
        service: Service,
        request: Request,
        {prefix, alignment}: {prefix: string; alignment: Alignment | undefined}
    ) {
        this.id = `${prefix}-${randomUUID().replaceAll("-", "")}`;
        this.#service = service;
        const {timeout} = service.options;
        const late = () =>
            this.#controller.abort(new ApiError(408, `The answer took longer than ${timeout} s.`, {code: "timeout"}));
        this.#timer = setTimeout(late, timeout * 1000);
        this.#timer.unref();
        // Each of its answers listens while it waits; above ten of them Node would warn of a leak.
        setMaxListeners(0, this.#controller.signal);
        this.#sources = [request.signal, service.closing];
        for (const source of this.#sources) {
            if (source.aborted) this.leave();
            source.addEventListener("abort", this.leave, {once: true});
        }
        this.#running = new Running(service.engine, alignment);
        service.running.set(this.id, this.#running);
    }

    get signal(): AbortSignal {
        return this.#controller.signal;
    }

    /** Gives the request up: nobody waits for it any more. */
    readonly leave = (): void => {
        this.#controller.abort(new ApiError(503, "The request was given up.", {code: "given_up"}));
    };

    /** What every answer of the request is generated with. */
    get task(): Pick<AnswerTask, "signal" | "running" | "onFirstToken" | "onAbandoned"> {
        const {metrics} = this.#service;
        return {
            signal: this.signal,
            running: this.#running,
            onFirstToken: () => metrics.firstToken((performance.now() - this.#start) / 1000),
            onAbandoned: (tokens) => metrics.abandoned(tokens)
        };
    }

    /** Generates answers in as many sequences as are free. The first failure ends them all. */
    async runAll(
        tasks: readonly {
            tokens: readonly Token[];
            answer: (sequence: LlamaContextSequence) => Promise<Answered>;
        }[]
    ): Promise<Answered[]> {
        const {scheduler} = this.#service.engine;
        const run = async ({tokens, answer}: (typeof tasks)[number]) =>
            await scheduler.run(tokens, this.signal, answer);
        const answered: Answered[] = [];
        const left = tasks.entries();
        // No more of them wait in line at a time than there are sequences, so that many leave room for other requests.
        const lines = Array.from({length: Math.min(tasks.length, scheduler.size)}, async () => {
            for (const [i, task] of left) answered[i] = await run(task);
        });
        try {
            await Promise.all(lines);
            // A batch that waits to be decoded goes first, and what is told of these answers does not hold it up.
            await setImmediate();
            return answered;
        } catch (error) {
            this.leave();
            await Promise.allSettled(lines);
            throw error;
        }
    }

    /** To be called when the request has been answered. */
    end(): void {
        clearTimeout(this.#timer);
        for (const source of this.#sources) source.removeEventListener("abort", this.leave);
        this.#service.running.delete(this.id);
    }
}
