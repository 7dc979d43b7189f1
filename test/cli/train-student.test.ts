import {spawn} from "node:child_process";
import {existsSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {describe, expect, it} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {MaraAgent} from "../../lib/index.js";
import {expectFailure, hasDemo, mara, needsDemo, root, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const promptsFile = join(folder, "prompts.jsonl");
const questions = ["When does the ferry leave?", "Is there a walk nearby?", "Where is breakfast?", "I have a cold."];
writeFileSync(promptsFile, questions.map((prompt) => JSON.stringify({prompt})).join("\n"));
const small = ["--prompts", promptsFile, "--gpu", "off", "--threads", "1", "--max-tokens", "12", "--top-p", "1"];

describe.skipIf(!hasDemo)(`mara train student${needsDemo}`, () => {
    it("makes a student, says how good it is, and inspect shows it", async () => {
        const out = join(folder, "made.safetensors");
        const options = [...small, "--decisions", "60", "--epochs", "3", "--top-k", "5", "--out", out];
        const {code, stdout, stderr} = await mara(["train", "student", ...options]);
        expect({code, stdout}).toMatchObject({code: 0, stdout: expect.stringMatching(/agent +.*made\.safetensors\n/)});
        expect(stdout).toMatch(/decisions +\d+ to learn from, \d+ held out\n/);
        expect(stdout).toMatch(/held out +\d+\.\d % of verdicts are the agent's, R² /);
        expect(stderr).toMatch(/^decisions for the student 0\/60\n/);
        expect(stderr).toMatch(/fitting the student, epochs 3\/3/);

        const inspected = JSON.parse(await succeed(["inspect", out, "--model", demoModelPath, "--json"]));
        using agent = await MaraAgent.load(out);
        const {tensors, ...description} = agent.student as NonNullable<MaraAgent["student"]>;
        expect(inspected.student).toMatchObject({...description, fits: true});
        expect(Object.keys(inspected.student.decided).sort()).toEqual(["0.9", "0.95", "0.98", "0.99"]);
        expect(inspected.tensors).toHaveLength(8);
        expect(inspected.metadata["mara.student"]).toBeUndefined();
        const shown = await succeed(["inspect", out]);
        expect(shown).toMatch(/\nStudent\n/);
        expect(shown).toContain(`SHA-256 ${description.model.slice(0, 12)}`);
    });

    it("makes one of what there is when it is interrupted", async () => {
        const out = join(folder, "interrupted.safetensors");
        const options = [...small, "--decisions", "1000000", "--epochs", "3", "--top-k", "5", "--out", out];
        const child = spawn(process.execPath, ["--import", "tsx", "lib/cli/mara.ts", "train", "student", ...options], {
            cwd: root,
            stdio: "pipe"
        });
        let [stderr, stdout] = ["", ""];
        child.stdout.setEncoding("utf8").on("data", (text: string) => {
            stdout += text;
        });
        child.stderr.setEncoding("utf8").on("data", (text: string) => {
            // The first line is the beginning; nothing tells when the first decisions are there.
            if (stderr === "") setTimeout(() => child.kill("SIGINT"), 5000);
            stderr += text;
        });
        const code = await new Promise((resolve) => child.on("close", resolve));
        expect(stderr).toContain("mara: fitting to the decisions so far; Ctrl-C again leaves at once\n");
        if (code === 1) {
            expect(stderr).toMatch(/before the first decisions were complete.*\(STUDENT_TOO_FEW\)\n$/);
            expect(existsSync(out)).toBe(false);
        } else {
            expect(code).toBe(130);
            expect(stdout).toContain("Interrupted: the student was made from the decisions that there were.");
            using agent = await MaraAgent.load(out);
            expect(agent.student?.labels).toBeGreaterThan(0);
        }
    });

    it("says what is missing", async () => {
        expectFailure(
            await mara(["train", "student"]),
            "required option '--prompts <file>' not specified. Try --help."
        );
        expectFailure(
            await mara(["train", "student", ...small]),
            /^Expected a file to write, since the demo's agent is part of the package, for out but received undefined/
        );
        expectFailure(await mara(["train", "student", ...small, "-m", "model.gguf"]), /--model needs --agent/);
    });
});
