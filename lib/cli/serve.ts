/** `mara serve`: a model, plain and aligned, behind OpenAI's HTTP interface. */
import {basename} from "node:path";
import {Command} from "commander";
import type {Mode} from "../align/context-options.js";
import {demoName} from "../demo/files.js";
import {invalidArgument} from "../errors.js";
import type {Listening} from "../server/listen.js";
import {visible} from "../visible.js";
import {modeOption} from "./alignment-options.js";
import {printLines} from "./output.js";
import {isDemo, loadModel, openLlama, resolveModel, threadsFor} from "./pair.js";
import {choiceOption, given, integerOption, numberOption} from "./parse.js";
import type {LogFormat} from "./serve-log.js";

const examples = `
Examples:
  $ mara serve                                        the demo's model and agent, and a page to look at them
  $ mara serve -m model.gguf -a kind.safetensors -a brief.safetensors
  $ mara serve -m model.gguf -a tone=agents/v3.safetensors --name helper     as the model helper:tone
  $ MARA_API_KEY=… mara serve -m model.gguf --host 0.0.0.0                   for other machines

Requests name the model alone (plain) or with an agent behind a colon: "model": "model:kind". See docs/server.md.
Ctrl-C or SIGTERM lets answers end; a second one does not.`;

interface ServeOptions {
    model?: string;
    agent: [name: string, path: string][];
    name?: string;
    host: string;
    port: number;
    apiKey?: string;
    openToEveryone?: boolean;
    origin: string[];
    allowHost: string[];
    parallel: number;
    contextSize: number;
    queue: number;
    timeout: number;
    grace: number;
    gpu: string;
    threads?: number;
    mode: "auto" | Mode;
    page: boolean;
    log: LogFormat;
    logPrompts?: boolean;
}

export function serveCommand(): Command {
    const list = (value: string, before: string[]) => [...before, value];
    return new Command("serve")
        .description("Make a model available, plain and aligned, to programs that speak to an OpenAI server")
        .option(
            "-m, --model <path|uri>",
            "language model: a .gguf file, or an hf: URI to download (default: the demo's)"
        )
        .option(
            "-a, --agent <[name=]path>",
            "agent; may be given several times (default: the demo's, with its model)",
            addAgent,
            []
        )
        .option("--name <name>", "name of the model in requests (default: its file's)")
        .option("--host <address>", "address to listen on", "127.0.0.1")
        .addOption(integerOption("--port <n>", "port to listen on; 0 takes a free one", 0, 65_535).default(8080))
        .option(
            "--api-key <key>",
            "key that requests must bring (default: MARA_API_KEY, which other users of the machine cannot see)"
        )
        .option("--open-to-everyone", "listen beyond this machine without a key")
        .option(
            "--origin <origin>",
            "origin whose pages may use the server (CORS); may be given several times",
            list,
            []
        )
        .option(
            "--allow-host <name>",
            "host name under which the server may be addressed without a key; may be given several times",
            list,
            []
        )
        .addOption(integerOption("--parallel <n>", "requests answered at a time", 1, 64).default(4))
        .addOption(
            integerOption("--context-size <n>", "tokens of a prompt and its answer", 64, 10_000_000).default(4096)
        )
        .addOption(integerOption("--queue <n>", "requests that may wait; further ones get 429", 0, 100_000).default(64))
        .addOption(
            numberOption("--timeout <s>", "seconds after which a request is given up", 0, 86_400, true).default(600)
        )
        .addOption(numberOption("--grace <s>", "seconds for answers to end at the end", 0, 86_400).default(30))
        .addOption(
            choiceOption("--gpu <type>", "where the model runs", ["auto", "off", "cuda", "metal", "vulkan"], "auto")
        )
        .addOption(integerOption("--threads <n>", "threads of the model on the CPU (default: as in mara chat)", 1, 256))
        .addOption(modeOption())
        .option("--no-page", "leave out the page at /")
        .addOption(
            choiceOption("--log <format>", "lines on stderr: pretty, json or off", ["pretty", "json", "off"], "pretty")
        )
        .option("--log-prompts", "log what is asked, too")
        .addHelpText("after", examples)
        .action(serve);
}

function addAgent(text: string, before: [string, string][]): [string, string][] {
    const named = /^([^=/\\]+)=(.+)$/.exec(text);
    const path = named?.[2] ?? text;
    const name = named?.[1] ?? basename(path).replace(/\.(safetensors|pth|pt)$/i, "");
    if (before.some(([other]) => other === name))
        throw invalidArgument("--agent", "agents with names of their own (NAME=PATH)", text);
    return [...before, [name, path]];
}

async function serve(options: ServeOptions): Promise<void> {
    const {host, port, grace, timeout, queue, parallel, contextSize, mode, page, logPrompts = false} = options;
    const apiKey = options.apiKey ?? (process.env.MARA_API_KEY || undefined);
    if (apiKey === "") throw invalidArgument("--api-key", "a key that is not empty", apiKey);
    const {listen, loopback, requireGuarded} = await import("../server/listen.js");
    const guarded = {host, hasKey: apiKey !== undefined, isOpen: options.openToEveryone === true};
    requireGuarded(guarded);
    const modelPath = await resolveModel(options.model);
    const agents = options.agent.length === 0 && isDemo(options.model) ? [["agent", demoName]] : options.agent;
    const llama = await openLlama(options.gpu);
    try {
        const model = await loadModel(llama, modelPath);
        const [{createServer}, {serverLog}] = await Promise.all([
            import("../server/server.js"),
            import("./serve-log.js")
        ]);
        const isLocal = loopback.includes(host) && apiKey === undefined;
        const name = options.name ?? (isDemo(options.model) ? demoName : undefined);
        const server = await createServer({
            model,
            agents: Object.fromEntries(agents),
            parallel,
            contextSize,
            queue,
            timeout,
            mode,
            page,
            origins: options.origin,
            logPrompts,
            log: serverLog(options.log),
            ...given({name, apiKey, threads: options.threads ?? threadsFor(llama, modelPath)}),
            ...(isLocal ? {hosts: [...loopback, "[::1]", ...options.allowHost]} : {})
        });
        const listening = await listen(server, {port, timeout, ...guarded}).catch(async (error) => {
            await server.close();
            throw error;
        });
        printLines([
            `Listening on ${listening.url}`,
            `Models: ${server.models.map((one) => visible(one)).join(", ")}`,
            ...(page ? [`To look at them: ${listening.url}/`] : [])
        ]);
        await untilStopped(listening, grace);
    } finally {
        await llama.dispose();
    }
}

/** Waits for SIGINT or SIGTERM, and for the answers that are on their way; a second signal ends the process. */
async function untilStopped(listening: Listening, grace: number): Promise<void> {
    // Waiting for a signal alone would not keep the process alive.
    const alive = setInterval(() => {}, 2 ** 30);
    await new Promise<void>((resolve) => {
        let stopping = false;
        for (const signal of ["SIGINT", "SIGTERM"] as const)
            process.on(signal, () => {
                if (stopping) process.exit(signal === "SIGINT" ? 130 : 143);
                stopping = true;
                resolve();
            });
    });
    await listening.stop(grace);
    clearInterval(alive);
}
