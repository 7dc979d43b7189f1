/** A server on a port. */
import type {Server as HttpServer} from "node:http";
import type {AddressInfo} from "node:net";
import {serve} from "@hono/node-server";
import {invalidArgument, MaraError} from "../errors.js";
import type {Server} from "./server.js";

export interface Listening {
    /** `http://127.0.0.1:8080` */
    url: string;
    /** Stops listening, lets answers end for as long as this, and frees the model. */
    stop(graceSeconds: number): Promise<void>;
}

/** Host names of this machine alone. */
export const loopback = ["127.0.0.1", "localhost", "::1"];

/** `timeout` is that of the server's requests, in seconds. @throws MaraError INVALID_ARGUMENT for a host beyond this machine that nobody guards; SERVER_LISTEN */
export async function listen(
    server: Server,
    options: {host: string; port: number; hasKey: boolean; isOpen: boolean; timeout?: number}
): Promise<Listening> {
    const {host, port, timeout = 600} = options;
    requireGuarded(options);
    const http = await new Promise<HttpServer>((resolve, reject) => {
        const started = serve({fetch: server.fetch, hostname: host, port}, () => resolve(started)) as HttpServer;
        started.once("error", (error: NodeJS.ErrnoException) => {
            const reason = error.code === "EADDRINUSE" ? "the port is in use" : error.message;
            reject(new MaraError("SERVER_LISTEN", `Could not listen on ${host}:${port}: ${reason}`, {cause: error}));
        });
    });
    // An answer that is waited for comes before; what nobody reads is given up.
    http.setTimeout(2000 * timeout + 1000);
    const {port: given} = http.address() as AddressInfo;
    return {
        url: `http://${host.includes(":") ? `[${host}]` : host}:${given}`,
        stop: async (graceSeconds) => {
            const closed = new Promise((resolve) => http.close(resolve));
            await server.close(graceSeconds);
            http.closeIdleConnections();
            // What was just answered is still on its way; a connection that nobody reads is not waited for.
            const timer = setTimeout(() => http.closeAllConnections(), 1000);
            await closed;
            clearTimeout(timer);
        }
    };
}

/** @throws MaraError INVALID_ARGUMENT */
export function requireGuarded({host, hasKey, isOpen}: {host: string; hasKey: boolean; isOpen: boolean}): void {
    if (loopback.includes(host) || hasKey || isOpen) return;
    throw invalidArgument(
        "--host",
        "an address of this machine alone, as long as there is no --api-key",
        host,
        ". Give a key, or --open-to-everyone if whoever reaches this address may use the model"
    );
}
