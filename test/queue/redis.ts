/** A Redis of a test's own, on a socket file, behind a TCP proxy that can stop: the address stays while Redis comes and goes. */
import {type ChildProcess, spawn, spawnSync} from "node:child_process";
import {once} from "node:events";
import {existsSync, mkdtempSync, rmSync} from "node:fs";
import {type AddressInfo, connect, createServer, type Server, type Socket} from "node:net";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {createServer as createTlsServer, type TlsOptions} from "node:tls";

/** Debian's redis-server, which `.ci/run` installs. */
export const hasRedis = spawnSync("redis-server", ["--version"]).status === 0;

export interface RedisOptions {
    password?: string;
    tls?: TlsOptions;
}

export class TestRedis {
    readonly #folder = mkdtempSync(join(tmpdir(), "mara-redis-"));
    readonly #options: RedisOptions;
    readonly #sockets = new Set<Socket>();
    #process: ChildProcess | undefined;
    #proxy: Server | undefined;
    #stopped = false;

    private constructor(options: RedisOptions) {
        this.#options = options;
    }

    static async start(options: RedisOptions = {}): Promise<TestRedis> {
        const redis = new TestRedis(options);
        await redis.#startServer();
        await redis.#startProxy();
        return redis;
    }

    get port(): number {
        return ((this.#proxy as Server).address() as AddressInfo).port;
    }

    get url(): string {
        const {password, tls} = this.#options;
        const user = password === undefined ? "" : `:${encodeURIComponent(password)}@`;
        return `${tls ? "rediss" : "redis"}://${user}127.0.0.1:${this.port}`;
    }

    get #socket(): string {
        return join(this.#folder, "redis.sock");
    }

    /** What the server does from now on: SIGKILL, and begin again, with what it had or with nothing. */
    async restart({keepData}: {keepData: boolean}): Promise<void> {
        await this.#stopServer();
        if (!keepData) rmSync(join(this.#folder, "appendonlydir"), {recursive: true, force: true});
        await this.#startServer();
    }

    /** Nothing goes through any more, and no connection is ended, as when a cable is pulled. */
    stopNetwork(): void {
        this.#stopped = true;
        for (const socket of this.#sockets) socket.pause();
    }

    resumeNetwork(): void {
        this.#stopped = false;
        for (const socket of this.#sockets) socket.resume();
    }

    /** Ends all connections. */
    cut(): void {
        for (const socket of this.#sockets) socket.destroy();
    }

    async close(): Promise<void> {
        this.cut();
        this.#proxy?.close();
        await this.#stopServer();
        rmSync(this.#folder, {recursive: true, force: true});
    }

    async #startServer(): Promise<void> {
        const {password} = this.#options;
        const options = ["--port", "0", "--unixsocket", this.#socket, "--dir", this.#folder, "--save", ""];
        const keeping = ["--appendonly", "yes", "--appendfsync", "always"];
        const secret = password === undefined ? [] : ["--requirepass", password];
        rmSync(this.#socket, {force: true});
        this.#process = spawn("redis-server", [...options, ...keeping, ...secret], {stdio: "ignore"});
        // It listens once it has read its data.
        while (!existsSync(this.#socket) || !(await this.#answers())) {
            if (this.#process.exitCode !== null) throw new Error("redis-server ended");
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }

    async #answers(): Promise<boolean> {
        const socket = connect(this.#socket);
        try {
            await once(socket, "connect");
            socket.write("PING\r\n");
            const [data] = await once(socket, "data");
            return !String(data).startsWith("-LOADING");
        } catch {
            return false;
        } finally {
            socket.destroy();
        }
    }

    async #stopServer(): Promise<void> {
        const server = this.#process;
        if (server === undefined || server.exitCode !== null || server.signalCode !== null) return;
        const ended = once(server, "exit");
        server.kill("SIGKILL");
        await ended;
    }

    async #startProxy(): Promise<void> {
        const serve = (client: Socket) => {
            const server = connect(this.#socket);
            for (const [from, to] of [
                [client, server],
                [server, client]
            ] as const) {
                this.#sockets.add(from);
                from.on("data", (data) => to.write(data));
                from.on("error", () => undefined);
                from.on("close", () => {
                    this.#sockets.delete(from);
                    to.destroy();
                });
                if (this.#stopped) from.pause();
            }
        };
        const {tls} = this.#options;
        this.#proxy = tls === undefined ? createServer(serve) : createTlsServer(tls, serve);
        this.#proxy.listen(0, "127.0.0.1");
        await once(this.#proxy, "listening");
    }
}
