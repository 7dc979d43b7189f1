/** Rollouts against plain generation with as many sequences. Part of the suite `train`. */
import {modelName} from "../generate/contenders.js";
import {interleave} from "../harness/interleave.js";
import {nodeWorker, runProcess} from "../harness/process.js";
import {medianOf} from "../harness/statistics.js";
import type {BenchOptions, SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";
import {benchFile} from "../harness/tools.js";

export interface RolloutWork {
    modelPath: string;
    /** 0: plain generation. */
    topK: number;
    sequences: number;
    /** Longest response. */
    tokens: number;
    threads: number;
}

export interface RolloutMeasure {
    tokens: number;
    tokensPerSecond: number;
    decisionsPerSecond: number;
    /** Judged ones. */
    candidatesPerSecond: number;
}

const contenders = [
    {name: "plain generation", topK: 0},
    {name: "rollouts, top 10", topK: 10},
    {name: "rollouts, top 40", topK: 40}
] as const;
const sequences = 8;

/** Adds to `result`. */
export async function measureRollouts({quick, threads, rounds, log}: BenchOptions, result: SuiteResult): Promise<void> {
    const data: Record<string, Record<string, RolloutMeasure[]>> = {};
    const rows: string[][] = [];
    for (const modelPath of [benchFile("../demo/model.gguf"), process.env.MARA_TEST_MODEL]) {
        if (modelPath === undefined) {
            result.skipped["rollouts of the test model"] = "MARA_TEST_MODEL is not set";
            continue;
        }
        const model = modelName(modelPath);
        const {results, skipped} = await interleave<RolloutMeasure>(
            contenders.map(({name, topK}) => ({
                name,
                measure: () => {
                    const work: RolloutWork = {modelPath, topK, sequences, tokens: quick ? 16 : 48, threads};
                    return runProcess(nodeWorker("train/rollout-worker.ts", work));
                },
                problem: ({tokens}) => (tokens > 0 ? undefined : "generated nothing")
            })),
            rounds,
            (line) => log(`${model}: ${line}`)
        );
        for (const [name, reason] of Object.entries(skipped)) result.skipped[`${model}: ${name}`] = reason;
        data[model] = Object.fromEntries(results);
        const plain = medianOf((results.get("plain generation") ?? []).map(({tokensPerSecond}) => tokensPerSecond));
        for (const [name, measured] of results) {
            const median = (key: keyof RolloutMeasure) => medianOf(measured.map((each) => each[key]));
            const speed = median("tokensPerSecond");
            const rates = [speed, median("decisionsPerSecond"), median("candidatesPerSecond"), speed / plain];
            rows.push([`${model}: ${name}`, ...rates.map(short)]);
        }
    }
    result.tables.push({
        title: `Rollouts, ${sequences} sequences`,
        columns: ["", "tokens/s", "decisions/s", "candidates judged/s", "× plain"],
        rows
    });
    result.data = {...(result.data as object), rollouts: data};
}
