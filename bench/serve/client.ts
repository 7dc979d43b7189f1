import {type ChildProcess, fork} from "node:child_process";
import {once} from "node:events";
import type {Prompt} from "../../lib/prompts/prompts.js";
import {benchFile} from "../harness/tools.js";

export interface Request {
    path: string;
    /** The JSON that is posted; a request without it is a GET. */
    body?: Record<string, unknown>;
}

/** A greedy chat. */
export function chatRequest(model: string, {prompt, system}: Prompt, options: Record<string, unknown>): Request {
    const messages = [
        ...(system === undefined ? [] : [{role: "system", content: system}]),
        {role: "user", content: prompt}
    ];
    return {path: "/v1/chat/completions", body: {model, messages, temperature: 0, ...options}};
}

/** One client for all servers, one act at a time. */
export class Client {
    readonly #process: ChildProcess = fork(benchFile("serve/client-worker.mjs"));

    /** Texts of the answers to chats that are all asked at once. @throws Error */
    async answers(url: string, requests: readonly Request[]): Promise<string[]> {
        return await this.#ask("answers", url, requests);
    }

    /** Milliseconds from each request, one after another, until the first text of its stream. @throws Error */
    async firstText(url: string, requests: readonly Request[]): Promise<number[]> {
        return await this.#ask("firstText", url, requests);
    }

    /** Milliseconds from each request, one after another, until its whole answer. @throws Error */
    async whole(url: string, requests: readonly Request[]): Promise<number[]> {
        return await this.#ask("whole", url, requests);
    }

    async #ask<T>(act: string, url: string, requests: readonly Request[]): Promise<T> {
        this.#process.send({act, url, requests});
        const [{result, error}] = (await once(this.#process, "message")) as [{result: T; error?: string}];
        if (error !== undefined) throw new Error(error);
        return result;
    }

    close(): void {
        this.#process.kill();
    }
}
