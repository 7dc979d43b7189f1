/** GET /metrics, for Prometheus. */
import {Counter, Gauge, Histogram, Registry} from "prom-client";
import type {Answered} from "./answer.js";
import type {Engine} from "./engine.js";

const seconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];

export class Metrics {
    readonly #registry = new Registry();
    readonly #requests: Counter;
    readonly #duration: Histogram;
    readonly #firstToken: Histogram;
    readonly #tokens: Counter;
    readonly #decisions: Counter;
    readonly #decodes: Counter;
    readonly #abandoned: Counter;

    constructor({scheduler}: Engine) {
        const registers = [this.#registry];
        this.#requests = new Counter({
            name: "mara_requests_total",
            help: "Requests answered",
            labelNames: ["route", "status"],
            registers
        });
        this.#duration = new Histogram({
            name: "mara_request_seconds",
            help: "Time until a request was answered; of streams, until they began",
            labelNames: ["route"],
            buckets: seconds,
            registers
        });
        this.#firstToken = new Histogram({
            name: "mara_first_token_seconds",
            help: "Time until the first token of an answer, waiting included",
            buckets: seconds,
            registers
        });
        this.#tokens = new Counter({
            name: "mara_tokens_total",
            help: "Tokens: read from prompts, reused of earlier ones, generated",
            labelNames: ["model", "kind"],
            registers
        });
        this.#decisions = new Counter({
            name: "mara_decisions_total",
            help: "Decisions of agents: all, those that changed the token, those in which nothing was accepted",
            labelNames: ["model", "kind"],
            registers
        });
        this.#decodes = new Counter({
            name: "mara_decodes_total",
            help: "Batches of the model that answers took part in",
            labelNames: ["model"],
            registers
        });
        this.#abandoned = new Counter({
            name: "mara_abandoned_tokens_total",
            help: "Tokens generated for answers that were given up",
            registers
        });
        const gauge = (name: string, help: string, value: () => number) =>
            new Gauge({
                name,
                help,
                registers,
                collect() {
                    this.set(value());
                }
            });
        gauge("mara_sequences", "Sequences of the context", () => scheduler.size);
        gauge("mara_sequences_busy", "Sequences that answer", () => scheduler.busy);
        gauge("mara_requests_waiting", "Answers that wait for a sequence", () => scheduler.waiting);
        gauge("mara_resident_bytes", "Resident memory of the process", () => process.memoryUsage.rss());
    }

    request(route: string, status: number, duration: number): void {
        this.#requests.inc({route, status: String(status)});
        this.#duration.observe({route}, duration);
    }

    firstToken(after: number): void {
        this.#firstToken.observe(after);
    }

    abandoned(tokens: number): void {
        this.#abandoned.inc(tokens);
    }

    /** `model` is a name that was found, so that there are few. */
    answered(model: string, {promptTokens, cachedTokens, completionTokens, stats}: Answered): void {
        this.#tokens.inc({model, kind: "prompt"}, promptTokens - cachedTokens);
        this.#tokens.inc({model, kind: "cached"}, cachedTokens);
        this.#tokens.inc({model, kind: "completion"}, completionTokens);
        this.#decisions.inc({model, kind: "all"}, stats.decisions);
        this.#decisions.inc({model, kind: "changed"}, stats.changed);
        this.#decisions.inc({model, kind: "fallback"}, stats.fallbacks);
        this.#decodes.inc({model}, stats.decodes);
    }

    async response(): Promise<Response> {
        const headers = {"content-type": this.#registry.contentType, "cache-control": "no-store"};
        return new Response(await this.#registry.metrics(), {headers});
    }
}
