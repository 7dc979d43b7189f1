/** The contents of the package that npm would publish: every link of its documents leads somewhere, and `demo` names files that ship with it. */
import {execFile} from "node:child_process";
import {existsSync, readFileSync, statSync} from "node:fs";
import path from "node:path";
import {promisify} from "node:util";
import {beforeAll, describe, expect, it} from "vitest";
import {loadPairs, loadPrompts, MaraAgent, openReward} from "../lib/index.js";
import {expectFailure, mara, root, succeed, temporaryFolder} from "./cli/helpers.js";

const run = promisify(execFile);
const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const folder = temporaryFolder();
let files: Set<string>;

beforeAll(async () => {
    const {stdout} = await run("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {cwd: root});
    files = new Set(JSON.parse(stdout)[0].files.map((file: {path: string}) => file.path));
});

describe("The packed documents", () => {
    it("link to packed files, or to addresses", () => {
        const documents = [...files].filter((file) => file.endsWith(".md") && !file.startsWith("native/"));
        expect(documents).toEqual(
            expect.arrayContaining(["README.md", "docs/training.md", "docs/installing.md", "SECURITY.md"])
        );
        const dead = documents.flatMap((document) =>
            [...readFileSync(path.join(root, document), "utf8").matchAll(/\]\(([^)\s]+)\)/g)]
                .map(([, link]) => (link as string).split("#")[0] as string)
                .filter((link) => link !== "" && !link.startsWith("https://"))
                .map((link) => path.posix.join(path.posix.dirname(document), link).replace(/\/$/, ""))
                .filter((file) => !files.has(file) && ![...files].some((packed) => packed.startsWith(`${file}/`)))
                .map((file) => `${document}: ${file}`)
        );
        expect(dead).toEqual([]);
    });

    it("have links to the repository that lead to what is here", () => {
        const base = `${manifest.repository.url.replace(/^git\+|\.git$/g, "")}/blob/main/`;
        for (const document of [...files].filter((file) => file.endsWith(".md")))
            for (const [, link] of readFileSync(path.join(root, document), "utf8").matchAll(/\]\((https:[^)\s#]+)/g))
                if (link?.startsWith(base))
                    expect(existsSync(path.join(root, link.slice(base.length))), link).toBe(true);
    });

    it("stay small beside the rest", () => {
        const size = [...files]
            .filter((file) => file.startsWith("docs/"))
            .reduce((sum, file) => sum + statSync(path.join(root, file)).size, 0);
        expect(size).toBeLessThan(1_000_000);
    });
});

describe("demo", () => {
    it("names agent, prompts, pairs and reward in code", async () => {
        const agent = await MaraAgent.load("demo");
        expect(agent.parameters).toBeGreaterThan(10_000);
        agent.dispose();
        const [prompt] = await loadPrompts("demo");
        expect(prompt).toMatchObject({prompt: expect.any(String), reference: expect.any(String)});
        expect((await loadPairs("demo"))[0]).toHaveProperty("chosen");
        const reward = await openReward("demo");
        const good = await reward.score(prompt as never, "No idea.");
        expect(good.score).toBeGreaterThanOrEqual(0);
        await expect(reward.score({prompt: "x"}, "y")).rejects.toThrow(/name them demo too/);
        await reward.dispose();
    });

    it("names model, agent, prompts, pairs and reward on the command line", async () => {
        const device = ["--gpu", "off", "--threads", "1"];
        expect(JSON.parse(await succeed(["inspect", "demo", "--json", "-m", "demo"])).model.fits).toBe(true);
        expect(await succeed(["chat", ...device, "-m", "demo", "-a", "demo", "-p", "Where is the sauna?"])).toMatch(
            /\w/
        );
        const evaluated = ["eval", ...device, "-m", "demo", "-a", "demo", "--prompts", "demo", "--reward", "demo"];
        const result = JSON.parse(await succeed([...evaluated, "--limit", "3", "--against", "agent:demo", "--json"]));
        expect(result.config.agent.name).toBe("agent.safetensors");
        expect(result.pairs[0]).toMatchObject({prompts: 3, wins: 0, ties: 3, losses: 0});
        const out = path.join(folder, "run");
        const trained = [
            "train",
            "--gpu",
            "off",
            "-m",
            "demo",
            "--preset",
            "small",
            "--out",
            out,
            "--dry-run",
            "--json"
        ];
        const sac = JSON.parse(
            await succeed([...trained, "--prompts", "demo", "--reward", "demo", "--warm-start", "demo"])
        );
        expect(sac.prompts).toBe(800);
        expect(sac.inputs.prompts.path).toMatch(/train\.jsonl$/);
        expect(JSON.parse(await succeed([...trained, "--pairs", "demo", "--method", "preference"])).pairs).toBe(800);
        await succeed(["convert", "demo", path.join(folder, "copy.safetensors")]);
        expectFailure(await mara(["inspect", "./demo"]), /AGENT_NOT_FOUND/);
    });
});

describe("npm pack", () => {
    it("says that there is no prebuilt file, where there is none", async () => {
        const {stderr} = await run(process.execPath, ["scripts/package/prepack.mjs", "--prebuilds", folder], {
            cwd: root
        });
        expect(stderr).toMatch(/no prebuilt file.*npm run prebuild:host/s);
    });
});
