/** Updates per second of the learner against PyTorch. */
import {interleave} from "../harness/interleave.js";
import {nodeWorker, runProcess} from "../harness/process.js";
import {medianOf, spreadOf} from "../harness/statistics.js";
import {atLeast, type BenchOptions, type SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";
import {benchFile, pythonWith} from "../harness/tools.js";

export interface LearnerWork {
    width: number;
    batch: number;
    /** Transitions in the replay. */
    rows: number;
    threads: number;
    seconds: number;
    /** Updates before the timed ones. */
    warmUp: number;
}

export interface UpdatesResult {
    updatesPerSecond: number;
    /** Entropy of the policy after the last update of the warm-up, in nats. */
    entropy: number;
    detail: string;
}

/** A policy that has hardly learnt is near even. One far from that has not worked on the same task; parameters are compared by the tests. */
function problem({entropy}: UpdatesResult): string | undefined {
    return entropy > 0.3 && entropy <= 0.6932 ? undefined : `its policy has an entropy of ${entropy}`;
}

/** Adds tables, panels and targets to `result`. */
export async function measureLearner(options: BenchOptions, result: SuiteResult): Promise<void> {
    const {quick, threads, rounds, log} = options;
    const ratios = new Map<string, number>();
    const rows: string[][] = [];
    const data: Record<string, unknown> = {};
    for (const width of [576, 2048]) {
        const work: LearnerWork = {width, batch: 1024, rows: 8192, threads, seconds: quick ? 1 : 10, warmUp: 5};
        const contenders = [
            {
                name: "ours",
                problem,
                measure: () => runProcess<UpdatesResult>(nodeWorker("train/worker.ts", work))
            },
            {
                name: "torch",
                problem,
                measure: () =>
                    runProcess<UpdatesResult>({
                        file: pythonWith("torch"),
                        args: [benchFile("train/torch_worker.py"), JSON.stringify(work)],
                        env: {OMP_NUM_THREADS: String(threads)}
                    })
            }
        ];
        const {results, skipped} = await interleave(contenders, rounds, (line) =>
            log(`learner, D = ${width}: ${line}`)
        );
        for (const [name, reason] of Object.entries(skipped)) result.skipped[`learner, D = ${width}: ${name}`] = reason;
        const speeds = [...results].map(([name, values]) => ({
            name,
            detail: values[0]?.detail ?? "",
            values: values.map(({updatesPerSecond}) => updatesPerSecond)
        }));
        const median = (wanted: string) => medianOf(speeds.find(({name}) => name === wanted)?.values ?? []);
        const ratio = median("ours") / median("torch");
        ratios.set(`D = ${width}`, ratio);
        for (const {name, detail, values} of speeds) {
            const {median, low, high} = spreadOf(values);
            const against = name === "ours" ? `${short(ratio)}×` : "";
            rows.push([`D = ${width}: ${name} (${detail})`, short(median), `${short(low)}–${short(high)}`, against]);
        }
        result.panels.push({
            title: `Learner, D = ${width}`,
            unit: "updates/s",
            bars: speeds.map(({name, values}) => ({label: name, value: spreadOf(values), ours: name === "ours"}))
        });
        data[`D = ${width}`] = Object.fromEntries(results);
    }
    result.tables.push({
        title: "Updates per second (discrete SAC, batch 1024, H = 1024, 256)",
        columns: ["", "updates/s", "quartiles", "ours against torch"],
        rows
    });
    result.targets.push(atLeast("learner ≥ 1× PyTorch's updates per second", 1, ratios));
    result.data = {...(result.data as object), learner: data};
}
