import {spawn, spawnSync} from "node:child_process";
import {existsSync, mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {afterAll, expect} from "vitest";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const hasDemo = existsSync(demoModelPath) && existsSync(demoAgentPath);
/** True if `script` can open a pseudo-terminal. It cannot where /dev/pts is missing, nor on Windows and macOS, where it has other options. */
export const hasTerminal = spawnSync("script", ["-qec", "true", "/dev/null"], {stdio: "ignore"}).status === 0;
/** Part of a test's name, so that a report says why it was skipped. */
export const needsDemo = hasDemo ? "" : " (skipped: demo/model.gguf and demo/agent.safetensors are not built)";

export interface Outcome {
    code: number | null;
    stdout: string;
    stderr: string;
}

/** Runs the command line in a process of its own, with neither a terminal nor colours. */
export async function mara(
    args: readonly string[],
    {input = "", env = {}}: {input?: string; env?: Record<string, string>} = {}
): Promise<Outcome> {
    const {FORCE_COLOR: _, NO_COLOR: __, ...inherited} = process.env;
    const child = spawn(process.execPath, ["--import", "tsx", "lib/cli/mara.ts", ...args], {
        cwd: root,
        env: {...inherited, ...env}
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.stdin.end(input);
    const code = await new Promise<number | null>((resolve, reject) => {
        child.on("error", reject);
        child.on("close", resolve);
    });
    return {code, stdout, stderr};
}

/** A failure is exit code 1, one line on stderr, and nothing on stdout. */
export function expectFailure({code, stdout, stderr}: Outcome, message: string | RegExp): void {
    expect(stderr).toMatch(/^mara: [^\n]+\n$/);
    expect(stderr.slice("mara: ".length, -1)).toEqual(
        typeof message === "string" ? message : expect.stringMatching(message)
    );
    expect(stdout).toBe("");
    expect(code).toBe(1);
}

/** The output of a command that must succeed silently on stderr. */
export async function succeed(...args: Parameters<typeof mara>): Promise<string> {
    const outcome = await mara(...args);
    expect(outcome).toMatchObject({code: 0, stderr: ""});
    return outcome.stdout;
}

/** A folder for one test file. */
export function temporaryFolder(): string {
    const folder = mkdtempSync(join(tmpdir(), "mara-cli-"));
    afterAll(() => rmSync(folder, {recursive: true}));
    return folder;
}
