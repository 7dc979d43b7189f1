/** `mara chat --trace FILE.html`: the conversation as a page, token by token. */
import {randomBytes} from "node:crypto";
import {existsSync, renameSync, rmSync, writeFileSync} from "node:fs";
import {basename, dirname, resolve} from "node:path";
import {MaraError} from "../errors.js";
import {escapeHtml, htmlPage} from "../report/page.js";
import {pageTokens, tokenLegend, tokenScript, tokenStyle} from "../report/token-script.js";
import {fail} from "./failure.js";
import type {Piece} from "./trace.js";

interface Turn {
    question: string;
    answers: {side: string; pieces: readonly Piece[]}[];
}

export class ChatTrace {
    readonly #turns: Turn[] = [];
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

function chatPage(turns: readonly Turn[], description: string): string {
    const body = turns.map(({question, answers}, i) => {
        const columns = answers.map(({side, pieces}, j) => {
            const text = escapeHtml(pieces.map((piece) => piece.text).join(""));
            const name = answers.length > 1 ? `<h3>${escapeHtml(side)}</h3>` : "";
            return `<section>${name}<p class="answer" role="group" aria-label="${escapeHtml(side)} answer, token by token" data-at="${i}.${j}">${text}</p></section>`;
        });
        return `<article><h2 class="question">${escapeHtml(question)}</h2><div class="columns">${columns.join("")}</div></article>`;
    });
    const data = turns.map(({answers}) =>
        answers.map(({pieces}) => pieces.map(({thought, ...piece}) => ({thought, tokens: pageTokens([piece])})))
    );
    return htmlPage({
        title: "Conversation, token by token",
        body: `<h1>Conversation</h1><p class="lead">${escapeHtml(description)}</p>${tokenLegend}${body.join("\n")}`,
        charts: [],
        data,
        style: tokenStyle + style,
        script: tokenScript + script
    });
}

export function describePair(
    options: {model?: string; agent?: string | string[]; weight?: number[]; combine?: string},
    threshold: number
): string {
    const name = (path: string | undefined) => (path === undefined ? "the demo's" : basename(path));
    const [first, ...more] = [options.agent].flat();
    if (more.length === 0) return `Model: ${name(options.model)}. Agent: ${name(first)}. Threshold ${threshold}.`;
    const agents = [first, ...more].map((agent, i) => `${name(agent)} (weight ${options.weight?.[i] ?? 1})`);
    const combined = `combined "${options.combine ?? "weighted"}"`;
    return `Model: ${name(options.model)}. Agents: ${agents.join(", ")}, ${combined}. Threshold ${threshold}.`;
}

const style = `
article { border-top: 1px solid var(--line); padding: .3rem 0 1rem; }
.question { font-size: 1.0625rem; margin: 1rem 0 .5rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: .4rem 2.5rem; }
.columns h3 { margin: .3rem 0; color: var(--muted); }
.answer { max-width: 46rem; }
.thought { color: var(--muted); font-style: italic; }
`;

const script = `
for (const place of document.querySelectorAll(".answer")) {
    const [turn, side] = place.dataset.at.split(".");
    place.replaceChildren();
    for (const {thought, tokens} of pageData[turn][side])
        showTokens(thought ? place.appendChild(make("span", "thought")) : place, tokens);
}
`;
