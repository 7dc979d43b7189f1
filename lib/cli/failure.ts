/** Failures as the command line reports them: one line on stderr, an exit code, and a stack only for those who ask. */
import {inspect} from "node:util";
import {CommanderError} from "commander";
import {MaraError} from "../errors.js";
import {visible} from "../visible.js";

/** The exit code that a shell reports for a program that Ctrl-C ended. */
export const interrupted = 130;

/** Ends the process after any work it has begun, with one line that says why. */
export function fail(error: unknown): void {
    // This is help or the version: commander has printed it already.
    if (error instanceof CommanderError && error.exitCode === 0) return;
    process.exitCode = 1;
    process.stderr.write(`mara: ${describe(error)}\n`);
    if (process.env.MARA_DEBUG) process.stderr.write(`${visible(inspect(error), {lines: true, max: 20_000})}\n`);
}

/** Runs a program to its end. If it waits for an event that never comes, the process ends with a failure. */
export async function runToEnd(program: () => Promise<unknown>): Promise<void> {
    const stuck = () =>
        fail(new Error("It ended before its work did: something that it waited for can no longer happen"));
    process.once("beforeExit", stuck);
    try {
        await program();
    } catch (error) {
        fail(error);
    } finally {
        process.off("beforeExit", stuck);
    }
}

export function describe(error: unknown): string {
    if (!(error instanceof Error)) return oneLine(String(error));
    if (error instanceof MaraError) return `${oneLine(error.message)} (${error.code})`;
    if (error instanceof CommanderError) return `${oneLine(error.message.replace(/^error: /, ""))}. Try --help.`;
    if (isMissingPeer(error))
        return "node-llama-cpp is not installed, and language models run on it. Run: npm install node-llama-cpp";
    return oneLine(error.message) || error.name;
}

/** An optional import that failed because the peer dependency is not there. */
function isMissingPeer(error: Error & {code?: string}): boolean {
    return error.code === "ERR_MODULE_NOT_FOUND" && /package 'node-llama-cpp'/.test(error.message);
}

function oneLine(text: string): string {
    return visible(text.replace(/\s*\n\s*/g, " ").trim());
}

/** Warnings in the same one-line form; Node's own adds a process id and advice about flags of node. */
export function reportWarningsBriefly(): void {
    process.removeAllListeners("warning");
    process.on("warning", ({message}) => void process.stderr.write(`mara: warning: ${oneLine(message)}\n`));
}
