import {existsSync} from "node:fs";
import {basename, join} from "node:path";
import {makeAgents} from "../generate/agents.js";
import {generateContenders, modelName, type Plan} from "../generate/contenders.js";
import type {GenerateResult} from "../generate/work.js";
import {interleave} from "../harness/interleave.js";
import {runProcess} from "../harness/process.js";
import {spreadOf} from "../harness/statistics.js";
import {atLeast, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";
import {benchFile, pythonWith, scratchFolder} from "../harness/tools.js";

interface ReferenceResult {
    tokensPerSecond: number;
    text: number[];
}

/** Share of the top candidates that the agent accepts. */
const rate = 0.8;

export const referenceSuite: Suite = {
    title: `Reference: the same generation by a Python loop over transformers (agent: ${rate * 100} % accepted)`,
    run
};

async function run(options: BenchOptions): Promise<SuiteResult> {
    const result: SuiteResult = {
        tables: [],
        panels: [],
        columns: 2,
        targets: [],
        notes: [
            "The Python loop is a serial accept–reject loop with a KV cache, in float32 on weights that transformers read from the same GGUF file; " +
                "rounding differs from llama.cpp's, so the texts part at some token."
        ],
        skipped: {},
        data: {}
    };
    const rows: string[][] = [];
    const ratios = new Map<string, number>();
    for (const path of [benchFile("../demo/model.gguf"), process.env.MARA_TEST_MODEL]) {
        if (path === undefined || !existsSync(path)) {
            result.skipped[path === undefined ? "the test model" : basename(path)] =
                path === undefined ? "MARA_TEST_MODEL is not set" : "no such file";
            continue;
        }
        const name = modelName(path);
        const speeds = await measureModel(path, options, result);
        for (const {label, values, same} of speeds) {
            const {median, low, high} = spreadOf(values);
            rows.push([`${name}: ${label}`, short(median), `${short(low)}–${short(high)}`, same]);
        }
        const [ours, theirs] = speeds.map(({values}) => spreadOf(values));
        if (ours !== undefined && theirs !== undefined) ratios.set(name, ours.median / theirs.median);
        result.panels.push({
            title: name,
            unit: "tokens/s",
            bars: speeds.map(({label, values}, i) => ({label, value: spreadOf(values), ours: i === 0}))
        });
    }
    result.tables.push({title: "Tokens per second", columns: ["", "tokens/s", "quartiles", "tokens in common"], rows});
    result.targets.push(atLeast("≥ 5× the reference loop's tokens per second", 5, ratios));
    result.data = {rows};
    return result;
}

async function measureModel(modelPath: string, {quick, threads, rounds, log}: BenchOptions, result: SuiteResult) {
    const name = modelName(modelPath);
    const plan: Plan = {
        modelPath,
        agents: join(scratchFolder, "agents", name),
        sequences: [1],
        rates: [rate],
        tokens: quick ? 32 : 128,
        contextSize: 512,
        threads,
        prefillTokens: 0
    };
    await makeAgents(plan, log);
    const ours = generateContenders(plan).filter(({mode}) => mode === "lanes");
    let prompt: number[] = [];
    let text: number[] = [];
    const reference = {
        name: "transformers",
        measure: () => {
            const work = {
                threads,
                modelPath,
                agentPath: join(plan.agents, `${rate}.safetensors`),
                tokens: plan.tokens,
                topK: 40,
                topP: 0.95,
                prompt
            };
            return runProcess<ReferenceResult>({
                file: pythonWith("torch", "transformers", "gguf", "accelerate", "safetensors"),
                args: [benchFile("reference/reference_worker.py"), JSON.stringify(work)],
                env: {OMP_NUM_THREADS: String(threads)}
            });
        },
        problem: () => undefined
    };
    const noted = ours.map((contender) => ({
        ...contender,
        measure: async () => {
            const measured = await contender.measure();
            prompt = measured.prompt;
            text = measured.texts[0] as number[];
            return measured;
        }
    }));
    const outcome = await interleave<unknown>([...noted, reference], rounds, (line) => log(`${name}: ${line}`));
    for (const [contender, reason] of Object.entries(outcome.skipped)) result.skipped[`${name}: ${contender}`] = reason;
    const speeds: {label: string; values: number[]; same: string}[] = [];
    for (const [label, results] of outcome.results) {
        const values = (results as (ReferenceResult | GenerateResult)[]).map(({tokensPerSecond}) => tokensPerSecond);
        const other = (results[0] as Partial<ReferenceResult>).text ?? text;
        const at = other.findIndex((token, i) => token !== text[i]);
        speeds.push({label, values, same: `${at < 0 ? other.length : at} of ${text.length}`});
    }
    return speeds;
}
