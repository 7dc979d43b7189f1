import {execFile} from "node:child_process";
import {cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import path from "node:path";
import {promisify} from "node:util";
import {LlamaContext, LlamaContextSequence} from "node-llama-cpp";
import {afterAll, describe, expect, it} from "vitest";
import {maraErrorCodes} from "../lib/index.js";

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, "..");
const readme = readFileSync(path.join(root, "README.md"), "utf8");
const blocks = [...readme.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(([, language, code]) => ({
    language,
    code: code as string
}));

const shell = blocks.filter(({language}) => language === "sh").map(({code}) => code.trim());

describe("README.md", () => {
    const isBuilt = existsSync(path.join(root, "dist", "index.js"));
    mkdirSync(path.join(root, ".test-models"), {recursive: true});
    // Inside the package, so that it can import itself by name.
    const folder = mkdtempSync(path.join(root, ".test-models", "readme-"));
    afterAll(() => rmSync(folder, {recursive: true, force: true}));

    it("has only blocks that are run here", () => {
        expect(blocks.map(({language}) => language)).toEqual(["sh", "sh", "js", "js", "sh", "sh", "sh"]);
    });

    it("is built, as `npm ci` leaves it", () => {
        expect(isBuilt, "run `npm run build:ts`").toBe(true);
    });

    it.each(blocks.filter(({language}) => language === "js"))("runs its example %#", async ({code}) => {
        cpSync(path.join(root, "demo", "model.gguf"), path.join(folder, "model.gguf"));
        cpSync(path.join(root, "demo", "agent.safetensors"), path.join(folder, "agent.safetensors"));
        writeFileSync(path.join(folder, "example.mjs"), code);
        const {stdout} = await run(process.execPath, ["example.mjs"], {cwd: folder});
        expect(stdout.trim()).not.toBe("");
    });

    it("names the two commands that the gate runs", () => {
        const [see, test] = shell.slice(-2);
        const gate = readFileSync(path.join(root, ".ci", "run"), "utf8").split("\n");
        expect(see).toBe("npm ci && npm run demo");
        expect(gate).toContain("npm ci");
        expect(gate).toContain(`NO_COLOR=1 ${test} 2>&1 | tee "$log"`);
    });

    it("begins with what a user types: install, and see", () => {
        expect(shell.slice(0, 2)).toEqual(["npm install node-llama-mara node-llama-cpp", "npx mara demo"]);
    });

    it("runs the demo", async () => {
        const {stdout} = await run("npm", ["run", "--silent", "demo"], {cwd: root});
        expect(stdout).toMatch(/preferred/);
    });

    it.each(commandsOf(shell.at(2) ?? ""))("runs `%s`", async (command) => {
        const [, , ...args] = command.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? [];
        // As in an installed package: nothing of the checkout is in the working directory.
        const {stdout} = await run(process.execPath, [path.join(root, "dist/cli/mara.js"), ...args], {cwd: folder});
        expect(stdout.trim()).not.toBe("");
    });
});

function commandsOf(code: string): string[] {
    const lines = code.trim().split("\n");
    if (!lines.every((line) => line.startsWith("npx mara "))) throw new Error(`Not all are mara commands: ${lines}`);
    return lines;
}

describe("docs/errors.md", () => {
    it("has a row for every code, with its meaning", () => {
        const rows = [
            ...readFileSync(path.join(root, "docs", "errors.md"), "utf8").matchAll(/^\| `(\w+)` *\| (.*?) *\|$/gm)
        ];
        expect(Object.fromEntries(rows.map(([, code, meaning]) => [code, meaning]))).toEqual(maraErrorCodes);
    });
});

describe("docs/compatibility.md, features of node-llama-cpp", () => {
    const page = readFileSync(path.join(root, "docs", "compatibility.md"), "utf8");
    const part = page.slice(page.indexOf("<!-- features"), page.indexOf("<!-- /features"));
    const rows = part.split("\n").filter((line) => /^\| (?!-)(?!.*\| Aligned \|)/.test(line));

    it.each(rows)("names a test that is there: %s", (row) => {
        const [, , verdict, file, title] = row.match(/^\| (.+) \| (.+) \| `([\w/-]+)`: (.+) \|$/) ?? [];
        expect(verdict).toMatch(/^(same|refused|different: \w)/);
        const test = path.join(root, "test", `${file}.test.ts`);
        expect(existsSync(test), test).toBe(true);
        expect(readFileSync(test, "utf8")).toContain(`"${title}"`);
    });

    it("has every option and member of contexts and sequences", () => {
        const types = path.join(root, "node_modules/node-llama-cpp/dist/evaluator/LlamaContext/types.d.ts");
        const text = readFileSync(types, "utf8");
        const optionsOf = (type: string) => {
            const [, body] = text.match(new RegExp(`export type ${type} = \\{\n([\\s\\S]*?)\n\\};`)) ?? [];
            return [...(body ?? "").matchAll(/^ {4}(?:readonly )?(\w+)\??:/gm)].map(([, name]) => name as string);
        };
        const options = ["LlamaContextOptions", "SequenceEvaluateOptions", "SequenceEvaluateMetadataOptions"].map(
            optionsOf
        );
        const members = [LlamaContext, LlamaContextSequence].map(({prototype}) =>
            Object.getOwnPropertyNames(prototype).filter((name) => !/^_|^constructor$/.test(name))
        );
        for (const names of [...options, ...members]) expect(names.length).toBeGreaterThan(1);
        const missing = [...options, ...members].flat().filter((name) => !new RegExp(`\`${name}\\b`).test(part));
        expect(missing).toEqual([]);
    });
});

describe("docs/installing.md", () => {
    const page = readFileSync(path.join(root, "docs", "installing.md"), "utf8").replaceAll("`", "");
    const source = readFileSync(path.join(root, "lib", "cli", "doctor-checks.ts"), "utf8");
    const constants = Object.fromEntries(
        [...source.matchAll(/^const (\w+) = "?([^";]+)"?;$/gm)].map(([, name, value]) => [name, value])
    );
    const names = new Set([...source.matchAll(/\badd\(\s*"([^"]+)"/g)].map(([, name]) => name as string));
    const fixes = [...source.matchAll(/(["`])((?:Do|Install|Lanes|MARA_KERNEL|Run|Use)\b.*?)\1(?=[,;)\n])/g)].map(
        ([, , fix]) => (fix as string).replace(/\$\{(\w+)\}/g, (_, name) => constants[name] ?? name).replaceAll("`", "")
    );

    it("has a row for every check of mara doctor", () => {
        expect(names.size).toBeGreaterThan(8);
        for (const name of names) expect(page).toMatch(new RegExp(`^\\| ${name} +\\|`, "m"));
    });

    it("names every remedy of mara doctor", () => {
        expect(fixes.length).toBeGreaterThan(4);
        for (const fix of fixes) expect(page).toContain(fix);
    });
});

describe("The workflows", () => {
    const folder = path.join(root, ".github", "workflows");
    const texts = ["ci.yml", "release.yml"].map((name) => readFileSync(path.join(folder, name), "utf8"));

    it("pin every action to a commit, with its version", () => {
        const uses = texts.join("\n").match(/uses:.*/g) ?? [];
        expect(uses.length).toBeGreaterThan(10);
        for (const use of uses) expect(use).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    });

    it("run scripts that are here", () => {
        const {scripts} = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
        const text = texts.join("\n");
        for (const [, script] of text.matchAll(/npm run ([\w:]+)/g)) expect(scripts).toHaveProperty([script as string]);
        for (const [, file] of text.matchAll(/node ([\w/]+\.mjs)/g))
            expect(existsSync(path.join(root, file as string)), file).toBe(true);
    });
});
