import {type ChildProcess, spawn} from "node:child_process";
import {once} from "node:events";
import {existsSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {describe, expect, it} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {outcomeOf} from "../train/helpers.js";
import {expectFailure, hasDemo, hasTerminal, mara, needsDemo, root, succeed, temporaryFolder} from "./helpers.js";

const folder = temporaryFolder();
const promptsFile = join(folder, "prompts.jsonl");
writeFileSync(
    promptsFile,
    ["When does the ferry leave?", "Where is the breakfast room?", "Can I have a towel?", "Is there a walk nearby?"]
        .map((prompt) => JSON.stringify({prompt}))
        .join("\n")
);
let runs = 0;
const newRun = () => join(folder, `run-${runs++}`);
const device = ["--gpu", "off", "--threads", "1"];
const input = ["-m", demoModelPath, "--prompts", promptsFile, "--reward", "sentiment"];
const sizes = ["--sequences", "2", "--max-tokens", "10", "--hidden1", "16", "--hidden2", "8", "--seed", "5"];
const learning = ["--batch-size", "8", "--learn-after", "16", "--updates-per-episode", "2", "--checkpoint-every", "2"];
const episodes = ["--episodes-per-batch", "2", "--episodes", "40"];
const small = ["train", ...device, ...input, ...sizes, ...learning, ...episodes, "--no-student"];
const logs = ["metrics", "samples", "responses"];

function start(args: readonly string[]): ChildProcess {
    return spawn(process.execPath, ["--import", "tsx", "lib/cli/mara.ts", ...args], {cwd: root, stdio: "pipe"});
}

/** Waits until the run has written a checkpoint, or ended. */
async function firstCheckpoint(run: string, child: ChildProcess): Promise<void> {
    while (child.exitCode === null && !existsSync(join(run, "checkpoint.json")))
        await new Promise((resolve) => setTimeout(resolve, 20));
}

describe.skipIf(!hasDemo)(`mara train${needsDemo}`, () => {
    it("trains, says what it made, and shows a line now and then where there is no terminal", async () => {
        const run = newRun();
        const {code, stdout, stderr} = await mara([...small, "--episodes", "6", "--out", run]);
        expect({code, stdout}).toMatchObject({
            code: 0,
            stdout: expect.stringContaining(join(run, "agent.safetensors"))
        });
        const lines = stderr.trimEnd().split("\n");
        expect(lines[0]).toMatch(/^preset small, since the model runs on a CPU /);
        expect(lines[1]).toBe("the model's own responses 0/4");
        expect(stdout).toMatch(/time +\d+ s\n/);
        expect(stdout).toMatch(/preset +small\n/);
        expect(stdout).toMatch(/updates +\d+\n/);
        expect(stdout).toMatch(/held-out reward +not measured: checkPrompts is 8, and/);
        expect(stdout).toMatch(/used with +top-k 10, top-p 0.95, min-p 0, temperature 0.8, threshold 0.5\n/);
        expect(lines.at(-1)).toMatch(
            /^episodes 6\/6 {2}reward -?\d\.\d{3} {2}KL -?\d+\.\d{3} {2}accepted \d+ % {2}0 s left$/
        );
        expect(lines.length).toBeLessThan(6);
        const inspected = JSON.parse(await succeed(["inspect", join(run, "agent.safetensors"), "--json"]));
        expect(inspected).toMatchObject({width: 160});
    });

    it("gives programs one object", async () => {
        const run = newRun();
        const output = await succeed([...small, "--episodes", "2", "--out", run, "--json"]);
        expect(JSON.parse(output)).toMatchObject({
            completed: true,
            seconds: expect.any(Number),
            paths: {agent: join(run, "agent.safetensors")},
            last: {episodes: 2, dropped: 0}
        });
    });

    it("prints what would run, and writes nothing", async () => {
        const run = newRun();
        const {code, stdout, stderr} = await mara([
            ...small,
            "--out",
            run,
            "--dry-run",
            "--preset",
            "small",
            "--top-k",
            "7",
            "--no-post-back"
        ]);
        expect({code, stderr}).toEqual({code: 0, stderr: "measuring for up to 60 s\n"});
        expect(JSON.parse(stdout)).toMatchObject({
            config: {
                episodes: 40,
                gamma: 0.99,
                candidates: {topK: 7, topP: 0.95},
                postBack: false,
                automaticAlpha: true
            },
            inputs: {model: {path: demoModelPath}, prompts: {path: promptsFile}},
            prompts: 4,
            pairs: null
        });
        const {seconds, parts, costs} = JSON.parse(stdout).estimate;
        expect(Object.keys(parts)).toEqual([
            ...["responses", "episodes", "updates", "checks", "calibration"],
            ...["student", "studentFit"]
        ]);
        expect(seconds).toBeGreaterThan(40 * costs.episode);
        expect(costs.lengthsMeasured).toBe(true);
        expect(existsSync(run)).toBe(false);
    });

    it("measures the student, and tells of a reward that never works", async () => {
        const few = [
            "train",
            ...device,
            "-m",
            demoModelPath,
            "--prompts",
            promptsFile,
            ...sizes,
            "--dry-run",
            "--json"
        ];
        const {estimate} = JSON.parse(await succeed([...few, "--reward", "sentiment", "--out", newRun()]));
        // Ten tokens a response, at most, hold too few decisions for 4000 before 64 responses are there.
        expect(estimate.parts.student).toBeCloseTo(64 * estimate.costs.student.response, 6);
        expect(estimate.parts.studentFit).toBeGreaterThan(0);
        expect(estimate.costs.student).toMatchObject({width: 160, tokens: expect.any(Number)});
        const module = join(folder, "throws.mjs");
        writeFileSync(module, 'export default () => { throw new Error("no such service"); };');
        expectFailure(
            await mara([...few, "--reward", `module:${module}`, "--out", newRun()]),
            /^The reward failed for each of the first 2 responses\. .*no such service.* \(REWARD_FAILED\)$/
        );
    });

    it("fits a run into minutes, and says so", async () => {
        const run = newRun();
        const budget = [
            ...small.filter((flag, i) => flag !== "--episodes" && small[i - 1] !== "--episodes"),
            "--out",
            run
        ];
        const {code, stdout, stderr} = await mara([...budget, "--minutes", "10", "--dry-run"]);
        expect(code, stderr).toBe(0);
        const {config, estimate} = JSON.parse(stdout);
        expect(config.episodes).toBeGreaterThan(1);
        expect(estimate.seconds).toBeLessThanOrEqual(600);
        expect(estimate.told).toMatch(/^episodes \d+, learnAfter \d+, about \d+ (s|min)$/);
        expectFailure(
            await mara([...budget, "--minutes", "0.0001", "--json"]),
            /^Expected more than the least that this run takes for minutes but received /
        );
        expectFailure(
            await mara([...budget, "--minutes", "0"]),
            /^Expected a number above 0, at most 1000000 for --minutes but received "0" \(INVALID_ARGUMENT\)$/
        );
        expectFailure(
            await mara(["train", "--out", run, "--resume", "--minutes", "5"]),
            /Expected no budget with --resume, which goes on as the run was begun, for --minutes but received 5/
        );
    });

    it("writes a checkpoint at Ctrl-C and says how to go on; killed at any moment it goes on all the same", async () => {
        const whole = newRun();
        await mara([...small, "--out", whole]);
        const run = newRun();
        const first = start([...small, "--out", run]);
        let stdout = "";
        first.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
        await firstCheckpoint(run, first);
        first.kill("SIGINT");
        const [code] = await once(first, "close");
        expect(code).toBe(130);
        expect(stdout).toBe(`Interrupted; a checkpoint is written. Go on with: mara train --out ${run} --resume\n`);
        expect(existsSync(join(run, "agent.safetensors"))).toBe(false);
        expectFailure(
            await mara([...small, "--preset", "paper", "--out", run]),
            /holds a run that was interrupted\. Go on with it \(resume: true, mara train --resume\), or give another directory\. \(RUN_DIRECTORY\)$/
        );

        const delays = [0, 90, 250];
        for (const delay of delays) {
            const child = start(["train", ...device, "--out", run, "--resume"]);
            // It has begun to work once it shows its first line.
            await once(child.stderr as NodeJS.ReadableStream, "data");
            await new Promise((resolve) => setTimeout(resolve, delay));
            child.kill("SIGKILL");
            await once(child, "close");
        }
        expect(await mara(["train", ...device, "--out", run, "--resume"])).toMatchObject({
            code: 0,
            stdout: expect.stringMatching(/time +\d+ s since it was taken up again\n/)
        });
        expect(outcomeOf(run, logs)).toEqual(outcomeOf(whole, logs));
        // Six processes one after the other.
    }, 400_000);

    it.skipIf(!hasTerminal)("draws a bar on a terminal (needs script and a pseudo-terminal)", async () => {
        const run = newRun();
        const command = [
            process.execPath,
            "--import",
            "tsx",
            "lib/cli/mara.ts",
            ...small,
            "--episodes",
            "4",
            "--out",
            run
        ];
        const child = spawn("script", ["-qec", command.join(" "), "/dev/null"], {cwd: root});
        let shown = "";
        child.stdout.setEncoding("utf8").on("data", (text: string) => (shown += text));
        await once(child, "close");
        expect(shown).toMatch(/episodes █+░* +4\/4 {2}reward -?\d\.\d{3} {2}KL/);
    });
});

describe("mara train without what it needs", () => {
    const model = ["-m", demoModelPath];

    it.each<[string[], string | RegExp]>([
        [["--out", newRun()], "required option '-m, --model <path|uri>' not specified. Try --help."],
        [["--out", "", ...model], 'Expected a path for --out but received "" (INVALID_ARGUMENT)'],
        [
            ["--out", newRun(), ...model],
            "Expected a file or an array of prompts for prompts but received undefined (INVALID_ARGUMENT)"
        ],
        [
            ["--out", newRun(), "--resume"],
            /^There is no run in .* to go on with: it has no config\.json\. \(RUN_DIRECTORY\)$/
        ],
        [
            ["--out", newRun(), ...model, "--episodes", "0"],
            'Expected an integer from 1 to 1000000000 for --episodes but received "0" (INVALID_ARGUMENT)'
        ],
        [["--out", folder, ...model], /is not empty\. Give another directory\. \(RUN_DIRECTORY\)$/],
        [["--prompts", promptsFile], "required option '-o, --out <folder>' not specified. Try --help."]
    ])("%j fails in one line", async (args, message) => {
        expectFailure(await mara(["train", ...device, ...args]), message);
    });

    it("explains every constant", async () => {
        const help = await succeed(["train", "--help"]);
        for (const flag of [
            "--gamma",
            "--learn-after",
            "--hidden1",
            "--weight-decay",
            "--warm-start",
            "--no-post-back"
        ])
            expect(help).toContain(`  ${flag} `);
        const documented = readFileSync(join(root, "docs", "training.md"), "utf8");
        expect(documented).toContain("`learnAfter`");
    });
});
