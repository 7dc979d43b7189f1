import {join} from "node:path";
import {interleave} from "../harness/interleave.js";
import {medianOf, type Spread, spreadOf} from "../harness/statistics.js";
import {atLeast, atMost, type BenchOptions, type Suite, type SuiteResult, type Target} from "../harness/suite.js";
import {short, type Table} from "../harness/table.js";
import {orSkip, scratchFolder} from "../harness/tools.js";
import {type KernelResult, writeCases} from "./cases.js";
import {type KernelContender, kernelContenders} from "./contenders.js";
import {Floors} from "./floor.js";

interface Measured {
    contender: KernelContender;
    rounds: KernelResult[];
    /** Microseconds per call. */
    at(width: number, count: number): Spread;
}

export const kernelSuite: Suite = {title: "Kernel: K states scored by one agent (H = 1024, 256)", run};

async function run({quick, threads, rounds, log}: BenchOptions): Promise<SuiteResult> {
    const widths = quick ? [576, 2048] : [576, 2048, 4096];
    const counts = quick ? [1, 8, 40] : [1, 4, 8, 16, 40];
    const sampleSeconds = quick ? 0.03 : 0.15;
    const folder = join(scratchFolder, "cases");
    log("writing the cases");
    writeCases(folder, widths, Math.max(...counts));

    const skipped: Record<string, string> = {};
    const contenders = kernelContenders({folder, widths, counts, threads, sampleSeconds}, skipped);
    const floors = new Floors(widths, threads);
    const floor = {name: "floor", measure: () => floors.measure(sampleSeconds), problem: () => undefined};
    const outcome = await interleave<unknown>([floor, ...contenders], rounds, log);
    Object.assign(skipped, outcome.skipped);
    const measured = contenders.flatMap((contender) => {
        const results = outcome.results.get(contender.name) as KernelResult[] | undefined;
        return results === undefined ? [] : [measuredOf(contender, results)];
    });
    const floorOf = (width: number, count: number, dtype: string) =>
        "floor" in skipped ? Number.NaN : floors.of(width, count, dtype) * 1e6;
    const notes: string[] = [];
    orSkip("floor", skipped, () => notes.push(floors.describe()));
    notes.push(
        `Contenders: ${measured.map(({contender, rounds}) => `${contender.name} (${rounds[0]?.detail})`).join(", ")}.`
    );
    notes.push(`Largest errors against float64: ${measured.map(errorOf).join(", ")}.`);
    const places = widths.flatMap((width) => counts.map((count) => ({width, count})));
    return {
        tables: [
            ...widths.map((width) => timesTable(width, counts, measured, floorOf)),
            ratiosTable(places, measured, floorOf)
        ],
        panels: counts.flatMap((count) =>
            widths.map((width) => ({
                title: `D = ${width}, K = ${count}`,
                unit: "µs per call",
                boundName: "floor",
                bars: measured
                    .filter(({contender}) => !contender.name.startsWith("typescript"))
                    .map(({contender: {name, kind, dtype}, at}) => ({
                        label: name,
                        value: at(width, count),
                        ours: kind === "ours",
                        bound: kind === "ours" ? floorOf(width, count, dtype) : undefined
                    }))
            }))
        ),
        columns: widths.length,
        targets: targetsOf(places, measured, floorOf),
        notes,
        skipped,
        data: Object.fromEntries(outcome.results)
    };
}

function measuredOf(contender: KernelContender, rounds: KernelResult[]): Measured {
    const at = (width: number, count: number) =>
        spreadOf(
            rounds.map(({times}) => {
                const time = times.find((entry) => entry.width === width && entry.count === count);
                return (time?.seconds ?? Number.NaN) * 1e6;
            })
        );
    return {contender, rounds, at};
}

type FloorOf = (width: number, count: number, dtype: string) => number;
type Place = {width: number; count: number};

function timesTable(width: number, counts: readonly number[], measured: readonly Measured[], floorOf: FloorOf): Table {
    return {
        title: `D = ${width}: µs per call, median [quartiles]; floor in parentheses`,
        columns: ["", ...counts.map((count) => `K = ${count}`)],
        rows: measured.map(({contender: {name, kind, dtype}, at}) => [
            name,
            ...counts.map((count) => {
                const {median, low, high} = at(width, count);
                const floor = kind === "ours" ? ` (${short(floorOf(width, count, dtype))})` : "";
                return `${short(median)} [${short(low)}–${short(high)}]${floor}`;
            })
        ])
    };
}

