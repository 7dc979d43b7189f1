import {type ChildProcess, spawn} from "node:child_process";
import {readFileSync} from "node:fs";
import {fileURLToPath} from "node:url";

export interface Command {
    file: string;
    args: readonly string[];
    env?: Readonly<Record<string, string>>;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

const compiled = new URL("compiled.mjs", import.meta.url).href;

/** A TypeScript worker of this folder in a fresh Node process; `specification` reaches it as JSON. */
export function nodeWorker(path: string, specification: unknown, env: Record<string, string> = {}): Command {
    const worker = fileURLToPath(new URL(`../${path}`, import.meta.url));
    return {
        file: process.execPath,
        args: ["--expose-gc", "--import", "tsx", "--import", compiled, worker, JSON.stringify(specification)],
        env
    };
}

/**
 * Runs a process to its end and returns the JSON that it printed on its last line.
 * @throws Error with the end of its error output if it fails or takes longer than `timeoutSeconds`
 */
export async function runProcess<T>({file, args, env = {}}: Command, timeoutSeconds = 600): Promise<T> {
    const child = spawn(file, args, {
        cwd: root,
        env: {...process.env, ...env},
        stdio: ["ignore", "pipe", "pipe"],
        timeout: timeoutSeconds * 1000,
        killSignal: "SIGKILL"
    });
    let output = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text) => {
        output += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text) => {
        errors = (errors + text).slice(-4000);
    });
    const status = await new Promise<number | string | null>((resolve, reject) => {
        child.on("error", reject);
        child.on("close", (code, signal) => resolve(code ?? signal));
    });
    if (status !== 0) throw new Error(`${status}: ${lastLines(errors)}`);
    const line = output.trimEnd().split("\n").at(-1) ?? "";
    try {
        return JSON.parse(line) as T;
    } catch {
        throw new Error(`printed no JSON: ${lastLines(output + errors)}`);
    }
}

/** Processor time that a process has taken, in seconds by hundredths; 0 where the system does not tell. */
export function cpuSeconds({pid}: ChildProcess): number {
    try {
        const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
        // User and system time, in hundredths of a second (proc(5), USER_HZ).
        return (Number(fields[11]) + Number(fields[12])) / 100;
    } catch {
        return 0;
    }
}

export function lastLines(text: string): string {
    const lines = text.trim().split("\n");
    return (lines.find((line) => /Error: /.test(line)) ?? lines.slice(-3).join(" / ")).trim();
}
