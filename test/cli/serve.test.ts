import {type ChildProcess, spawn} from "node:child_process";
import {afterEach, describe, expect, it} from "vitest";
import {expectFailure, hasDemo, mara, needsDemo, root} from "./helpers.js";

const children = new Set<ChildProcess>();
afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
});

/** The command, once it listens; with all that it prints, and its exit code. */
async function start(args: readonly string[], env: Record<string, string> = {}) {
    const child = spawn(process.execPath, ["--import", "tsx", "lib/cli/mara.ts", "serve", "--port", "0", ...args], {
        cwd: root,
        env: {...process.env, ...env}
    });
    children.add(child);
    const printed = {stdout: "", stderr: ""};
    child.stderr.setEncoding("utf8").on("data", (text: string) => (printed.stderr += text));
    const exit = new Promise<number | null>((resolve) => child.on("close", resolve));
    const url = await new Promise<string>((resolve, reject) => {
        child.on("close", () => reject(new Error(`It ended: ${printed.stderr}`)));
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
            printed.stdout += text;
            const [, found] = /^Listening on (\S+)$/m.exec(printed.stdout) ?? [];
            if (found !== undefined && printed.stdout.includes("Models:")) resolve(found);
        });
    });
    return {child, printed, exit, url};
}

const small = ["--context-size", "256", "--parallel", "1", "--gpu", "off"];
const ask = (url: string, headers: Record<string, string> = {}) =>
    fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: {"content-type": "application/json", ...headers},
        body: JSON.stringify({model: "demo:agent", messages: [{role: "user", content: "secret"}], max_tokens: 2})
    });

describe.skipIf(!hasDemo)(`mara serve${needsDemo}`, () => {
    it("answers with the demo's pair until SIGTERM, and logs lines without prompts", async () => {
        const {child, printed, exit, url} = await start(small);
        expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
        expect(printed.stdout).toMatch(/^Models: demo, demo:agent$/m);
        expect((await ask(url)).status).toBe(200);
        child.kill("SIGTERM");
        expect(await exit).toBe(0);
        expect(printed.stderr).toMatch(/^\d\d:\d\d:\d\d POST \/v1\/chat\/completions 200 \d+ ms$/m);
        expect(printed.stderr).not.toContain("secret");
    });

    it("lets an answer that is under way end after SIGTERM, takes no other, and exits with 0", async () => {
        const {child, printed, exit, url} = await start(["--context-size", "1024", "--parallel", "1", "--gpu", "off"]);
        const schema = {type: "array", minItems: 8, maxItems: 8, items: {type: "string", minLength: 40, maxLength: 40}};
        const response = await fetch(`${url}/v1/chat/completions`, {
            method: "POST",
            headers: {"content-type": "application/json"},
            body: JSON.stringify({
                model: "demo",
                messages: [{role: "user", content: "Where?"}],
                stream: true,
                response_format: {type: "json_schema", json_schema: {name: "long", schema}}
            })
        });
        const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
        let events = "";
        while (!events.includes('"content":"["')) events += (await reader.read()).value;
        child.kill("SIGTERM");
        for (;;) {
            const {value, done} = await reader.read();
            if (done) break;
            events += value;
        }
        expect(events.trimEnd()).toMatch(/"finish_reason":"stop".*\n\ndata: \[DONE\]$/);
        expect(await exit).toBe(0);
        await expect(fetch(`${url}/health`)).rejects.toThrow();
        expect(printed.stderr).toMatch(/ POST \/v1\/chat\/completions 200 /);
    });

    it("takes its key from the environment, and logs JSON", async () => {
        const {child, printed, exit, url} = await start([...small, "--log", "json", "--host", "0.0.0.0"], {
            MARA_API_KEY: "k"
        });
        const local = url.replace("0.0.0.0", "127.0.0.1");
        expect((await ask(local)).status).toBe(401);
        expect((await ask(local, {authorization: "Bearer k"})).status).toBe(200);
        child.kill("SIGINT");
        expect(await exit).toBe(0);
        const entries = printed.stderr
            .trim()
            .split("\n")
            .map((line) => JSON.parse(line));
        expect(entries.map(({level, status}) => [level, status])).toEqual([
            ["warn", 401],
            ["info", 200]
        ]);
    });
});

describe("mara serve refuses", () => {
    it.each([
        [
            ["--host", "0.0.0.0"],
            /^Expected an address of this machine alone.*--open-to-everyone.*\(INVALID_ARGUMENT\)$/
        ],
        [["-a", "x.pth", "-a", "y/x.safetensors"], /^Expected agents with names of their own.*\(INVALID_ARGUMENT\)$/],
        [["-m", "nowhere.gguf"], /\(MODEL_NOT_FOUND\)$/],
        [["--log", "xml"], /^Expected one of "pretty", "json", "off" for --log/]
    ])("%j", async (args, message) => {
        expectFailure(await mara(["serve", ...args], {env: {MARA_API_KEY: ""}}), message);
    });
});
