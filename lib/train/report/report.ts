/** report.html of a run: its options, the curves, and some samples. */
import {writeWhole} from "../../agent/agent-file.js";
import {type ChartSpec, chartFigure, escapeHtml, htmlPage} from "../../report/page.js";
import {type Calibration, calibrationSvg} from "../calibrate.js";
import type {ResponseRow} from "../preference/responses.js";
import type {Job} from "../run/job.js";
import type {SampleRow} from "../sac/batch.js";
import {learntNothing, type TrainSummary} from "./advice.js";
import {describeRun} from "./summary.js";

type MetricsLine = Record<string, unknown>;

interface Curve {
    id: string;
    title: string;
    caption: string;
    /** Name of each line, and its value in a row of the metrics. */
    lines: Readonly<Record<string, (row: MetricsLine) => unknown>>;
}

const loss = (name: string) => (row: MetricsLine) => (row.losses as MetricsLine | null)?.[name];

const greedy = (name: string) => (row: MetricsLine) => (row.greedy as MetricsLine | null)?.[name];

const sacCurves: readonly Curve[] = [
    {
        id: "reward",
        title: "Reward",
        caption:
            "Mean reward of each batch's responses, drawn by the agent, beside that of what is taken off as a baseline.",
        lines: {reward: (row) => row.reward, baseline: (row) => row.baseline}
    },
    {
        id: "greedy",
        title: "Held-out prompts",
        caption:
            "Mean reward of greedy answers to prompts that no episode answers: with the agent at threshold 0.5, and without.",
        lines: {agent: greedy("reward"), model: greedy("raw")}
    },
    {
        id: "behind",
        title: "Batches ahead",
        caption:
            "The same of the agent, and of the one that rolls out in its place because more than one batch is rolled out ahead.",
        lines: {
            "one batch ahead": (row) => (greedy("behind")(row) == null ? null : greedy("reward")(row)),
            "as in this run": greedy("behind")
        }
    },
    {
        id: "change",
        title: "Change since",
        caption:
            "How far accept probabilities had come since the agent that rolled a batch out, in the one that would have one batch ahead: mean difference over the candidates tried.",
        lines: {change: (row) => row.change}
    },
    {
        id: "kl",
        title: "Distance from the model",
        caption:
            "Divergence of what the agent emits from what the model would, in nats, and the mean penalty of a candidate before its coefficient.",
        lines: {KL: (row) => row.kl, penalty: (row) => row.penalty}
    },
    {
        id: "acceptance",
        title: "Acceptance rate",
        caption: "Of the candidates that were tried, those that were accepted.",
        lines: {accepted: (row) => row.acceptanceRate}
    },
    {
        id: "losses",
        title: "Losses",
        caption: "Means over the updates that followed each batch.",
        lines: {critic: loss("criticLoss"), actor: loss("actorLoss"), alpha: loss("alpha")}
    }
];

const fitCurves: readonly Curve[] = [
    {
        id: "losses",
        title: "Loss",
        caption: "Weighted cross-entropy of each epoch.",
        lines: {training: (row) => row.loss, "held out": (row) => row.heldOutLoss}
    },
    {
        id: "accuracy",
        title: "Told right",
        caption: "Share of the tokens labelled right, and of the held-out pairs told apart.",
        lines: {
            "training tokens": (row) => row.accuracy,
            "held-out tokens": (row) => row.heldOutAccuracy,
            "held-out pairs": (row) => row.heldOutPairAccuracy
        }
    }
];

/** Responses shown from the beginning and from the end. */
const shown = 10;

/** @throws MaraError WRITE_FAILED */
export async function writeReport(
    job: Job,
    {facts, advice}: TrainSummary,
    calibration: Calibration | undefined
): Promise<void> {
    const {config, run, prompts} = job;
    const metrics = await run.rows<MetricsLine>("metrics");
    const isSac = config.method === "sac";
    const {what, command} = describeRun(job);
    const hasValue = ({lines}: Curve) =>
        metrics.some((row) => Object.values(lines).some((value) => value(row) != null));
    const curves = (isSac ? sacCurves : fitCurves).filter(hasValue);
    const samples = await run.rows<SampleRow | ResponseRow>(isSac ? "samples" : "responses");
    const some = samples.length > 2 * shown ? [...samples.slice(0, shown), ...samples.slice(-shown)] : samples;
    const rows = some.map((sample) => {
        const value = "reward" in sample ? sample.reward : (sample as ResponseRow).score;
        return (
            `<tr><td class="question">${escapeHtml(prompts[sample.prompt]?.prompt ?? "")}</td><td>${escapeHtml(sample.response)}</td>` +
            `<td class="figure" data-label="reward">${value === null ? "failed" : value.toFixed(3)}</td></tr>`
        );
    });
    const body = [
        `<h1>Training run: ${escapeHtml(config.method)}${config.reward === null ? "" : ` on ${escapeHtml(config.reward)}`}</h1>`,
        `<p class="headline">${escapeHtml(what)}</p>`,
        `<p class="summary">${escapeHtml(advice)}</p>`,
        learntNothing(metrics)
            ? ""
            : '<p class="summary">To measure it, and find the threshold at which it does best:</p>' +
              `<pre class="command"><code>${escapeHtml(command)}</code></pre>`,
        "<h2>How it went</h2>",
        `<dl class="facts">${facts.map(([name, text]) => `<dt>${escapeHtml(name)}</dt><dd>${escapeHtml(text)}</dd>`).join("")}</dl>`,
        `<div class="charts">${curves
            .map(({id, title, caption}) =>
                chartFigure(id, {
                    label: title,
                    caption: `<strong>${escapeHtml(title)}.</strong> ${escapeHtml(caption)}`
                })
            )
            .join("")}</div>`,
        calibration === undefined ? "" : `<h2>Threshold</h2>${calibrationSvg(calibration, config.reward ?? "reward")}`,
        rows.length === 0
            ? ""
            : `<h2>Responses</h2><p>${describeChoice(samples.length)}</p>` +
              '<table class="texts"><thead><tr><th class="question">prompt</th><th>response</th><th class="figure">reward</th></tr></thead>' +
              `<tbody>${rows.join("")}</tbody></table>`,
        `<details><summary>Configuration</summary><pre class="scroll"><code>${escapeHtml(JSON.stringify(config, null, 2))}</code></pre></details>`
    ].join("\n");
    const page = htmlPage({
        title: "Training run",
        body,
        charts: curves.map((curve) => chartOf(curve, metrics, isSac)),
        data: {config, metrics}
    });
    await writeWhole(run.file("report.html"), Buffer.from(page));
}

function describeChoice(count: number): string {
    return count > 2 * shown ? `The first ${shown} and the last ${shown} of ${count}.` : `All ${count}.`;
}

function chartOf({id, lines}: Curve, metrics: readonly MetricsLine[], isSac: boolean): ChartSpec {
    const at = isSac ? "episodes" : "epoch";
    const datasets = Object.entries(lines).map(([label, value], i) => ({
        label,
        data: metrics.map((row) => ({x: row[at], y: value(row) ?? null})),
        borderColor: `var(--series-${i + 1})`,
        backgroundColor: `var(--series-${i + 1})`,
        pointRadius: metrics.length > 60 ? 0 : 2,
        borderWidth: 1.5
    }));
    return {
        id,
        config: {
            type: "line",
            data: {datasets},
            options: {
                animation: false,
                scales: {
                    x: {
                        type: "linear",
                        ticks: {precision: 0},
                        title: {display: true, text: isSac ? "episode" : "epoch"}
                    }
                }
            }
        }
    };
}
