/** The names that coordinators and workers share in Redis. */
import {createHash} from "node:crypto";
import {packageVersion} from "../package.js";

/** Before every key, BullMQ's included. */
export const prefix = "mara";

/** Milliseconds after which what nobody refreshes is forgotten. */
export const lives = {worker: 15_000, wanted: 60_000, agent: 3_600_000, result: 3_600_000} as const;

/** Milliseconds between two signs of life. */
export const beat = 2000;

export const keys = {
    /** Ids of workers, and each one's description. */
    workers: `${prefix}:workers`,
    worker: (id: string) => `${prefix}:worker:${id}`,
    /** Names of queues, and what a worker needs for each. */
    wanted: `${prefix}:wanted`,
    want: (queue: string) => `${prefix}:want:${queue}`,
    agent: (sha256: string) => `${prefix}:agent:${sha256}`,
    result: (job: string) => `${prefix}:result:${job}`
} as const;

/**
 * What both sides must have in common, since another release may compute other bits: this package's version and
 * node-llama-cpp's.
 */
export async function protocolVersion(): Promise<string> {
    const {getModuleVersion} = await import("node-llama-cpp");
    return `${packageVersion()} on node-llama-cpp ${await getModuleVersion()}`;
}

export function sha256(data: string | Uint8Array): string {
    return createHash("sha256").update(data).digest("hex");
}

/** The files that the jobs of a queue need, by SHA-256; modules are code. */
export interface Needs {
    /** Name for people. */
    label: string;
    files: readonly string[];
    modules: readonly string[];
}

/** One queue for each set of files and each version, so that a worker never gets a job that it cannot do. */
export function queueName(version: string, {files, modules}: Needs): string {
    return `jobs-${sha256(JSON.stringify([version, [...files].sort(), [...modules].sort()])).slice(0, 24)}`;
}
