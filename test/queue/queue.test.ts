/** The queue itself: what is refused, what is shown, and what is never shown. */
import {execFileSync, spawn, spawnSync} from "node:child_process";
import {once} from "node:events";
import {readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {createInterface} from "node:readline";
import {pathToFileURL} from "node:url";
import {Queue} from "bullmq";
import {Redis} from "ioredis";
import {describe, expect, it} from "vitest";
import {openBoard} from "../../lib/queue/board.js";
import {connect} from "../../lib/queue/connect.js";
import {Coordinator} from "../../lib/queue/coordinator.js";
import {decodeResult, encodeResult} from "../../lib/queue/encode.js";
import {keys, queueName} from "../../lib/queue/names.js";
import {asScores, asTrajectories} from "../../lib/queue/results.js";
import {mara, root, temporaryFolder} from "../cli/helpers.js";
import {failure} from "../support/failure.js";
import {describeWithRedis, queueOfTests, until} from "./helpers.js";
import {TestRedis} from "./redis.js";

const hasOpenssl = spawnSync("openssl", ["version"]).status === 0;
const hash = "a".repeat(64);

/** The first two lines of `mara status --watch --json`, which Ctrl-C ends. */
async function watched(url: string): Promise<unknown[]> {
    const child = spawn(process.execPath, ["--import", "tsx", "lib/cli/mara.ts", "status", "--watch", "--json"], {
        cwd: root,
        env: {...process.env, MARA_QUEUE: url},
        stdio: ["ignore", "pipe", "inherit"]
    });
    const lines: unknown[] = [];
    for await (const line of createInterface(child.stdout)) {
        lines.push(JSON.parse(line));
        if (lines.length === 2) child.kill("SIGINT");
    }
    if (child.exitCode === null) await once(child, "exit");
    expect(child.exitCode).toBe(0);
    return lines.slice(0, 2);
}

describe("Results", () => {
    it("arrive as they were sent, and smaller", async () => {
        const states = Float32Array.from({length: 4096}, (_, i) => Math.sin(i) * 3);
        const value = [{text: "é", tokens: [1, 2], states}, {states: new Uint8Array([1, 2, 3])}];
        const bytes = await encodeResult(value);
        expect(bytes.length).toBeLessThan(states.byteLength);
        expect(await decodeResult(bytes)).toEqual(value);
    });

    it("are refused where they are none, or not what was asked for", async () => {
        const whole = await encodeResult([{score: 1, spans: []}]);
        for (const bytes of [Buffer.from("no"), whole.subarray(0, -3), Buffer.alloc(0)])
            expect(await failure(() => decodeResult(bytes))).toMatchObject({code: "QUEUE_JOB"});
        for (const value of [
            null,
            [],
            [{score: Number.NaN, spans: []}],
            [{score: 1, spans: [{start: 0, end: 9, score: 1}]}],
            [{score: "1", spans: []}]
        ])
            expect(await failure(() => asScores(value, ["four"]))).toMatchObject({code: "QUEUE_JOB"});
        const trajectory = {text: "", tokens: [1], tokenSpans: [[0, 0]], ended: "eog", decisions: [], width: 4};
        const asked = {prompts: [{prompt: "?"}], width: 8, withStates: true};
        for (const states of [new Float32Array(8), "none"])
            expect(await failure(() => asTrajectories([{...trajectory, states}], asked))).toMatchObject({
                code: "QUEUE_JOB"
            });
    });
});

describe("Without the optional packages", () => {
    const folder = temporaryFolder();

    it("it says which to install", {timeout: 60_000}, async () => {
        writeFileSync(
            join(folder, "hooks.mjs"),
            `export async function resolve(name, context, next) {
                if (name === "bullmq") throw Object.assign(new Error("Cannot find package 'bullmq'"), {code: "ERR_MODULE_NOT_FOUND"});
                return next(name, context);
            }`
        );
        const register = join(folder, "register.mjs");
        writeFileSync(register, 'import {register} from "node:module"; register("./hooks.mjs", import.meta.url);');
        const env = {NODE_OPTIONS: `--import ${pathToFileURL(register)}`};
        const {code, stderr} = await mara(["status", "--queue", "redis://127.0.0.1:6379"], {env});
        expect(code).toBe(1);
        expect(stderr).toMatch(/cannot be loaded .*Run: npm install bullmq ioredis \(QUEUE_MISSING\)/);
    });
});

describeWithRedis("A worker", () => {
    const {redis, worker} = queueOfTests();

    it("does nothing that is no job, or asks for what it should not", {timeout: 60_000}, async () => {
        const {url} = await redis();
        const one = await worker();
        const files = one.description.files.map(({sha256}) => sha256);
        const needs = {label: "anything", files: [], modules: []};
        const name = queueName(one.version, needs);
        const client = new Redis(url, {maxRetriesPerRequest: null});
        const queue = new Queue(name, {connection: client, prefix: "mara"});
        const announce = async (queueName: string, want: object) => {
            await client.sadd(keys.wanted, queueName);
            await client.set(keys.want(queueName), JSON.stringify(want));
        };
        try {
            const items = [{prompt: {prompt: "?"}, response: "!"}];
            const score = {kind: "score", reward: "length", files: {}, timeoutMs: 1000, retries: 0, items};
            const context = {contextSize: 64, sequences: 1};
            const asked = {context, maxTokens: 4, firstIndex: 0, seed: 0, sampling: {}, texts: [[1]]};
            const answer = {kind: "answer", model: files[0], ...asked};
            const jobs: [object, string][] = [
                [{kind: "run", command: "id"}, "This is no job"],
                [{...score, extra: 1}, "This is no job"],
                [{...score, items: [{prompt: {prompt: 7}, response: "!"}]}, "This is no job"],
                [{...score, files: {"../../etc/passwd": "passwd"}}, "This is no job"],
                [{...answer, guide: {kind: "value", tuned: "/etc/passwd.gguf"}}, "This is no job"],
                [{...answer, guide: {kind: "guidance", scale: 1, negativePrompt: "", tuned: hash}}, "This is no job"],
                [answer, "its queue is not for"],
                // What it has, but in a queue for something else.
                [{...score, reward: "judge:x.gguf", files: {"x.gguf": files[0]}}, "its queue is not for"],
                [{...score, reward: "judge:/etc/passwd.gguf"}, "without its hash"],
                [{...score, reward: "module:/etc/passwd"}, "without its hash"]
            ];
            for (const [data] of jobs) await queue.add("any", data, {attempts: 1});
            await announce(name, {version: one.version, ...needs});
            // A queue under a name that is not its own is not served, nor one that asks for what the worker lacks.
            await announce(`${name}x`, {version: one.version, ...needs});
            await announce(queueName(one.version, {...needs, files: [hash]}), {
                version: one.version,
                ...needs,
                files: [hash]
            });
            await until(async () => (await queue.getFailedCount()) === jobs.length);
            const failed = await queue.getFailed();
            const reasons = failed.map(({data, failedReason}) => [data, failedReason]);
            for (const [data, reason] of jobs) expect(reasons).toContainEqual([data, expect.stringContaining(reason)]);
            expect(one.description).toMatchObject({done: 0, failed: jobs.length});
        } finally {
            await queue.close();
            client.disconnect();
        }
    });

    it("is shown by mara status, with its jobs", {timeout: 60_000}, async () => {
        const {url} = await redis();
        const one = await worker();
        const coordinator = await Coordinator.open(url);
        const queue = coordinator.queue({label: "three words", files: [], modules: []});
        const items = [{prompt: {prompt: "?"}, response: "one two three"}];
        const job = {kind: "score", reward: "length", files: {}, timeoutMs: 1000, retries: 0, items} as const;
        expect(await queue.run(job)).toEqual([{score: 3, spans: []}]);
        // Nobody can do this one.
        const other = coordinator.queue({label: "a model that nobody has", files: [hash], modules: []});
        const waiting = other.run(job).catch(() => undefined);
        const status = async (...args: string[]) =>
            (await mara(["status", ...args], {env: {MARA_QUEUE: url, COLUMNS: "200"}})).stdout;
        await until(async () => {
            const {workers} = JSON.parse(await status("--json"));
            return workers.some(({id}: {id: string}) => id === one.id);
        });
        const {address, workers, queues} = JSON.parse(await status("--json"));
        expect(address).toBe(url);
        expect(workers.find(({id}: {id: string}) => id === one.id)).toMatchObject({
            pid: process.pid,
            version: one.version,
            files: [expect.objectContaining({name: "model.gguf"})]
        });
        expect(queues).toContainEqual(
            expect.objectContaining({label: "a model that nobody has", waiting: 1, active: 0, workers: 0})
        );
        const board = await openBoard(url, 0);
        const shown = await (await fetch(`${board.url}/api/queues`)).text();
        expect(shown).toContain(queueName(one.version, other.needs));
        expect(await (await fetch(board.url)).text()).toMatch(/<title>Bull Dashboard/);
        await board.close();
        expect(await status()).toMatch(/a model that nobody has +1 +0 +0 +0/);
        expect(await watched(url)).toMatchObject([{address: url}, {address: url}]);
        await coordinator.close();
        await waiting;
    });
});

describeWithRedis("A coordinator", () => {
    it("closes where Redis is gone, and leaves nobody waiting", {timeout: 60_000}, async () => {
        const redis = await TestRedis.start();
        const coordinator = await Coordinator.open(redis.url);
        const queue = coordinator.queue({label: "nothing", files: [hash], modules: []});
        const items = [{prompt: {prompt: "?"}, response: "!"}];
        const job = {kind: "score", reward: "length", files: {}, timeoutMs: 1000, retries: 0, items} as const;
        const waiting = failure(() => queue.run(job));
        await redis.close();
        await until(() => coordinator.connection.redis.status !== "ready");
        await coordinator.close();
        expect(await waiting).toMatchObject({code: "QUEUE_JOB"});
    });
});

describeWithRedis("A connection", () => {
    const folder = temporaryFolder();
    /** A self-signed certificate for 127.0.0.1, made for this test alone. */
    function certificate(folder: string): {key: Buffer; cert: Buffer; path: string} {
        const names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"];
        const [key, path] = [join(folder, "key.pem"), join(folder, "cert.pem")];
        const made = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", key, "-out", path];
        execFileSync("openssl", ["req", "-x509", ...names, ...made], {stdio: "ignore"});
        return {key: readFileSync(key), cert: readFileSync(path), path};
    }

    it.skipIf(!hasOpenssl)("speaks TLS, to whom it trusts (needs openssl)", {timeout: 60_000}, async () => {
        const {path, ...tls} = certificate(folder);
        const redis = await TestRedis.start({tls});
        try {
            const MARA_QUEUE = redis.url;
            const trusting = await mara(["status"], {env: {MARA_QUEUE, NODE_EXTRA_CA_CERTS: path}});
            expect(trusting.stdout).toContain(`rediss://127.0.0.1:${redis.port}: 0 workers`);
            const {code, stderr} = await mara(["status"], {env: {MARA_QUEUE}});
            expect(code).toBe(1);
            expect(stderr).toMatch(/self-signed certificate.*QUEUE_CONNECTION/);
        } finally {
            await redis.close();
        }
    });

    it.each([
        "secret@host",
        "redis:secret@host",
        "http://:secret@host",
        "redis://:secret@host/x",
        "redis://host?password=secret",
        "redis://:secret@host:99999",
        "rediss://user:secret@"
    ])("refuses %s without its password", async (url) => {
        const refused = await failure(() => connect(url));
        expect(refused).toMatchObject({code: "INVALID_ARGUMENT"});
        expect(refused.message).toContain("a URL such as redis://host:6379");
        expect(refused.message).not.toContain("secret");
    });

    it("takes a password, and never shows it", {timeout: 60_000}, async () => {
        const secret = "s3cret/pass";
        const redis = await TestRedis.start({password: secret});
        try {
            const connection = await connect(redis.url);
            expect(await connection.redis.ping()).toBe("PONG");
            expect(connection.address.shown).toBe(`redis://127.0.0.1:${redis.port}`);
            connection.close();
            const wrong = redis.url.replace("s3cret", "wr0ng");
            const refused = await failure(() => connect(wrong));
            expect(refused).toMatchObject({code: "QUEUE_CONNECTION"});
            expect(refused.message).toContain("WRONGPASS");
            expect(refused.message).not.toContain("wr0ng");
            const {code, stdout, stderr} = await mara(["status", "--queue", wrong], {env: {MARA_DEBUG: "1"}});
            expect(code).toBe(1);
            expect(stdout + stderr).toContain("QUEUE_CONNECTION");
            expect(stdout + stderr).not.toContain("wr0ng");
        } finally {
            await redis.close();
        }
    });
});
