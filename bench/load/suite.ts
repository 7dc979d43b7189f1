/** How long an agent's file takes to load, against reading its bytes: what the checks and the packing of the weights cost. */
import {mkdtemp, readFile, rm, stat, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {setFlagsFromString} from "node:v8";
import {runInNewContext} from "node:vm";
import {deflateRawSync, inflateRawSync} from "node:zlib";
import {unzipSync, zipSync} from "fflate";
import {MaraAgent} from "../../lib/index.js";
import {randomTensors} from "../../test/support/agents.js";
import {medianOf, spreadOf} from "../harness/statistics.js";
import {atMost, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";

/** Files of 20 MB, whatever the type. */
const width = 4600;
const hidden = {f32: [1024, 256], f16: [2048, 256], bf16: [2048, 256]} as const;
const files = [
    ["agent.safetensors", "f32"],
    ["agent.pth", "f32"],
    ["half.safetensors", "f16"],
    ["half.pth", "f16"],
    ["brain.safetensors", "bf16"],
    ["brain.pth", "bf16"]
] as const;
/** `agent.pth` compressed, which `torch.save` never does: inflating it is part of reading it. */
const deflated = "deflated.pth";
const limit = 3;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

export const loadSuite: Suite = {title: "Loading an agent", run};

async function run({quick, rounds, threads, log}: BenchOptions): Promise<SuiteResult> {
    const folder = await mkdtemp(join(tmpdir(), "mara-bench-"));
    try {
        for (const [name, dtype] of files) {
            using agent = MaraAgent.fromTensors(randomTensors(width, 1, {hidden: hidden[dtype]}));
            await agent.save(join(folder, name), {dtype});
        }
        const entries = unzipSync(await readFile(join(folder, "agent.pth")));
        await writeFile(join(folder, deflated), zipSync(entries, {level: 6}));
        const packed = Object.values(entries).map((bytes) => deflateRawSync(bytes));
        const inflate = () => packed.map((bytes) => inflateRawSync(bytes));
        const names = [...files.map(([name]) => name), deflated];
        const ratios = new Map<string, number>();
        const rows: string[][] = [];
        const data: Record<string, Times> = Object.fromEntries(names.map((name) => [name, {reads: [], loads: []}]));
        for (let round = 0; round < rounds; round++) {
            log(`load, round ${round + 1}`);
            for (let i = 0; i < (quick ? 3 : 9); i++)
                for (const name of names)
                    await measure(
                        join(folder, name),
                        threads,
                        data[name] as Times,
                        name === deflated ? inflate : undefined
                    );
        }
        for (const name of names) {
            const path = join(folder, name);
            const {reads, loads} = data[name] as Times;
            const ratio = medianOf(loads) / medianOf(reads);
            ratios.set(name, ratio);
            const megabytes = short((await stat(path)).size / 1e6);
            rows.push([name, megabytes, ...[reads, loads].map(spread), short(ratio)]);
        }
        return {
            tables: [
                {
                    title: "Milliseconds, median [quartiles]",
                    columns: ["", "MB", "reading the file", "loading the agent", "ratio"],
                    rows
                }
            ],
            panels: [],
            columns: 1,
            targets: [atMost("time to load ÷ time to read the file", limit, ratios)],
            notes: [
                "Reading and loading take turns; the files stay in the system's cache.",
                `Reading ${deflated} includes inflating what is in it.`
            ],
            skipped: {},
            data
        };
    } finally {
        await rm(folder, {recursive: true});
    }
}

/** Milliseconds of every measurement. */
interface Times {
    reads: number[];
    loads: number[];
}

async function measure(
    path: string,
    threads: number,
    {reads, loads}: Times,
    inflate: (() => unknown) | undefined
): Promise<void> {
    reads.push(
        await timeOf(async () => {
            await readFile(path);
            inflate?.();
        })
    );
    loads.push(
        await timeOf(async () => {
            (await MaraAgent.load(path, {threads})).dispose();
        })
    );
}

/** Garbage is collected first, so that no call pays for what the last one left. */
async function timeOf(act: () => Promise<unknown>): Promise<number> {
    collectGarbage();
    const start = performance.now();
    await act();
    return performance.now() - start;
}

function spread(times: readonly number[]): string {
    const {median, low, high} = spreadOf(times);
    return `${short(median)} [${short(low)}–${short(high)}]`;
}
