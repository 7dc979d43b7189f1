/** What an agent's student gains in speed and costs in preference: the chart and the table of the step `cascade`. */
import {renderTable} from "../../bench/harness/table.js";
import type {EvaluationResult} from "../../lib/evaluate/result.js";
import type {Side} from "../../lib/evaluate/sides.js";
import type {CascadeOption} from "../../lib/index.js";
import {svgDocument, xml} from "../../lib/report/svg.js";
import {points, share} from "./figures.js";
import {keptGain} from "./kept-gain.js";

/** The agent alone, then by the agreement that is asked for. */
export const cascades: readonly {name: string; option: CascadeOption}[] = [
    {name: "the agent alone", option: "off"},
    ...[0.99, 0.98, 0.95, 0.9, 0].map((agreement) => ({name: String(agreement), option: {agreement}}))
];

export interface CascadeRun {
    name: string;
    result: EvaluationResult;
    sides: readonly Side[];
}

/** Decodes of plain generation over those with the agent, each per token. With one sequence and one candidate a wave all have one token. */
function speedOf({aligned, others}: EvaluationResult): number {
    return (others[0]?.decodesPerToken ?? Number.NaN) / aligned.decodesPerToken;
}

/** `step` names the chart's file too. */
export function cascadeFigures(runs: readonly CascadeRun[], {step, agent}: {step: string; agent: string}): string {
    const [first] = runs;
    if (first === undefined) return "";
    const {config} = first.result;
    return [
        `## The cascade of \`${agent}\` (the first ${config.prompts} held-out prompts)`,
        "",
        `![Preference against the decodes of plain generation over the agent's](${step}.svg)`,
        "",
        renderTable({
            title: "Against raw, one sequence",
            columns: [
                "agreement",
                "difference, points",
                "gain kept",
                "decodes of plain ÷ decodes",
                "decodes per token",
                "decisions by the student",
                "repetition",
                "perplexity"
            ],
            rows: runs.map(({name, result, sides}) => {
                const {aligned, pairs} = result;
                const [changed, raw] = sides as [Side, Side];
                const {studentDecisions = 0, decisions = 0} = aligned.decisions ?? {};
                return [
                    name,
                    points(pairs[0]?.difference ?? {value: null, interval95: null}),
                    share(keptGain({raw, alone: first.sides[0] as Side, changed}, 0)),
                    speedOf(result).toFixed(2),
                    aligned.decodesPerToken.toFixed(2),
                    share({value: studentDecisions / decisions, interval95: null}),
                    share(aligned.repetition),
                    aligned.perplexity.value?.toPrecision(3) ?? "–"
                ];
            })
        })
    ].join("\n");
}

const sheet = {width: 640, height: 400, left: 62, right: 24, top: 70, bottom: 52};

/** Speed to the right, preference upwards, 95 % intervals as whiskers. */
export function cascadeSvg(runs: readonly CascadeRun[]): string {
    const marks = runs.flatMap(({name, result}) => {
        const {value, interval95} = result.pairs[0]?.difference ?? {};
        if (value == null || interval95 == null) return [];
        return [{name, speed: speedOf(result), value: 100 * value, interval: interval95.map((bound) => 100 * bound)}];
    });
    const low = Math.floor(Math.min(0, ...marks.map(({interval}) => interval[0] as number)) / 20) * 20;
    const fastest = Math.max(1, ...marks.map(({speed}) => speed));
    const x = (speed: number) => sheet.left + ((sheet.width - sheet.left - sheet.right) * speed) / (1.1 * fastest);
    const y = (value: number) =>
        sheet.height - sheet.bottom - ((sheet.height - sheet.top - sheet.bottom) * (value - low)) / (100 - low);
    const body: string[] = [];
    for (let tick = low; tick <= 100; tick += 20)
        body.push(
            `<line class="g" x1="${sheet.left}" x2="${sheet.width - sheet.right}" y1="${y(tick)}" y2="${y(tick)}"/>`,
            `<text class="m n" x="${sheet.left - 6}" y="${y(tick) + 4}">${tick}</text>`
        );
    for (let tick = 0; tick <= 1.1 * fastest; tick += 0.2)
        body.push(`<text class="m c" x="${x(tick)}" y="${sheet.height - sheet.bottom + 16}">${tick.toFixed(1)}</text>`);
    for (const [i, {name, speed, value, interval}] of marks.entries()) {
        const [from, to] = interval.map(y);
        // The slowest has the others on its right, and these stand so close that their names take turns above and below.
        const [side, dx] = i === 0 ? ["l", -7] : ["", 7];
        body.push(
            `<line class="w" x1="${x(speed)}" x2="${x(speed)}" y1="${from}" y2="${to}"/>`,
            `<circle class="o" cx="${x(speed)}" cy="${y(value)}" r="4"/>`,
            `<text class="t ${side}" x="${x(speed) + dx}" y="${y(value) + (i % 2 === 0 ? 16 : -6)}">${xml(name)}</text>`
        );
    }
    body.push(
        `<text class="m c" x="${sheet.width / 2}" y="${sheet.height - 14}">decodes of plain generation ÷ decodes with the agent, per token</text>`
    );
    const {config} = (runs[0] as CascadeRun).result;
    return svgDocument({
        title: "Speed against preference",
        subtitle: `Points won against raw by ${config.rewards[0]}, ${config.prompts} prompts; labels: agreement; whiskers: 95 % intervals`,
        width: sheet.width,
        height: sheet.height,
        body,
        style: ".c{text-anchor:middle}.l{text-anchor:end}.g{stroke:#d8dee4}.w{stroke:#1f2328}.o{fill:#0b62a8}"
    });
}
