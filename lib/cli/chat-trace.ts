/** `mara chat --trace FILE.html`: the conversation as a page, token by token. */
import {randomBytes} from "node:crypto";
import {existsSync, renameSync, rmSync, writeFileSync} from "node:fs";
import {basename, dirname, resolve} from "node:path";
import {MaraError} from "../errors.js";
import {type ChatTurn, chatPage} from "../report/chat-page.js";
import {fail} from "./failure.js";
import type {Piece} from "./trace.js";

export class ChatTrace {
    readonly #turns: ChatTurn[] = [];
    readonly #path: string;
    readonly #description: string;

    /** Writes the page when the process ends, in whatever way. @throws MaraError WRITE_FAILED */
    constructor(path: string, description: string) {
        this.#path = resolve(path);
        this.#description = description;
        if (!existsSync(dirname(this.#path)))
            throw new MaraError("WRITE_FAILED", `Could not write ${path}: there is no folder ${dirname(this.#path)}`);
        process.on("exit", () => this.#write());
    }

    /** `pieces` may grow for as long as the answer goes on. */
    begin(side: string, question: string, pieces: readonly Piece[]): void {
        const last = this.#turns.at(-1);
        const answer = {side, pieces};
        if (last?.question === question && !last.answers.some((other) => other.side === side))
            last.answers.push(answer);
        else this.#turns.push({question, answers: [answer]});
    }

    #write(): void {
        if (this.#turns.length === 0) return;
        const temporary = `${this.#path}.${randomBytes(6).toString("hex")}.tmp`;
        try {
            writeFileSync(temporary, chatPage(this.#turns, this.#description), {flag: "wx"});
            renameSync(temporary, this.#path);
        } catch (error) {
            rmSync(temporary, {force: true});
            const reason = (error as Error).message.split(", ")[0];
            fail(new MaraError("WRITE_FAILED", `Could not write ${this.#path}: ${reason}`, {cause: error}));
        }
    }
}

export function describePair(
    options: {model?: string; agent?: string | string[]; weight?: number[]; combine?: string; guide?: string[]},
    threshold: number
): string {
    const name = (path: string | undefined) => (path === undefined ? "the demo's" : basename(path));
    const model = `Model: ${name(options.model)}.`;
    const guides = (options.guide ?? []).map((guide) => ` Guide: ${guide}.`).join("");
    if (guides !== "" && options.agent === undefined && options.model !== undefined)
        return `${model} No agent.${guides}`;
    const [first, ...more] = [options.agent].flat();
    if (more.length === 0) return `${model} Agent: ${name(first)}. Threshold ${threshold}.${guides}`;
    const agents = [first, ...more].map((agent, i) => `${name(agent)} (weight ${options.weight?.[i] ?? 1})`);
    const combined = `combined "${options.combine ?? "weighted"}"`;
    return `${model} Agents: ${agents.join(", ")}, ${combined}. Threshold ${threshold}.${guides}`;
}
