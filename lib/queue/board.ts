/** bull-board: a page of BullMQ's own about queues and jobs, on a port of this machine, to look at only. */
import type {Server} from "node:http";
import type {AddressInfo} from "node:net";
import {serve} from "@hono/node-server";
import {serveStatic} from "@hono/node-server/serve-static";
import type {Queue} from "bullmq";
import {MaraError, reasonOf} from "../errors.js";
import {connect} from "./connect.js";
import {keys, prefix} from "./names.js";

export interface Board {
    /** `http://127.0.0.1:3000` */
    url: string;
    close(): Promise<void>;
}

/** @throws MaraError QUEUE_MISSING */
async function loadBoard() {
    try {
        const [{createBullBoard}, {BullMQAdapter}, {HonoAdapter}] = await Promise.all([
            import("@bull-board/api"),
            import("@bull-board/api/bullMQAdapter"),
            import("@bull-board/hono")
        ]);
        return {createBullBoard, BullMQAdapter, HonoAdapter};
    } catch (error) {
        throw new MaraError(
            "QUEUE_MISSING",
            `The board needs the packages @bull-board/api and @bull-board/hono, which cannot be loaded (${reasonOf(error).split("\n")[0]}). ` +
                "Run: npm install @bull-board/api @bull-board/hono",
            {cause: error}
        );
    }
}

/** Milliseconds between two looks for further queues. */
const lookEvery = 2000;

/** @throws MaraError QUEUE_MISSING, QUEUE_CONNECTION, SERVER_LISTEN */
export async function openBoard(address: string, port: number): Promise<Board> {
    const {createBullBoard, BullMQAdapter, HonoAdapter} = await loadBoard();
    const connection = await connect(address);
    const {redis, bullmq} = connection;
    const adapter = new HonoAdapter(serveStatic);
    const {addQueue} = createBullBoard({queues: [], serverAdapter: adapter});
    const queues = new Map<string, Queue>();
    const look = async () => {
        for (const name of await redis.smembers(keys.wanted)) {
            if (queues.has(name)) continue;
            const queue = new bullmq.Queue(name, {connection: redis, prefix, skipMetasUpdate: true});
            queue.on("error", () => undefined);
            queues.set(name, queue);
            addQueue(new BullMQAdapter(queue, {readOnlyMode: true}));
        }
    };
    const close = async () => {
        for (const queue of queues.values()) await queue.close();
        connection.close();
    };
    let server: Server;
    try {
        await look();
        const {fetch} = adapter.registerPlugin();
        server = await new Promise<Server>((resolve, reject) => {
            const started = serve({fetch, hostname: "127.0.0.1", port}, () => resolve(started)) as Server;
            started.once("error", reject);
        });
    } catch (error) {
        await close();
        throw new MaraError("SERVER_LISTEN", `Could not show the board on port ${port}: ${reasonOf(error)}`, {
            cause: error
        });
    }
    const timer = setInterval(() => void look().catch(() => undefined), lookEvery);
    return {
        url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
        close: async () => {
            clearInterval(timer);
            server.closeAllConnections();
            await new Promise((resolve) => server.close(resolve));
            await close();
        }
    };
}
