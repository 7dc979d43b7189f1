/** Two agents on the same states, in one call, beside each alone. */
import {MaraAgent} from "../../lib/agent/agent.js";
import {randomTensors} from "../../test/support/agents.js";
import {seededRandom} from "../../test/support/random.js";
import {medianOf, spreadOf} from "../harness/statistics.js";
import {atMost, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";
import {hidden} from "./cases.js";

const widths = [576, 2048] as const;
const counts = [1, 8, 40] as const;

export const severalSuite: Suite = {title: "Several agents: two of the published size on K states, one thread", run};

async function run({quick, rounds, log}: BenchOptions): Promise<SuiteResult> {
    const ratios = new Map<string, number>();
    const rows: string[][] = [];
    const data: Record<string, number[]> = {};
    for (const width of widths) {
        log(`several agents, D = ${width}`);
        const {normal} = seededRandom(width);
        const agentOf = (seed: number, sizes: readonly [number, number]) =>
            MaraAgent.fromTensors(randomTensors(width, seed, {hidden: sizes}), {threads: 1});
        const [first, second, nothing] = [agentOf(1, hidden), agentOf(2, hidden), agentOf(3, [4, 4])];
        for (const count of counts) {
            const states = Float32Array.from({length: count * width}, normal);
            const contenders = {
                // In turn, so that each finds the caches as the other left them, as both in one call do.
                apart: async () => {
                    await first._native.judgeAsync(states, []);
                    await second._native.judgeAsync(states, []);
                },
                both: () => first._native.judgeAsync(states, [second._native]),
                // Hardly more than the hop to another thread and the copy of the states, which each call pays.
                call: () => nothing._native.judgeAsync(states, [])
            };
            const times: Record<keyof typeof contenders, number[]> = {apart: [], both: [], call: []};
            for (let round = 0; round < rounds; round++)
                for (const [name, call] of Object.entries(contenders) as [keyof typeof contenders, () => unknown][])
                    times[name].push(await medianTime(call, quick ? 50 : 500));
            const of = (name: keyof typeof contenders) => medianOf(times[name]);
            ratios.set(`D = ${width}, K = ${count}`, of("both") / (of("apart") - of("call")));
            for (const [name, values] of Object.entries(times)) data[`D = ${width}, K = ${count}, ${name}`] = values;
            rows.push([
                `D = ${width}, K = ${count}`,
                ...(["apart", "both", "call"] as const).map((name) => {
                    const {median, low, high} = spreadOf(times[name]);
                    return `${short(median)} [${short(low)}–${short(high)}]`;
                })
            ]);
        }
        for (const agent of [first, second, nothing]) agent.dispose();
    }
    return {
        tables: [
            {
                title: "µs per call, median [quartiles]",
                columns: ["", "one after the other", "both in one call", "the call alone"],
                rows
            }
        ],
        panels: [],
        columns: 1,
        targets: [atMost("both in one call ÷ (one after the other − the call alone)", 1, ratios)],
        notes: ["“The call alone” scores with an agent of four hidden units."],
        skipped: {},
        data
    };
}

/** Median time of a call in microseconds. */
async function medianTime(call: () => unknown, calls: number): Promise<number> {
    const times = new Float64Array(calls);
    for (let i = 0; i < calls; i++) {
        const start = performance.now();
        await call();
        times[i] = 1000 * (performance.now() - start);
    }
    return times.sort()[calls >> 1] as number;
}
