import {copyFileSync, readFileSync, writeFileSync} from "node:fs";
import {mkdtemp, rm} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, test} from "vitest";
import {minConfidence} from "../../lib/agent/calibration.js";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {loadPrompts, MaraAgent, type Prompt, type TrainProgress, trainAgent, trainStudent} from "../../lib/index.js";
import {goldenPath} from "../agent/helpers.js";
import {failure} from "../support/failure.js";
import {courtesy, loadDemoModel, prompts as runPrompts, smallPreference} from "./helpers.js";

let model: LlamaModel;
let folder: string;
let prompts: Prompt[];
beforeAll(async () => {
    model = await loadDemoModel();
    folder = await mkdtemp(join(tmpdir(), "mara-student-"));
    prompts = (await loadPrompts("demo")).slice(0, 20);
});
afterAll(() => rm(folder, {recursive: true}));

/** Decisions at every token. */
const candidates = {topK: 6, topP: 1};
const small = {candidates, maxTokens: 16, epochs: 8, threads: 1};

test("learns the demo agent's verdicts on held-out prompts, and is written beside the agent", async () => {
    const out = join(folder, "student.safetensors");
    const told: TrainProgress[] = [];
    const {agent, student, completed, decisions, path} = await trainStudent({
        decisions: 600,
        maxTokens: 24,
        epochs: 12,
        threads: 1,
        model: demoModelPath,
        llama: model.llama,
        agent: "demo",
        prompts,
        out,
        onProgress: (progress) => void told.push(progress)
    });
    expect(completed).toBe(true);
    expect(path).toBe(out);
    expect(decisions.training + decisions.heldOut).toBeGreaterThanOrEqual(600);
    expect(decisions.heldOut).toBeGreaterThan(50);
    expect(student.labels).toBeGreaterThan(2 * decisions.training);
    expect(student.heldOutAgreement).toBeGreaterThan(0.85);
    expect(student.heldOutR2).toBeGreaterThan(0.5);
    const {data} = student.tensors.calibration;
    expect(data.length).toBeGreaterThan(3 * 2 * decisions.heldOut);
    const agreed = Array.from(
        {length: data.length / 3},
        (_, i) => (data[3 * i] ?? 0) > 0 === (data[3 * i + 2] ?? 0) > 0
    );
    expect(agreed.filter(Boolean).length / agreed.length).toBeCloseTo(student.heldOutAgreement, 6);
    const sure = minConfidence(student, 0, 0.995);
    expect(sure.share).toBeGreaterThan(0.1);
    for (const phase of ["decisions", "student"] as const) {
        const last = told.findLast((progress) => progress.phase === phase);
        expect(last?.done).toBe(last?.total);
    }
    using again = await MaraAgent.load(out);
    expect(again.student).toEqual(student);
    expect(again.tensors()).toEqual(agent.tensors());
    agent.dispose();
});

test("replaces the agent's file, with the same bytes for the same options", async () => {
    const files = ["one", "two"].map((name) => join(folder, `${name}.safetensors`));
    for (const file of files) {
        copyFileSync(demoAgentPath, file);
        const {agent, path} = await trainStudent({...small, decisions: 120, model, agent: file, prompts, sequences: 3});
        agent.dispose();
        expect(path).toBe(file);
    }
    const [one, two] = files.map((file) => readFileSync(file));
    expect(one).toEqual(two);
});

test("an interruption leaves a student of the decisions until then", async () => {
    using agent = await MaraAgent.load("demo");
    const controller = new AbortController();
    const result = await trainStudent({
        ...small,
        decisions: 1_000_000,
        model,
        agent,
        prompts,
        signal: controller.signal,
        onProgress: ({phase, done}) => {
            if (phase === "decisions" && done > 350) controller.abort();
        }
    });
    expect(result.completed).toBe(false);
    expect(result.decisions.training).toBeLessThan(600);
    expect(agent.student).toBe(result.student);
    expect(result.student.heldOutAgreement).toBeGreaterThan(0.4);
});

