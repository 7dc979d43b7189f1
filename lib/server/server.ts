import {setMaxListeners} from "node:events";
import {createApp, failureEntry} from "./app.js";
import {Engine} from "./engine.js";
import {Metrics} from "./metrics.js";
import {resolveOptions, type ServerOptions} from "./options.js";
import type {Service} from "./service.js";

/** A model, plain and aligned, behind OpenAI's HTTP interface. Made by `createServer`. */
export interface Server {
    /** Answers one request; failures are responses in OpenAI's form. It mounts wherever fetch handlers do: `app.mount("/llm", server.fetch)` in Hono, a route handler in Next.js. */
    fetch(request: Request): Promise<Response>;
    /** Names that requests may have as `model`. */
    readonly models: readonly string[];
    /**
     * Takes no more requests, and lets answers end that have begun.
     * @param graceSeconds after which they are broken off; default 30
     */
    close(graceSeconds?: number): Promise<void>;
}

/**
 * Makes a model available, plain and aligned, to every program that speaks to an OpenAI server (docs/server.md). It listens
 * nowhere itself.
 *
 * @throws MaraError INVALID_ARGUMENT, MODEL_NOT_FOUND, MODEL_UNSUPPORTED; as `MaraAgent.load` and `createAlignedContext` do
 * @example
 * const server = await createServer({model: "model.gguf", agents: {kind: "kind.safetensors"}});
 * serve({fetch: server.fetch, port: 8080}); // of @hono/node-server
 */
export async function createServer(options: ServerOptions): Promise<Server> {
    const resolved = resolveOptions(options);
    const engine = await Engine.open(resolved);
    const closing = new AbortController();
    // Every request that goes on listens to it; above ten of them Node would warn of a leak.
    setMaxListeners(0, closing.signal);
    const service: Service = {
        engine,
        options: resolved,
        metrics: new Metrics(engine),
        running: new Map(),
        closing: closing.signal,
        failed: (error) => resolved.log?.(failureEntry(error))
    };
    const app = createApp(service);
    let closed: Promise<void> | undefined;
    const close = async (graceSeconds: number) => {
        const timer = setTimeout(() => closing.abort(), graceSeconds * 1000);
        await engine.scheduler.close();
        clearTimeout(timer);
        await engine.close();
    };
    return {
        fetch: async (request) => await app.fetch(request),
        models: engine.modelNames,
        close: (graceSeconds = 30) => {
            closed ??= close(graceSeconds);
            return closed;
        }
    };
}
