/** Two agents on the same states, in one call, beside each alone. */
import {MaraAgent} from "../../lib/agent/agent.js";
import {randomTensors} from "../../test/support/agents.js";
import {seededRandom} from "../../test/support/random.js";
import {medianOf, spreadOf} from "../harness/statistics.js";
import {atMost, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";
import {hidden} from "./cases.js";

const widths = [576, 2048] as const;
/** How many states, and how many calls in a row are measured together. */
const cases = [
    {count: 1, calls: 200},
    {count: 8, calls: 80},
    {count: 40, calls: 40}
] as const;
const slices = 20;

export const severalSuite: Suite = {title: "Several agents: two of the published size on K states, one thread", run};

async function run({quick, rounds, log}: BenchOptions): Promise<SuiteResult> {
    const ratios = new Map<string, number>();
    const rows: string[][] = [];
    const data: Record<string, Record<string, number[]>> = {};
    for (const width of widths) {
        log(`several agents, D = ${width}`);
        const {normal} = seededRandom(width);
        const agentOf = (seed: number, sizes: readonly [number, number]) =>
            MaraAgent.fromTensors(randomTensors(width, seed, {hidden: sizes}), {threads: 1});
        const [first, second] = [agentOf(1, hidden), agentOf(2, hidden)];
        for (const {count, calls} of cases) {
            const place = `D = ${width}, K = ${count}`;
            const states = Float32Array.from({length: count * width}, normal);
            const copy = new Float32Array(states.length);
            const contenders = {
                // In turn, so that each finds the caches as the other left them, as both in one call do.
                apart: async () => {
                    await first._native.judgeAsync(states, []);
                    await second._native.judgeAsync(states, []);
                },
                both: () => first._native.judgeAsync(states, [second._native]),
                // The hop to another thread and the copy of the states, neither of which a wave pays.
                call: () => {
                    copy.set(states);
                    return first._native.judgeAsync(new Float32Array(0), []);
                }
            };
            const times: Record<keyof typeof contenders, number[]> = {apart: [], both: [], call: []};
            const entries = Object.entries(contenders) as [keyof typeof contenders, () => Promise<unknown>][];
            for (let slice = 0; slice < (quick ? 4 : slices * rounds); slice++)
                for (const [name, call] of slice % 2 === 0 ? entries : entries.toReversed())
                    times[name].push(await processorTime(call, calls));
            const each = times.both.map((both, i) => both / ((times.apart[i] as number) - (times.call[i] as number)));
            ratios.set(place, medianOf(each));
            data[place] = times;
            rows.push([
                place,
                ...(["apart", "both", "call"] as const).map((name) => shown(times[name], short)),
                shown(each, (ratio) => ratio.toFixed(2))
            ]);
        }
        for (const agent of [first, second]) agent.dispose();
    }
    const ratio = "both in one call ÷ (one after the other − the call alone)";
    return {
        tables: [
            {
                title: "µs of processor time per call, median [quartiles]",
                columns: ["", "one after the other", "both in one call", "the call alone", ratio],
                rows
            }
        ],
        panels: [],
        columns: 1,
        targets: [atMost(ratio, 1, ratios)],
        notes: [
            "“The call alone” copies the states and hops to another thread, and judges nothing there.",
            "What one call saves is the second gathering and packing of the states. Of one state of 576 numbers that is less than the quartiles " +
                "are apart, so there the ratio is 1 with noise on both sides."
        ],
        skipped: {},
        data
    };
}

function shown(values: readonly number[], text: (value: number) => string): string {
    const {median, low, high} = spreadOf(values);
    return `${text(median)} [${text(low)}–${text(high)}]`;
}

/** Microseconds of processor time per call, of all threads: unlike the time that passes, it does not grow with other work on the machine. */
async function processorTime(call: () => Promise<unknown>, calls: number): Promise<number> {
    const start = process.cpuUsage();
    for (let i = 0; i < calls; i++) await call();
    const {user, system} = process.cpuUsage(start);
    return (user + system) / calls;
}
