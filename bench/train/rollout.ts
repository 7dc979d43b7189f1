/** Rollouts against plain generation with as many sequences. Part of the suite `train`. */
import {modelName} from "../generate/contenders.js";
import {interleave} from "../harness/interleave.js";
import {nodeWorker, runProcess} from "../harness/process.js";
import {medianOf} from "../harness/statistics.js";
import type {BenchOptions} from "../harness/suite.js";
import {short, type Table} from "../harness/table.js";

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

export interface RolloutReport {
    tables: Table[];
    skipped: Record<string, string>;
    data: Record<string, Record<string, RolloutMeasure[]>>;
}

const contenders = [
    {name: "plain generation", topK: 0},
    {name: "rollouts, top 10", topK: 10},
    {name: "rollouts, top 40", topK: 40}
] as const;
const sequences = 8;

export async function measureRollouts(
    modelPaths: readonly string[],
    {quick, threads, rounds, log}: BenchOptions
): Promise<RolloutReport> {
    const report: RolloutReport = {tables: [], skipped: {}, data: {}};
    const rows: string[][] = [];
    for (const modelPath of modelPaths) {
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
        for (const [name, reason] of Object.entries(skipped)) report.skipped[`${model}: ${name}`] = reason;
        report.data[model] = Object.fromEntries(results);
        const plain = medianOf((results.get("plain generation") ?? []).map(({tokensPerSecond}) => tokensPerSecond));
        for (const [name, measured] of results) {
            const median = (key: keyof RolloutMeasure) => medianOf(measured.map((each) => each[key]));
            const speed = median("tokensPerSecond");
            const rates = [speed, median("decisionsPerSecond"), median("candidatesPerSecond"), speed / plain];
            rows.push([`${model}: ${name}`, ...rates.map(short)]);
        }
    }
    report.tables.push({
        title: `Rollouts, ${sequences} sequences`,
        columns: ["", "tokens/s", "decisions/s", "candidates judged/s", "× plain"],
        rows
    });
    return report;
}
