import type {ChartSpec} from "../report/page.js";
import type {Estimate, EvaluationResult} from "./result.js";
import type {Side} from "./sides.js";

/** A chart and what stands below it; `caption` is HTML. */
export type LabelledChart = ChartSpec & {label: string; caption: string; wide?: boolean};

export function evaluationCharts(result: EvaluationResult, sides: readonly Side[]): LabelledChart[] {
    const {decisions} = result.aligned;
    const charts = [...dialChart(result), differenceChart(result, sides)];
    if (decisions !== undefined) {
        const {acceptedRanks, fallbacks, candidateCounts} = decisions;
        charts.push(
            bars("ranks", {
                labels: [...acceptedRanks.map((_, rank) => String(rank + 1)), "none"],
                values: [...acceptedRanks, fallbacks],
                x: "rank of the accepted candidate",
                y: "decisions",
                caption: "Accepted ranks. 1: the model’s own choice; none: nothing was accepted."
            }),
            bars("candidates", {
                labels: candidateCounts.slice(1).map((_, i) => String(i + 1)),
                values: candidateCounts.slice(1),
                x: "candidates",
                y: "tokens",
                caption: "Candidates per token. With one there is nothing to decide."
            })
        );
    }
    return charts;
}

/** Two panels over one axis: what the dial buys, and what it costs. */
function dialChart({dial, others, config}: EvaluationResult): LabelledChart[] {
    if (dial.length === 0) return [];
    const labels = dial.map(({threshold}) => String(threshold));
    const band = (of: (point: (typeof dial)[number]) => Estimate, scale: number, axis: string, series: number) => {
        const line = (pick: (estimate: Estimate) => number | null | undefined) =>
            dial.map((point) => {
                const value = pick(of(point));
                return value == null ? null : value * scale;
            });
        const edge = {pointRadius: 0, borderWidth: 0, yAxisID: axis, backgroundColor: `var(--series-${series}-soft)`};
        const color = `var(--series-${series})`;
        return [
            {label: "low", data: line(({interval95}) => interval95?.[0]), ...edge},
            {label: "high", data: line(({interval95}) => interval95?.[1]), ...edge, fill: "-1"},
            {
                label: axis === "y" ? "preference rate" : "perplexity",
                data: line(({value}) => value),
                yAxisID: axis,
                borderColor: color,
                backgroundColor: color,
                borderWidth: 2,
                pointRadius: 3
            }
        ];
    };
    const datasets = band(({pair}) => pair.preferenceRate, 100, "y", 1);
    const baseline = others[0]?.perplexity.value ?? null;
    if (config.fluency) {
        datasets.push(...band(({side}) => side.perplexity, 1, "fluency", 3));
        const dashed = {borderDash: [5, 4], pointRadius: 0, borderWidth: 1.5, borderColor: "var(--series-2)"};
        datasets.push({
            label: config.against[0] ?? "",
            data: labels.map(() => baseline),
            yAxisID: "fluency",
            backgroundColor: "var(--series-2)",
            ...dashed
        } as never);
    }
    const axis = (text: string) => ({stack: "dial", offset: true, title: {display: true, text}});
    const scales = {
        x: {title: {display: true, text: "threshold"}},
        ...(config.fluency ? {fluency: axis("perplexity")} : {}),
        y: axis("preference rate, %")
    };
    const legend = {display: false};
    return [
        {
            id: "dial",
            wide: true,
            label: `Preference rate against ${config.against[0]} and perplexity at thresholds ${labels.join(", ")}`,
            caption:
                "The threshold dial: preference rate by the first reward, and perplexity of the answers under the model, with 95 % intervals. " +
                "Dashed: perplexity of what is compared with.",
            config: {type: "line", data: {labels, datasets}, options: {plugins: {legend}, scales}}
        }
    ];
}

/** How far apart the rewards are, prompt by prompt, for the first opponent and reward. */
function differenceChart({config}: EvaluationResult, sides: readonly Side[]): LabelledChart {
    const [ours, theirs] = sides.map(({scores}) => scores[0] ?? []);
    const values = (ours ?? []).flatMap((score, i) => {
        const other = theirs?.[i] ?? null;
        return score === null || other === null ? [] : [score - other];
    });
    const most = Math.max(0, ...values.map(Math.abs));
    const half = 10;
    const width = most === 0 ? 1 : most / half;
    const counts = Array.from({length: 2 * half + 1}, () => 0);
    for (const value of values) {
        // Bins are centred, so that one holds what hardly differs.
        const bin = Math.round(value / width) + half;
        counts[bin] = (counts[bin] as number) + 1;
    }
    return bars("differences", {
        labels: counts.map((_, i) => String(Number(((i - half) * width).toPrecision(2)))),
        values: counts,
        x: `${config.rewards[0]}: aligned − ${config.against[0]}`,
        y: "prompts",
        caption: "Differences in the first reward. Right of zero the aligned answer is better.",
        colors: counts.map((_, i) => `var(--series-${i === half ? 2 : i > half ? 1 : 3})`)
    });
}

function bars(
    id: string,
    {
        labels,
        values,
        x,
        y,
        caption,
        colors
    }: {
        labels: string[];
        values: number[];
        x: string;
        y: string;
        caption: string;
        colors?: string[];
    }
): LabelledChart {
    const title = (text: string) => ({title: {display: true, text}});
    return {
        id,
        label: `${caption} ${labels.map((name, i) => `${name}: ${values[i]}`).join(", ")}`,
        caption,
        config: {
            type: "bar",
            data: {labels, datasets: [{label: y, data: values, backgroundColor: colors ?? "var(--series-1)"}]},
            options: {
                plugins: {legend: {display: false}},
                scales: {x: {...title(x), grid: {display: false}}, y: {...title(y), ticks: {precision: 0}}}
            }
        }
    };
}
