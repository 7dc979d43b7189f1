import type {Panel} from "./chart.js";
import type {Table} from "./table.js";

export interface BenchOptions {
    /** Fewer cases and rounds, shorter samples: to see that everything runs, not to report. */
    quick: boolean;
    /** Threads of every contender. */
    threads: number;
    rounds: number;
    /** Which of the contenders that take turns are run: those whose names match. */
    only: RegExp;
    log(line: string): void;
}

/** One line of "What it must reach". */
export interface Target {
    name: string;
    /** undefined: the value that it is compared with was not measured. */
    passes: boolean | undefined;
    detail: string;
}

export interface SuiteResult {
    tables: Table[];
    panels: Panel[];
    /** Columns of the chart. */
    columns: number;
    targets: Target[];
    notes: string[];
    /** Contenders that did not run, with the reason. */
    skipped: Record<string, string>;
    /** Every measured value, for the JSON file. */
    data: unknown;
}

export interface Suite {
    readonly title: string;
    run(options: BenchOptions): Promise<SuiteResult>;
}

/** A ratio that must be at least `min`, over every place where it was measured; the detail names the worst. */
export function atLeast(name: string, min: number, ratios: ReadonlyMap<string, number>): Target {
    return judge(name, ratios, (ratio) => ratio >= min, `at least ${min}`, Math.min);
}

/** A ratio that must be at most `max`, over every place where it was measured; the detail names the worst. */
export function atMost(name: string, max: number, ratios: ReadonlyMap<string, number>): Target {
    return judge(name, ratios, (ratio) => ratio <= max, `at most ${max}`, Math.max);
}

function judge(
    name: string,
    ratios: ReadonlyMap<string, number>,
    passes: (ratio: number) => boolean,
    wanted: string,
    worse: (...values: number[]) => number
): Target {
    const known = [...ratios].filter(([, ratio]) => Number.isFinite(ratio));
    if (known.length === 0) return {name, passes: undefined, detail: "not measured"};
    const missed = known.filter(([, ratio]) => !passes(ratio));
    const worst = worse(...known.map(([, ratio]) => ratio));
    const where = known.find(([, ratio]) => ratio === worst)?.[0];
    const count = missed.length === 0 ? "" : `; missed at ${missed.map(([place]) => place).join(", ")}`;
    return {
        name,
        passes: missed.length === 0,
        detail: `worst ${worst.toFixed(2)} (${where}), wanted ${wanted}${count}`
    };
}
