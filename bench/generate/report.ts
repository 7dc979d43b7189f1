import type {Panel} from "../harness/chart.js";
import {medianOf, type Spread, spreadOf} from "../harness/statistics.js";
import {short, type Table} from "../harness/table.js";
import type {GenerateContender} from "./contenders.js";
import {percent} from "./contenders.js";
import {predictorTable} from "./predictors.js";
import type {Costs, GenerateMode, GenerateResult} from "./work.js";

export interface Measured {
    contender: GenerateContender;
    results: GenerateResult[];
}

interface Wanted {
    mode: GenerateMode;
    sequences: number;
    rate?: number;
    onePoolThread?: boolean;
    predictor?: boolean;
    copying?: boolean;
}

/** The medians of one model's rounds. */
export class ModelReport {
    readonly name: string;
    readonly measured: readonly Measured[];
    readonly #costs: readonly Costs[];

    constructor(name: string, measured: readonly Measured[], costs: readonly Costs[]) {
        this.name = name;
        this.measured = measured;
        this.#costs = costs;
    }

    get data(): unknown {
        const runs = this.measured.map(({contender, results}) => [
            contender.name,
            results.map(({texts: _texts, prompt: _prompt, ...kept}) => kept)
        ]);
        return {costs: this.#costs, runs: Object.fromEntries(runs)};
    }

    find({mode, sequences, rate = 1, ...others}: Wanted): Measured | undefined {
        const {onePoolThread = false, predictor = false, copying = false} = others;
        return this.measured.find(
            ({contender}) =>
                contender.mode === mode &&
                contender.sequences === sequences &&
                contender.rate === rate &&
                contender.onePoolThread === onePoolThread &&
                contender.predictor === predictor &&
                contender.copying === copying
        );
    }

    /** Median tokens per second; NaN where it was not measured. */
    speed(wanted: Wanted): number {
        return median(this.find(wanted), ({tokensPerSecond}) => tokensPerSecond);
    }

    /** Median processor time per token in milliseconds; NaN where it was not measured. */
    processor(wanted: Wanted): number {
        return median(this.find(wanted), ({processorMs}) => processorMs);
    }

    /** Milliseconds of a decode of `size` tokens on a stock context. */
    cost(size: number): number {
        return medianOf(this.#costs.map((costs) => costs[size]?.median ?? Number.NaN));
    }

    /** Tokens per second if there were only plain's own work beside the decodes that were run. */
    ideal({contender, results}: Measured): number {
        const {sequences, mode} = contender;
        const plain = this.find({mode: "plain", sequences, onePoolThread: true});
        if (mode === "plain" || plain === undefined) return Number.NaN;
        const besides = Math.max(0, 1000 / speedOf(plain).median - this.#decodeTime(plain.results));
        return 1000 / (besides + this.#decodeTime(results));
    }

    tables(): Table[] {
        const counts = [...new Set(this.measured.map(({contender}) => contender.sequences))];
        return [...counts.map((count) => this.#speedTable(count)), predictorTable(this), this.#memoryTable()];
    }

    panels(): Panel[] {
        const counts = [...new Set(this.measured.map(({contender}) => contender.sequences))];
        return counts.map((count) => ({
            title: `${this.name}, ${count} sequence${count === 1 ? "" : "s"}`,
            unit: "tokens/s",
            boundName: "ideal",
            bars: this.#with(count).map((entry) => {
                const bound = this.ideal(entry);
                return {
                    label: labelOf(entry.contender),
                    value: speedOf(entry),
                    ours: entry.contender.mode !== "plain",
                    bound: Number.isFinite(bound) ? bound : undefined
                };
            })
        }));
    }

    costsLine(): string {
        const sizes = [1, 2, 4, 8, 16, 24, 32].filter((size) => Number.isFinite(this.cost(size)));
        return `${this.name}: a decode takes ${sizes.map((size) => `${this.cost(size).toFixed(2)} ms for ${size}`).join(", ")}.`;
    }

    /** Milliseconds per token of the decodes that were run, each at the measured cost of its size. */
    #decodeTime(results: readonly GenerateResult[]): number {
        const times = results.map(({batches}) =>
            Object.entries(batches).reduce((sum, [size, count]) => sum + this.cost(Number(size)) * count, 0)
        );
        return medianOf(times);
    }

    /** Contenders of several sequences whose texts parted by rounding. */
    partedLines(): string[] {
        return this.measured.flatMap(({contender: {name, parted}}) =>
            parted.size === 0 ? [] : [`${this.name}: ${name}: ${[...parted].join("; ")}.`]
        );
    }

    #with(count: number): Measured[] {
        return this.measured.filter(
            ({contender: {sequences, predictor, copying}}) => sequences === count && !predictor && !copying
        );
    }

    #speedTable(sequences: number): Table {
        const base = this.speed({mode: "plain", sequences});
        const fairest = this.speed({mode: "plain", sequences, onePoolThread: true});
        const plainCpu = this.processor({mode: "plain", sequences});
        return {
            title: `${this.name}, ${sequences} sequence${sequences === 1 ? "" : "s"} at once`,
            columns:
                "contender|tokens/s|quartiles|to plain|to plain, one pool thread|CPU ms/token|plain's CPU to it|of the ideal|decodes/token|accepted|kernel µs|rest µs|prefill/s".split(
                    "|"
                ),
            rows: this.#with(sequences).map((entry) => {
                const speed = speedOf(entry);
                const {contender, results} = entry;
                const value = (pick: (result: GenerateResult) => number | null | undefined) =>
                    medianOf(results.map((result) => pick(result) ?? Number.NaN));
                const acceptance = value(({topAcceptance}) => topAcceptance);
                return [
                    labelOf(contender),
                    short(speed.median),
                    `${short(speed.low)}–${short(speed.high)}`,
                    short(speed.median / base),
                    short(speed.median / fairest),
                    short(value(({processorMs}) => processorMs)),
                    short(plainCpu / value(({processorMs}) => processorMs)),
                    short(speed.median / this.ideal(entry)),
                    short(value(({decodesPerToken}) => decodesPerToken)),
                    Number.isFinite(acceptance) ? percent(acceptance) : "–",
                    short(1000 * value(({time}) => time?.kernel)),
                    short(1000 * value(({time}) => time?.rest)),
                    short(value(({prefillTokensPerSecond}) => prefillTokensPerSecond))
                ];
            })
        };
    }

    #memoryTable(): Table {
        const megabytes = (bytes: number) => (bytes / 1e6).toFixed(2);
        const wanted = (["plain", "lanes", "serial"] as const).map((mode) => this.find({mode, sequences: 1}));
        return {
            title: `${this.name}: memory in MB, one sequence`,
            columns:
                "mode|resident|of it anonymous|more than plain|packed agent|agent as loaded|lanes' KV cells|lanes' rows".split(
                    "|"
                ),
            rows: wanted.flatMap((entry) => {
                if (entry === undefined) return [];
                const at = (pick: (result: GenerateResult) => number) => median(entry, pick);
                const anonymous = anonymousOf(entry);
                return [
                    [
                        entry.contender.mode,
                        megabytes(at(({memory}) => memory.end.rss)),
                        megabytes(anonymous),
                        megabytes(anonymous - anonymousOf(wanted[0])),
                        megabytes(at(({sizes}) => sizes.packed)),
                        megabytes(at(({sizes}) => sizes.loaded)),
                        megabytes(at(({sizes}) => sizes.laneCells)),
                        megabytes(at(({sizes}) => sizes.laneRows))
                    ]
                ];
            })
        };
    }
}

export function anonymousOf(entry: Measured | undefined): number {
    return median(entry, ({memory}) => memory.end.anonymous);
}

export function median(entry: Measured | undefined, pick: (result: GenerateResult) => number): number {
    return medianOf((entry?.results ?? []).map(pick));
}

export function speedOf({results}: Measured): Spread {
    return spreadOf(results.map(({tokensPerSecond}) => tokensPerSecond));
}

export function labelOf({mode, rate, onePoolThread}: GenerateContender): string {
    if (mode === "plain") return onePoolThread ? "plain, one pool thread" : "plain";
    return `${mode}, ${percent(rate)} accepted`;
}
