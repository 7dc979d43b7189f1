/** `npm run soak:serve -- [--minutes N] [--connections N]`: `mara serve` under autocannon, whose clients go away at random (docs/server.md). */
import {type ChildProcess, spawn, spawnSync} from "node:child_process";
import {once} from "node:events";
import {existsSync} from "node:fs";
import {createRequire} from "node:module";
import path from "node:path";
import {setTimeout as sleep} from "node:timers/promises";
import {parseArgs} from "node:util";
import {growthOf} from "./memory.js";

const {values} = parseArgs({
    options: {minutes: {type: "string", default: "10"}, connections: {type: "string", default: "64"}}
});
const minutes = Number(values.minutes);
const connections = Number(values.connections);
if (!(minutes > 0) || !Number.isInteger(connections))
    throw new Error("Expected --minutes above 0 and a whole number of --connections");

const root = path.resolve(import.meta.dirname, "../..");
const folder = path.join(root, ".test-models", "autocannon");
const parallel = 8;
const growthMax = 0.05;

/** autocannon's client, as far as it is used here. */
interface Client {
    parser: {reinitialize(type: string): void};
    destroyed: boolean;
    _resetConnection(): void;
}
type Autocannon = (options: object) => Promise<{
    requests: {total: number};
    errors: number;
    timeouts: number;
    mismatches: number;
    statusCodeStats: Record<string, {count: number}>;
}>;

const question = (content: string) => [{role: "user", content}];
const bodies: [path: string, body: object][] = [
    ["/v1/chat/completions", {model: "demo", messages: question("Can I bring my dog?"), stream: true}],
    ["/v1/chat/completions", {model: "demo:agent", messages: question("Where is the sauna?"), stream: true}],
    ["/v1/chat/completions", {model: "demo:agent", messages: question("Is breakfast included?"), n: 2}],
    ["/v1/chat/completions", {model: "demo:agent", messages: question("When is check-out?"), mara: {trace: true}}],
    [
        "/v1/chat/completions",
        {model: "demo", messages: question("Where can I park?"), response_format: {type: "json_object"}, max_tokens: 40}
    ],
    ["/v1/completions", {model: "demo", prompt: "The breakfast room is on", echo: true, logprobs: 1, max_tokens: 1}],
    ["/v1/completions", {model: "demo:agent", prompt: ["Good", "The pool"], stream: true, max_tokens: 24}],
    ["/v1/responses", {model: "demo:agent", input: "Do you have a gym?", stream: true}]
];

const autocannon = fetchAutocannon();
const {child, url} = await startServer();
const memory: number[] = [];
const started = performance.now();
const timer = setInterval(async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    memory.push(Number(/^mara_resident_bytes (\S+)$/m.exec(text)?.[1]) / 2 ** 20);
}, 5000);
let left = 0;
const result = await autocannon({
    url,
    connections,
    duration: minutes * 60,
    timeout: 300,
    headers: {"content-type": "application/json"},
    requests: bodies.map(([where, body]) => ({method: "POST", path: where, body: JSON.stringify(body)})),
    // A stream that fails says so in its last event.
    verifyBody: (body: string) => !/^(data: )?\{"error"|^event: error/m.test(body) || body.includes("server_busy"),
    setupClient: (client: Client) => void leaveAtRandom(client)
});
clearInterval(timer);
const failures: string[] = [];
for (const status of Object.keys(result.statusCodeStats))
    if (!["200", "429"].includes(status)) failures.push(`There was a status ${status}`);
for (const kind of ["errors", "timeouts", "mismatches"] as const)
    if (result[kind] > 0) failures.push(`autocannon counted ${result[kind]} ${kind}`);
const freed = await secondsUntilIdle();
if (freed === undefined) failures.push("Sequences were still busy 30 seconds after the last client had gone");
const growth = growthOf(memory);
if (memory.length >= 12 && growth > growthMax) failures.push(`Memory grew by ${(growth * 100).toFixed(1)} %`);
child.kill("SIGTERM");
const [code] = await once(child, "exit");
if (code !== 0) failures.push(`The server ended with ${code}`);

const count = (status: number) => result.statusCodeStats[status]?.count ?? 0;
const rows: [string, string | number][] = [
    ["minutes", ((performance.now() - started) / 60_000).toFixed(1)],
    ["connections", connections],
    ["answered with 200", count(200)],
    ["answered with 429", count(429)],
    ["connections that went away in mid-request", left],
    ["errors, time-outs, failed streams", result.errors + result.timeouts + result.mismatches],
    ["seconds until every sequence was free", freed?.toFixed(1) ?? "more than 30"],
    ["resident memory, first to last, MB", `${memory[0]?.toFixed(0)} to ${memory.at(-1)?.toFixed(0)}`],
    ["growth after the first third", `${(growth * 100).toFixed(1)} %`]
];
console.log("| What | Number |\n| --- | ---: |");
for (const [name, value] of rows) console.log(`| ${name} | ${value} |`);
for (const failure of failures) console.log(`\n${failure}`);
process.exitCode = failures.length === 0 ? 0 : 1;

async function leaveAtRandom(client: Client): Promise<void> {
    while (!client.destroyed) {
        await sleep(Math.random() * 20_000);
        if (client.destroyed) return;
        left++;
        // What had come of the answer is no beginning of the next one.
        client.parser.reinitialize("RESPONSE");
        client._resetConnection();
    }
}

async function secondsUntilIdle(): Promise<number | undefined> {
    const start = performance.now();
    for (;;) {
        const {busy, waiting} = (await (await fetch(`${url}/health`)).json()) as {busy: number; waiting: number};
        const seconds = (performance.now() - start) / 1000;
        if (busy === 0 && waiting === 0) return seconds;
        if (seconds > 30) return undefined;
        await sleep(50);
    }
}

/** The command as it is built. It has room for a request of every connection and answers 429 to some of those that are several. */
async function startServer(): Promise<{child: ChildProcess; url: string}> {
    const mara = path.join(root, "dist", "cli", "mara.js");
    const options = ["--port", "0", "--gpu", "off", "--threads", "1", "--context-size", "512", "--log", "off"];
    const queue = ["--parallel", String(parallel), "--queue", String(connections - parallel)];
    // As in the other soak: otherwise freed buffers stay with the thread that allocated them.
    const env = {...process.env, MALLOC_MMAP_THRESHOLD_: String(128 * 1024)};
    // What nobody collected yet is no growth.
    const collecting = ["--expose-gc", "--import", "data:text/javascript,setInterval(gc, 5000).unref()"];
    const server = spawn(process.execPath, [...collecting, mara, "serve", ...options, ...queue], {
        env,
        stdio: ["ignore", "pipe", "inherit"]
    });
    for await (const line of server.stdout) {
        const [, found] = /^Listening on (\S+)$/m.exec(String(line)) ?? [];
        if (found !== undefined) return {child: server, url: found};
    }
    throw new Error("The server did not start");
}

function fetchAutocannon(): Autocannon {
    if (!existsSync(path.join(folder, "node_modules", "autocannon")))
        spawnSync(
            "npm",
            ["install", "--silent", "--no-save", "--ignore-scripts", "--prefix", folder, "autocannon@9.0.0"],
            {
                stdio: "inherit"
            }
        );
    return createRequire(path.join(folder, "package.json"))("autocannon") as Autocannon;
}