test("says what is wrong before it generates, and leaves the files alone", async () => {
    using agent = await MaraAgent.load("demo");
    const refused = async (options: object) => {
        const error = await failure(() => trainStudent({...small, model, agent, prompts, ...options}));
        return `${error.code}: ${error.message}`;
    };
    expect(await refused({prompts: prompts.slice(0, 1)})).toMatch(/^STUDENT_TOO_FEW: 1 prompt is too few/);
    expect(await refused({candidates: {topK: 1}, decisions: 10})).toMatch(/^STUDENT_TOO_FEW: The responses hold no/);
    expect(await refused({signal: AbortSignal.abort()})).toMatch(/^STUDENT_TOO_FEW: It was interrupted/);
    expect(await refused({out: "agent.pth"})).toMatch(/^INVALID_ARGUMENT: Expected a path that ends in \.safetensors/);
    expect(await refused({out: join(folder, "none", "a.safetensors")})).toMatch(
        /^WRITE_FAILED: .*none is no directory/
    );
    expect(await refused({agent: "demo"})).toMatch(/^INVALID_ARGUMENT: .* the demo's agent is part of the package/);
    expect(await refused({agent: goldenPath("half.pth"), out: join(folder, "x.safetensors")})).toMatch(/^AGENT_WIDTH/);
    expect(await refused({decision: 5})).toMatch(/^INVALID_ARGUMENT: .*Did you mean "decisions"/);
    const published = join(folder, "published.pth");
    copyFileSync(goldenPath("half.pth"), published);
    writeFileSync(join(folder, "published.safetensors"), "mine");
    expect(await refused({agent: published})).toMatch(/^WRITE_FAILED: .*published\.safetensors exists already/);
    expect(readFileSync(join(folder, "published.safetensors"), "utf8")).toBe("mine");
});

test("takes verdicts from the confidence on at which enough of them agree", () => {
    const student = (...rows: [mean: number, sigma: number, logit: number][]) => ({
        tensors: {calibration: {shape: [rows.length, 3], data: Float32Array.from(rows.flat())}}
    });
    const rows = student([4, 1, 2], [-3, 1, -1], [4, 2, -1], [1, 1, 5], [-0.5, 1, 3]);
    const at = (agreement: number, threshold = 0) => minConfidence(rows as never, threshold, agreement);
    expect(at(1)).toEqual({confidence: 3, share: 2 / 5});
    expect(at(0.75)).toEqual({confidence: 1, share: 4 / 5});
    expect(at(0.6)).toEqual({confidence: 0.5, share: 1});
    expect(at(0)).toEqual({confidence: 0, share: 1});
    // Its logits are cut at 8.
    expect(at(0.5, 10)).toEqual({confidence: Number.POSITIVE_INFINITY, share: 0});
    expect(at(0, 10)).toEqual({confidence: 0, share: 1});
    expect(minConfidence(student([1, 1, -1]) as never, 0, 0.5)).toEqual({
        confidence: Number.POSITIVE_INFINITY,
        share: 0
    });
});

test("a run of trainAgent makes one in the end, whatever interrupted it", async () => {
    const whole = join(folder, "run-whole");
    const options = {...smallPreference, student: true, model};
    const finished = await trainAgent({...options, runDirectory: whole});
    expect(finished.completed).toBe(true);
    expect(finished.agent?.student?.labels).toBeGreaterThan(50);
    finished.agent?.dispose();
    using agent = await MaraAgent.load(finished.paths.agent);
    expect(agent.student?.model).toMatch(/^[0-9a-f]{64}$/);

    const cut = join(folder, "run-cut");
    const controller = new AbortController();
    const begun = await trainAgent({
        ...options,
        runDirectory: cut,
        signal: controller.signal,
        onProgress: ({phase}) => {
            if (phase === "decisions") controller.abort();
        }
    });
    expect(begun.completed).toBe(false);
    begun.agent?.dispose();
    const resumed = await trainAgent({model, reward: courtesy, prompts: runPrompts, runDirectory: cut, resume: true});
    expect(resumed.completed).toBe(true);
    resumed.agent?.dispose();
    expect(readFileSync(resumed.paths.agent)).toEqual(readFileSync(finished.paths.agent));

    // Taken up once more and interrupted again, it keeps what it has.
    const interruption = new AbortController();
    const again = await trainAgent({
        model,
        reward: courtesy,
        prompts: runPrompts,
        runDirectory: cut,
        resume: true,
        signal: interruption.signal,
        onProgress: ({phase}) => {
            if (phase === "decisions") interruption.abort();
        }
    });
    expect(again.completed).toBe(false);
    again.agent?.dispose();
    expect(readFileSync(again.paths.agent)).toEqual(readFileSync(finished.paths.agent));
});
