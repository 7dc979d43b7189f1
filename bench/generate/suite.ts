import {existsSync} from "node:fs";
import {basename, join} from "node:path";
import {interleave} from "../harness/interleave.js";
import type {BenchOptions, Suite, SuiteResult} from "../harness/suite.js";
import {benchFile, scratchFolder} from "../harness/tools.js";
import {makeAgents} from "./agents.js";
import {costsContender, generateContenders, modelName, type Plan} from "./contenders.js";
import {ModelReport} from "./report.js";
import {generateTargets} from "./targets.js";
import type {Costs, GenerateResult} from "./work.js";

export const generateSuite: Suite = {title: "Generate: tokens per second, plain and aligned", run};

async function run(options: BenchOptions): Promise<SuiteResult> {
    const models = [benchFile("../demo/model.gguf"), process.env.MARA_TEST_MODEL];
    const reports: ModelReport[] = [];
    const skipped: Record<string, string> = {};
    for (const path of models) {
        if (path === undefined) skipped["the test model"] = "MARA_TEST_MODEL is not set";
        else if (!existsSync(path)) skipped[basename(path)] = "no such file";
        else reports.push(await measureModel(path, options, skipped));
    }
    return {
        tables: reports.flatMap((report) => report.tables()),
        panels: reports.flatMap((report) => report.panels()),
        columns: 3,
        targets: reports.flatMap(generateTargets),
        notes: [
            "Ideal: what plain with one pool thread takes besides decoding, and the decodes that were run, each at the measured cost of its size. " +
                "Achieved rates are those of the timed generation.",
            ...reports.map((report) => report.costsLine()),
            ...reports.flatMap((report) => report.partedLines())
        ],
        skipped,
        data: Object.fromEntries(reports.map((report) => [report.name, report.data]))
    };
}

async function measureModel(
    modelPath: string,
    {quick, threads, rounds, only, log}: BenchOptions,
    skipped: Record<string, string>
): Promise<ModelReport> {
    const name = modelName(modelPath);
    const tokens = quick ? 48 : 128;
    const plan: Plan = {
        modelPath,
        agents: join(scratchFolder, "agents", name),
        sequences: quick ? [1, 4] : [1, 4, 8],
        rates: quick ? [1, 0.8] : [1, 0.95, 0.8, 0.5],
        tokens,
        contextSize: 512,
        threads,
        prefillTokens: quick ? 128 : 400
    };
    await makeAgents(plan, log);
    const costs = costsContender({
        task: "costs",
        modelPath,
        sizes: Array.from({length: quick ? 12 : 32}, (_, i) => i + 1),
        depth: tokens / 2,
        repetitions: quick ? 3 : 9,
        contextSize: plan.contextSize,
        threads
    });
    const contenders = generateContenders(plan);
    const taking = [costs, ...contenders].filter((contender) => only.test(contender.name));
    const outcome = await interleave<unknown>(taking, rounds, (line) => log(`${name}: ${line}`));
    for (const [contender, reason] of Object.entries(outcome.skipped)) skipped[`${name}: ${contender}`] = reason;
    const measured = contenders.flatMap((contender) => {
        const results = outcome.results.get(contender.name) as GenerateResult[] | undefined;
        return results === undefined ? [] : [{contender, results}];
    });
    return new ModelReport(name, measured, (outcome.results.get("costs") ?? []) as Costs[]);
}
