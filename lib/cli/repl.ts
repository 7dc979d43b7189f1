/** The conversation loop: questions from --prompt, from a terminal or from a pipe. */
import {createInterface} from "node:readline";
import type {AlignerStats} from "../align/decide/stats.js";
import type {ChatOptions, ChatSides} from "./chat-options.js";
import type {ChatView} from "./chat-view.js";
import {describe, interrupted} from "./failure.js";
import {painter, terminal} from "./format.js";
import {printLines} from "./output.js";
import {parseNumberIn} from "./parse.js";

/** Ends the running answer, if there is one. */
class RunningAnswer {
    #running: AbortController | undefined;

    async during(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
        this.#running = new AbortController();
        try {
            await run(this.#running.signal);
        } catch (error) {
            // Stopped before the first token: node-llama-cpp has no answer to return then.
            if (!this.#running.signal.aborted) throw error;
            printLines(["(stopped)"]);
        } finally {
            this.#running = undefined;
        }
    }

    /** @returns true if there was an answer to end, not yet ended */
    raise(): boolean {
        if (this.#running === undefined || this.#running.signal.aborted) return false;
        this.#running.abort();
        return true;
    }
}

export async function converse(sides: ChatSides, view: ChatView, options: ChatOptions): Promise<void> {
    const running = new RunningAnswer();
    // A terminal in raw mode sends Ctrl-C as a key, which readline turns into its own event; this is for the other cases.
    const onSignal = () => {
        if (options.prompt === undefined || !running.raise()) process.exit(interrupted);
        process.exitCode = interrupted;
    };
    process.on("SIGINT", onSignal);
    try {
        const ask = (question: string) => running.during((signal) => view.ask(question, signal));
        if (options.prompt !== undefined) await ask(options.prompt);
        else if (process.stdin.isTTY) await atTerminal(sides, view, ask, running);
        else await fromPipe(ask);
    } finally {
        process.off("SIGINT", onSignal);
    }
}

async function fromPipe(ask: (question: string) => Promise<void>): Promise<void> {
    for await (const line of createInterface({input: process.stdin})) if (line.trim() !== "") await ask(line);
}

async function atTerminal(
    sides: ChatSides,
    view: ChatView,
    ask: (question: string) => Promise<void>,
    running: RunningAnswer
): Promise<void> {
    const paint = painter(terminal().color);
    const lines = createInterface({input: process.stdin, output: process.stdout, prompt: paint("cyan", "> ")});
    lines.on("SIGINT", () => {
        if (!running.raise()) lines.close();
    });
    lines.on("close", () => running.raise());
    view.greet();
    lines.prompt();
    for await (const line of lines) {
        const text = line.trim();
        if (text === "/exit" || text === "/quit") break;
        if (text.startsWith("/")) await runCommand(text, sides);
        else if (text !== "") await ask(text);
        lines.prompt();
    }
    lines.close();
    process.stdout.write("\n");
}

const help = [
    "/threshold P   accept probability that a token must exceed, from now on",
    "/align on|off  whether the agent decides",
    "/stats         what the agent has done so far",
    "/clear         forget the conversation",
    "/exit          leave; so does Ctrl-C or Ctrl-D"
];

async function runCommand(text: string, {aligned, raw, aligner}: ChatSides): Promise<void> {
    const [name, value = ""] = text.split(/\s+/);
    try {
        if (name === "/threshold") {
            const threshold = parseNumberIn("/threshold", 0, 1)(value);
            aligner.configure({threshold});
            printLines([`A token is accepted from now on if its accept probability is above ${threshold}.`]);
        } else if (name === "/align" && /^(on|off)$/.test(value)) {
            aligner.enabled = value === "on";
            printLines([aligner.enabled ? "The agent decides." : "The model answers as it is, without the agent."]);
        } else if (name === "/stats") {
            printLines(describeStats(aligned.stats() ?? aligner.stats()));
        } else if (name === "/clear") {
            await Promise.all([aligned.reset(), raw?.reset()]);
            printLines(["The conversation is forgotten."]);
        } else {
            printLines(help);
        }
    } catch (error) {
        printLines([describe(error)]);
    }
}

function describeStats(stats: AlignerStats): string[] {
    const {generatedTokens, decisions, fallbacks, decodes, acceptedRanks, opinions} = stats;
    const several = opinions.length > 1 ? opinions : [];
    return [
        `${generatedTokens} tokens, ${decisions} decisions, ${fallbacks} with nothing accepted, ${decodes} decodes`,
        `accepted by rank, best first: ${acceptedRanks.join(" ") || "none"}`,
        ...several.map(({given, accepted}, i) => `agent ${i + 1}: accepted ${accepted} of ${given} candidates`)
    ];
}
