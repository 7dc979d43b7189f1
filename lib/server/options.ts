import type {LlamaModel} from "node-llama-cpp";
import {z} from "zod";
import type {MaraAgent} from "../agent/agent.js";
import type {Mode} from "../align/context-options.js";
import {invalidArgument} from "../errors.js";
import {check, options as optionsOf} from "../validation/check.js";
import {boolean, func, integer, loadedModel, oneOf, path, text} from "../validation/schemas.js";
import {agentSource} from "../validation/sources.js";

/** What `createServer` takes. */
export interface ServerOptions {
    /** The language model: a .gguf file, or one that is loaded, which stays the caller's to dispose. */
    model: string | LlamaModel;
    /** Name of the model in requests. Default: its file's name without `.gguf`. Without a colon. */
    name?: string;
    /** Agents by the names that requests use, each a file or loaded. Default none: the server answers plainly. */
    agents?: Readonly<Record<string, string | MaraAgent>>;
    /** Sequences of the context: requests that are answered at a time. From 1 to 64. Default 4. */
    parallel?: number;
    /** Tokens of one sequence, prompt and answer together, at most. Default 4096. */
    contextSize?: number;
    /** Threads of the model. Default: node-llama-cpp's choice. */
    threads?: number;
    /** How candidates are evaluated (`AlignedContextOptions.mode`). Default "auto". */
    mode?: "auto" | Mode;
    /** Requests that wait for a sequence, at most; further ones are refused with 429. Default 64. */
    queue?: number;
    /** Seconds after which a request is given up, waiting included. Default 600. */
    timeout?: number;
    /** Largest body of a request, in bytes. Default 1 MiB. */
    maxBodyBytes?: number;
    /** Seconds between two comments that keep a silent stream open. Default 15. */
    keepAlive?: number;
    /** What requests must bring as `Authorization: Bearer KEY`. Default: nothing is asked for. */
    apiKey?: string;
    /** Origins whose pages may use the server from a browser (CORS). Default none. */
    origins?: readonly string[];
    /** Host names that requests may be addressed to, as a guard against DNS rebinding. Default: any. */
    hosts?: readonly string[];
    /** Serves the page at `/`. Default true. */
    page?: boolean;
    /** Takes log lines, one object for each request. Default: none is made. */
    log?: (entry: LogEntry) => void;
    /** Adds the bodies of requests to the log, prompts included. Default false. */
    logPrompts?: boolean;
}

/** One line of the log, as plain data. */
export interface LogEntry {
    level: "info" | "warn" | "error";
    message: string;
    [field: string]: unknown;
}

/** Options with every default filled in. */
export type ResolvedOptions = Required<Omit<ServerOptions, "apiKey" | "threads" | "log" | "name" | "hosts">> &
    Pick<ServerOptions, "apiKey" | "threads" | "log" | "name" | "hosts">;

const names = z.string("a name").regex(/^[^\s:/\\\p{C}]{1,100}$/u, "a name without colons, slashes or white space");

const schema = optionsOf({
    model: z.union([path(), loadedModel], "a path or a LlamaModel of node-llama-cpp"),
    name: names.optional(),
    agents: z.record(names, agentSource, "an object of agents by name").optional(),
    parallel: integer(1, 64).optional(),
    contextSize: integer(64, 2 ** 31 - 1).optional(),
    threads: integer(1, 1024).optional(),
    mode: oneOf(["auto", "lanes", "serial"]).optional(),
    queue: integer(0, 100_000).optional(),
    timeout: z.number("a number of seconds").gt(0, "a number of seconds above 0").max(86_400).optional(),
    maxBodyBytes: integer(1024, 2 ** 30).optional(),
    keepAlive: z.number("a number of seconds").gt(0, "a number of seconds above 0").max(3600).optional(),
    apiKey: text.optional(),
    origins: z.array(text, "an array of origins").optional(),
    hosts: z.array(text, "an array of host names").optional(),
    page: boolean.optional(),
    log: func<NonNullable<ServerOptions["log"]>>().optional(),
    logPrompts: boolean.optional()
});

const defaults = {
    agents: {},
    parallel: 4,
    contextSize: 4096,
    mode: "auto",
    queue: 64,
    timeout: 600,
    maxBodyBytes: 2 ** 20,
    keepAlive: 15,
    origins: [],
    page: true,
    logPrompts: false
} as const;

/** @throws MaraError INVALID_ARGUMENT */
export function resolveOptions(given: ServerOptions): ResolvedOptions {
    const checked = check(schema, given, "options", "");
    const set = Object.fromEntries(Object.entries(checked).filter(([, value]) => value !== undefined));
    const resolved = {...defaults, ...set} as unknown as ResolvedOptions;
    if (resolved.origins.includes("*"))
        throw invalidArgument("origins", "origins such as https://example.com", resolved.origins);
    return resolved;
}
