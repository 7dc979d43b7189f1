/** The files of examples/, as a user would run them, on the demo's model and agent. */
import {execFile, spawn} from "node:child_process";
import {once} from "node:events";
import {copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import path from "node:path";
import {pathToFileURL} from "node:url";
import {promisify} from "node:util";
import {describe, expect, it, onTestFinished} from "vitest";
import {demoAgentPath, demoModelPath} from "../lib/demo/files.js";
import {root} from "./cli/helpers.js";

const run = promisify(execFile);
const folder = path.join(root, "examples");
const env = {
    ...process.env,
    MODEL: demoModelPath,
    AGENT: "demo",
    SECOND: "demo",
    PROMPTS: "demo",
    PORT: "0",
    THREADS: "1"
};

async function outputOf(file: string): Promise<string> {
    const {stdout} = await run(process.execPath, [file], {cwd: folder, env});
    return stdout;
}

it("json.mjs prints an object of its schema", async () => {
    expect(await outputOf("json.mjs")).toMatch(/^\{ topic: '(rooms|food|parking)', urgent: (true|false) \}\n$/);
});

it("functions.mjs prints an answer", async () => {
    expect((await outputOf("functions.mjs")).trim()).not.toBe("");
});

it("two-agents.mjs prints an answer for each weight: the same, where both are one agent", async () => {
    const lines = (await outputOf("two-agents.mjs")).trim().split("\n");
    const [first, ...others] = lines.map((line) => line.replace(/^\S+ /, ""));
    expect(first).toMatch(/\w/);
    expect(others).toEqual([first, first]);
});

it("ai-sdk.mjs streams, and prints the decisions, an object and a tool's result", async () => {
    const lines = (await outputOf("ai-sdk.mjs")).trim().split("\n");
    expect(lines[0]).toMatch(/\w/);
    expect(lines.at(-3)).toMatch(/^\d+ tokens are not the model's first choice$/);
    expect(lines.at(-2)).toMatch(/^\{ topic: '(rooms|food|parking)', urgent: (true|false) \}$/);
    expect(lines.at(-1)).toMatch(/^\[ '21 degrees in (Paris|Rome)' \]$/);
});

it("langchain.mjs streams, and prints three answers and an object", async () => {
    const lines = (await outputOf("langchain.mjs")).trim().split("\n");
    expect(lines[0]).toMatch(/\w/);
    expect(lines.at(-1)).toMatch(/^\{ topic: '(rooms|food|parking)', urgent: (true|false) \}$/);
});

it("reward.mjs trains an agent and says how it went", async () => {
    const [file] = (await outputOf("reward.mjs")).split("\n");
    expect(existsSync(file as string)).toBe(true);
});

describe.each(["express.mjs", "hono.mjs"])("%s", (file) => {
    it("streams an answer, and refuses what is no prompt", async () => {
        const server = spawn(process.execPath, [file], {cwd: folder, env, stdio: ["ignore", "pipe", "inherit"]});
        onTestFinished(() => void server.kill());
        const [line] = await once(server.stdout, "data");
        const ask = (body: unknown) =>
            fetch(`${String(line).trim()}/answer`, {
                method: "POST",
                headers: {"Content-Type": "application/json"},
                body: JSON.stringify(body)
            });
        const answers = await Promise.all(
            ["Can I bring my dog?", "Where is the sauna?"].map((prompt) => ask({prompt}))
        );
        for (const answer of answers) {
            expect(answer.status).toBe(200);
            expect(await answer.text()).toMatch(/\w/);
        }
        expect((await ask({prompt: 1})).status).toBe(400);
    });
});

/** `mara serve` on the demo's pair; its address, with `/v1`. */
async function demoServe(): Promise<string> {
    const mara = path.join(root, "dist", "cli", "mara.js");
    const options = ["serve", "--port", "0", "--gpu", "off", "--threads", "1", "--no-page"];
    const server = spawn(process.execPath, [mara, ...options], {stdio: ["ignore", "pipe", "ignore"]});
    onTestFinished(() => void server.kill());
    const url = await new Promise<string>((resolve) => {
        let log = "";
        server.stdout.on("data", (piece) => {
            log += piece;
            const [, listening] = log.match(/Listening on (\S+)\n/) ?? [];
            if (listening !== undefined) resolve(listening);
        });
    });
    return `${url}/v1`;
}

it("langchain-openai.mjs asks mara serve for text, an object and a call", async () => {
    const given = {...env, BASE_URL: await demoServe()};
    const {stdout} = await run(process.execPath, ["langchain-openai.mjs"], {cwd: folder, env: given});
    const lines = stdout.trim().split("\n");
    expect(lines[0]).toMatch(/\w/);
    expect(lines.at(-2)).toMatch(/^\{ topic: '(rooms|food|parking)', urgent: (true|false) \}$/);
    expect(lines.at(-1)).toMatch(/^\[ 'getWeather in (Paris|Rome)' \]$/);
});

it("promptfoo.yaml asks for what mara serve has", async () => {
    const text = readFileSync(path.join(folder, "promptfoo.yaml"), "utf8");
    const models = [...text.matchAll(/id: openai:chat:(\S+)/g)].map(([, model]) => model);
    expect(models).toHaveLength(2);
    const url = await demoServe();
    for (const model of models) {
        const response = await fetch(`${url}/chat/completions`, {
            method: "POST",
            headers: {"Content-Type": "application/json", Authorization: "Bearer any"},
            body: JSON.stringify({
                model,
                messages: [{role: "user", content: "Where is the sauna?"}],
                max_tokens: 64,
                temperature: 0
            })
        });
        expect(response.status, model).toBe(200);
    }
});

it("electron.mjs answers its window, as far as that is seen without Electron, whose part the test plays", async () => {
    const home = mkdtempSync(path.join(tmpdir(), "mara-electron-"));
    onTestFinished(() => rmSync(home, {recursive: true}));
    mkdirSync(path.join(home, "models"));
    copyFileSync(demoModelPath, path.join(home, "models", "model.gguf"));
    copyFileSync(demoAgentPath, path.join(home, "models", "agent.safetensors"));
    const played = pathToFileURL(path.join(root, "test", "support", "electron.mjs")).href;
    const args = ["--import", played, path.join(folder, "electron.mjs")];
    const {stdout} = await run(process.execPath, args, {cwd: home, env: {...env, QUESTION: "When are you open?"}});
    const [told, ended] = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    expect(told).toMatchObject({file: "index.html", streamed: told.answer, refusal: "prompt must be a text"});
    expect(told.answer.length).toBeGreaterThan(10);
    expect(ended).toEqual({quit: true});
});

it("docker/Dockerfile starts from node:20-slim, and runs a file that is here", () => {
    const lines = readFileSync(path.join(folder, "docker", "Dockerfile"), "utf8").split("\n");
    expect(lines).toContain("FROM node:20-slim");
    const [, file] = lines.join("\n").match(/^CMD \["node", "(.+)"\]$/m) ?? [];
    expect(existsSync(path.join(folder, file as string))).toBe(true);
    expect(lines).toContain(`COPY ${file} ./`);
});

it("every example is in the table of docs/clients.md", () => {
    const page = readFileSync(path.join(root, "docs", "clients.md"), "utf8");
    const files = readdirSync(folder, {recursive: true, encoding: "utf8"}).filter((name) =>
        /mjs$|yaml$|Dockerfile$/.test(name)
    );
    expect(files.length).toBeGreaterThan(7);
    for (const file of files) expect(page).toContain(`(../examples/${file.split(path.sep).join("/")})`);
});
