import {type ChartSpec, escapeHtml} from "../report/page.js";
import {niceStep} from "../report/ticks.js";
import type {Estimate, EvaluationResult} from "./result.js";
import type {Side} from "./sides.js";

/** A chart and what stands below it; `caption` is HTML. */
export type LabelledChart = ChartSpec & {label: string; caption: string; wide?: boolean};

export function evaluationCharts(result: EvaluationResult, sides: readonly Side[]): LabelledChart[] {
    const {decisions} = result.aligned;
    const charts = [...dialChart(result), ...tradeOffChart(result), differenceChart(result, sides)];
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

/** Two panels over one axis: the gain at each threshold, and its cost. */
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

/** Reward of one against reward of the other, for every side. */
function tradeOffChart({tradeOff, config}: EvaluationResult): LabelledChart[] {
    if (tradeOff === undefined) return [];
    const {points, rewards, hypervolume} = tradeOff;
    const of = (isCombined: boolean) =>
        points.filter((point) => point.isCombined === isCombined).map(({rewards: [x, y]}) => ({x, y}));
    const axis = (text: string) => ({title: {display: true, text}});
    const figure = Number(hypervolume.toPrecision(3));
    const named = points
        .map(({side, rewards: [x, y]}) => `${side}: ${x.toPrecision(3)}, ${y.toPrecision(3)}`)
        .join("; ");
    const dataset = (label: string, data: object[], series: number, line: boolean) => ({
        label,
        data,
        showLine: line,
        pointRadius: 4,
        borderWidth: 1.5,
        borderColor: `var(--series-${series})`,
        backgroundColor: `var(--series-${series})`
    });
    const datasets = [dataset("several agents", of(true), 1, true), dataset("other sides", of(false), 3, false)];
    return [
        {
            id: "trade-off",
            wide: true,
            label: `Mean of ${rewards[0]} against mean of ${rewards[1]}. ${named}`,
            caption:
                `The trade-off: mean of one reward against that of the other. Hypervolume of the sides with several agents above ${escapeHtml(config.against[0] ?? "")}: ` +
                `<strong data-of="tradeOff.hypervolume">${figure}</strong>. ${escapeHtml(named)}.`,
            config: {type: "scatter", data: {datasets}, options: {scales: {x: axis(rewards[0]), y: axis(rewards[1])}}}
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
    const {labels, counts, zero} = differenceBins(values, config.tieMargin);
    return bars("differences", {
        labels,
        values: counts,
        x: `${config.rewards[0]}: aligned − ${config.against[0]}`,
        y: "prompts",
        caption:
            "Differences in the first reward. Right of zero the aligned answer is better. Bar 0 holds the ties; every other bar reaches from " +
            "the number nearer to zero up to its own.",
        colors: counts.map((_, i) => `var(--series-${i === zero ? 2 : i > zero ? 1 : 3})`)
    });
}

/** At most this many bars on each side of zero. */
const maxBins = 10;

/** Ties in a bar of their own, the others in bars of a round width; `zero` is the ties' index. A bar is labelled by its end away from zero. */
export function differenceBins(
    values: readonly number[],
    tieMargin: number
): {labels: string[]; counts: number[]; zero: number} {
    const max = Math.max(0, ...values.map(Math.abs));
    const width = max === 0 ? 1 : niceStep(max, maxBins);
    const binOf = (value: number) => {
        if (Math.abs(value) <= tieMargin) return 0;
        // A little tolerance puts 0.6000000000000001 into the bar that ends at 0.6.
        return Math.sign(value) * Math.max(1, Math.ceil(Math.abs(value) / width - 1e-9));
    };
    const bins = values.map(binOf);
    const low = Math.min(-1, ...bins);
    const high = Math.max(1, ...bins);
    const counts = Array.from({length: high - low + 1}, () => 0);
    for (const bin of bins) counts[bin - low] = (counts[bin - low] as number) + 1;
    const labels = counts.map((_, i) => String(Number(((i + low) * width).toPrecision(6))).replace("-", "−"));
    return {labels, counts, zero: -low};
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
