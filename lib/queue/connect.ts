/** The connection to Redis: its address, which never shows its password, and the two packages that talk to it. */
import {isIP} from "node:net";
import type {Redis, RedisOptions} from "ioredis";
import {invalidArgument, MaraError, reasonOf} from "../errors.js";

export interface QueueLibraries {
    bullmq: typeof import("bullmq");
    ioredis: Pick<typeof import("ioredis"), "Redis">;
}

/** @throws MaraError QUEUE_MISSING */
async function loadLibraries(): Promise<QueueLibraries> {
    try {
        const [bullmq, ioredis] = await Promise.all([import("bullmq"), import("ioredis")]);
        return {bullmq, ioredis};
    } catch (error) {
        throw new MaraError(
            "QUEUE_MISSING",
            `Queues need the packages bullmq and ioredis, which cannot be loaded (${reasonOf(error).split("\n")[0]}). ` +
                "Run: npm install bullmq ioredis",
            {cause: error}
        );
    }
}

/** A queue's address: redis://[user:password@]host[:port][/database], rediss:// for TLS. */
export class QueueAddress {
    /** The address without user and password. */
    readonly shown: string;
    readonly #url: URL;

    /** @throws MaraError INVALID_ARGUMENT; neither it nor anything else shows a password */
    constructor(text: string) {
        const url = URL.canParse(text) ? new URL(text) : undefined;
        const usable = (url?.protocol === "redis:" || url?.protocol === "rediss:") && url.hostname !== "";
        if (url === undefined || !usable || !/^(\/\d*)?$/.test(url.pathname) || /[?#]/.test(url.href))
            throw invalidArgument("queue", "a URL such as redis://host:6379 or rediss://:password@host", hidden(text));
        this.#url = url;
        this.shown = `${url.protocol}//${url.host}${url.pathname}`;
    }

    options(): RedisOptions {
        const {hostname, port, username, password, pathname, protocol} = this.#url;
        const host = hostname.replace(/^\[|\]$/g, "");
        return {
            host,
            port: port === "" ? 6379 : Number(port),
            db: Number(pathname.slice(1)),
            ...(username === "" ? {} : {username: decodeURIComponent(username)}),
            ...(password === "" ? {} : {password: decodeURIComponent(password)}),
            ...(protocol === "rediss:" ? {tls: isIP(host) === 0 ? {servername: host} : {}} : {})
        } as RedisOptions;
    }

    /** What was said about a connection, without the password. */
    clean(text: string): string {
        const secrets = [this.#url.password, decodeURIComponent(this.#url.password)].filter((secret) => secret !== "");
        return secrets.reduce((cleaned, secret) => cleaned.replaceAll(secret, "***"), text);
    }
}

/** Anything before "@" may hold a password, and so may a query. */
function hidden(text: string): string {
    return text.replace(/^([a-z]+:\/\/)?.*@/is, "$1***@").replace(/\?.*$/s, "?***");
}

/** Milliseconds that the first connection may take. */
const patience = 10_000;

export interface QueueConnection extends QueueLibraries {
    address: QueueAddress;
    redis: Redis;
    /** A connection of its own, for what blocks. */
    duplicate(): Redis;
    /** Ends these connections. */
    close(): void;
}

/**
 * Connects, and stays connected: what is asked while the connection is lost waits for it.
 * @throws MaraError QUEUE_MISSING, QUEUE_CONNECTION, INVALID_ARGUMENT
 */
export async function connect(url: string): Promise<QueueConnection> {
    const address = new QueueAddress(url);
    const libraries = await loadLibraries();
    const options: RedisOptions = {
        ...address.options(),
        maxRetriesPerRequest: null,
        retryStrategy: (times) => Math.min(2000, 50 * 2 ** Math.min(times, 6)),
        connectTimeout: patience,
        // A line that is cut without a word is noticed within a minute.
        keepAlive: 10_000,
        lazyConnect: true
    };
    const redis = new libraries.ioredis.Redis({...options, replyMapping: "legacy"});
    let reason = "it does not answer";
    let told = false;
    let closed = false;
    let ready = false;
    redis.on("error", (error) => {
        reason = address.clean(reasonOf(error));
    });
    redis.on("ready", () => {
        told = false;
    });
    redis.on("close", () => {
        if (!ready || told || closed) return;
        told = true;
        process.emitWarning(`The connection to ${address.shown} is lost; waiting for it`, "MaraWarning");
    });
    try {
        let timer: NodeJS.Timeout | undefined;
        const late = new Promise<never>((_, reject) => {
            timer = setTimeout(() => reject(new Error(reason)), patience);
        });
        // A refused password ends the attempt; a refused connection is tried again until the time is over.
        await Promise.race([redis.connect().then(() => redis.ping()), refusal(redis), late]).finally(() =>
            clearTimeout(timer)
        );
        ready = true;
    } catch (error) {
        redis.disconnect();
        throw new MaraError(
            "QUEUE_CONNECTION",
            `Could not use Redis at ${address.shown}: ${address.clean(reasonOf(error))}. Is it running, and is the address right?`
        );
    }
    const others: Redis[] = [];
    return {
        ...libraries,
        address,
        redis,
        duplicate: () => {
            const another = redis.duplicate({lazyConnect: false});
            another.on("error", () => undefined);
            others.push(another);
            return another;
        },
        close: () => {
            closed = true;
            for (const each of [redis, ...others]) each.disconnect();
        }
    };
}

/** Rejects with what Redis itself says against the connection: waiting does not change it. */
function refusal(redis: Redis): Promise<never> {
    return new Promise((_, reject) => {
        redis.on("error", (error) => {
            if (/WRONGPASS|NOAUTH|NOPERM|invalid password|ECONNREFUSED|ENOTFOUND|certificate|SSL|TLS/i.test(`${error}`))
                reject(error);
        });
    });
}
