/** promptfoo runs examples/promptfoo.yaml against a server. */
import {execFile} from "node:child_process";
import {mkdtemp, readFile, rm, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {promisify} from "node:util";
import {describe, expect, it, onTestFinished} from "vitest";
import {listen} from "../../lib/server/listen.js";
import {hasDemo} from "../cli/helpers.js";
import {demoServer} from "../server/helpers.js";
import {hasPromptfoo, promptfoo} from "../support/clients.js";

const root = fileURLToPath(new URL("../..", import.meta.url));

describe.skipIf(!hasDemo || !hasPromptfoo)("promptfoo", () => {
    it("gets raw and aligned answers that hold what the example asserts", {timeout: 120_000}, async () => {
        const {server} = await demoServer({agents: {agent: "demo"}, page: false});
        const listening = await listen(server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
        onTestFinished(() => listening.stop(0));
        const cwd = await mkdtemp(join(tmpdir(), "mara-promptfoo-"));
        onTestFinished(() => rm(cwd, {recursive: true}));
        const example = await readFile(join(root, "examples", "promptfoo.yaml"), "utf8");
        await writeFile(join(cwd, "promptfoo.yaml"), example.replaceAll("http://127.0.0.1:8080", listening.url));
        const env = {
            ...process.env,
            PROMPTFOO_CONFIG_DIR: cwd,
            PROMPTFOO_DISABLE_TELEMETRY: "1",
            PROMPTFOO_DISABLE_UPDATE: "1"
        };
        const args = [promptfoo, "eval", "-c", "promptfoo.yaml", "--no-cache", "-o", "out.json"];
        await promisify(execFile)(process.execPath, args, {cwd, env}).catch((error) => {
            throw new Error(error.stdout || error.message);
        });
        const {results} = JSON.parse(await readFile(join(cwd, "out.json"), "utf8"));
        expect(results.stats).toMatchObject({successes: 4, failures: 0, errors: 0});
        const answers = (label: string) =>
            results.results
                .filter((one: {provider: {label: string}}) => one.provider.label === label)
                .map((one: {response: {output: string}}) => one.response.output);
        expect(answers("aligned")).toHaveLength(2);
        expect(answers("aligned")).not.toEqual(answers("raw"));
    });
});