/** The fastest of those that pass, by median. */
function fastest(
    measured: readonly Measured[],
    {width, count}: Place,
    passes: (contender: KernelContender) => boolean
) {
    return measured
        .filter(({contender}) => passes(contender))
        .map(({contender, at}) => ({name: contender.name, dtype: contender.dtype, time: at(width, count).median}))
        .sort((a, b) => a.time - b.time)[0];
}

/**
 * Our best weight type on this machine is one type for every place: that with the least sum of logarithms, so that no place
 * counts more than another.
 */
function bestType(places: readonly Place[], measured: readonly Measured[]): string | undefined {
    const ours = measured.filter(({contender}) => contender.kind === "ours");
    const score = ({at}: Measured) =>
        places.reduce((sum, {width, count}) => sum + Math.log(at(width, count).median), 0);
    return ours.sort((a, b) => score(a) - score(b))[0]?.contender.dtype;
}

function ratiosTable(places: readonly Place[], measured: readonly Measured[], floorOf: FloorOf): Table {
    const best = bestType(places, measured);
    const rows = places.map((place) => {
        const ours = fastest(measured, place, ({kind, dtype}) => kind === "ours" && dtype === best);
        const peer = fastest(measured, place, ({kind}) => kind === "peer");
        const f32 = fastest(measured, place, ({kind, dtype}) => kind === "ours" && dtype === "f32");
        const f32Peer = fastest(measured, place, ({kind, dtype}) => kind === "peer" && dtype === "f32");
        const floor = floorOf(place.width, place.count, best ?? "");
        return [
            `D = ${place.width}, K = ${place.count}`,
            `${short((peer?.time ?? Number.NaN) / (ours?.time ?? Number.NaN))}× ${peer?.name ?? ""}`,
            `${short((f32Peer?.time ?? Number.NaN) / (f32?.time ?? Number.NaN))}× ${f32Peer?.name ?? ""}`,
            `${short((ours?.time ?? Number.NaN) / floor)}×`
        ];
    });
    return {
        title: "Ratios",
        columns: ["", `${best} against the fastest peer`, "f32 against f32", `${best} over its floor`],
        rows
    };
}

function targetsOf(places: readonly Place[], measured: readonly Measured[], floorOf: FloorOf): Target[] {
    const best = bestType(places, measured) ?? "";
    const isBest = ({kind, dtype}: KernelContender) => kind === "ours" && dtype === best;
    const ratios = (wanted: readonly Place[], ratio: (place: Place) => number) =>
        new Map(wanted.map((place) => [`D=${place.width} K=${place.count}`, ratio(place)]));
    const timeOf = (place: Place, passes: (contender: KernelContender) => boolean) =>
        fastest(measured, place, passes)?.time ?? Number.NaN;
    const f32 =
        (wanted: "ours" | "peer") =>
        ({kind, dtype}: KernelContender) =>
            kind === wanted && dtype === "f32";
    const wide = places.filter(({width, count}) => width >= 2048 && count === 1);
    const widest = places.filter(({count}) => count === 40);
    return [
        atLeast(
            `best type (${best}) ≥ 2× faster than the fastest peer`,
            2,
            ratios(places, (place) => timeOf(place, ({kind}) => kind === "peer") / timeOf(place, isBest))
        ),
        atLeast(
            "f32 ≥ 1.3× faster than the fastest f32 peer",
            1.3,
            ratios(places, (place) => timeOf(place, f32("peer")) / timeOf(place, f32("ours")))
        ),
        atMost(
            `K = 1, D ≥ 2048: ${best} ≤ 1.5× the floor`,
            1.5,
            ratios(wide, (place) => timeOf(place, isBest) / floorOf(place.width, place.count, best))
        ),
        atMost(
            `K = 40 ≤ 3× the K = 1 time (${best})`,
            3,
            ratios(widest, (place) => timeOf(place, isBest) / timeOf({...place, count: 1}, isBest))
        )
    ];
}

function errorOf({contender, rounds}: Measured): string {
    return `${contender.name} ${medianOf(rounds.map(({times}) => Math.max(...times.map(({error}) => error)))).toExponential(1)}`;
}
