/** Two agents alone and together: what of each one's gain is left where both judge. */
import {renderTable} from "../../bench/harness/table.js";
import type {Evaluation} from "../../lib/evaluate/evaluate.js";
import type {Side} from "../../lib/evaluate/sides.js";
import {svgDocument, xml} from "../../lib/report/svg.js";
import {niceStep} from "../../lib/report/ticks.js";
import {bootstrapInterval, type Interval} from "../../lib/statistics/intervals.js";
import {number, share} from "./figures.js";
import {keptGain, meanOver} from "./kept-gain.js";

const names = ["sentiment", "courtesy"] as const;
/** How they were found is told in README.md. */
const weights = [1, 1] as const;
/** The share of each single gain that both together are to keep. */
const wanted = 0.7;

/** What the answers of the second agent, and of both, are called in `against`. */
export function twoSides(first: string, second: string): string[] {
    return ["raw", `agent:${second}`, `agents:${first}=${weights[0]},${second}=${weights[1]}`];
}

interface Labelled {
    label: string;
    side: Side;
}

function labelled({sides}: Evaluation): Labelled[] {
    const [first, raw, second, both] = sides as [Side, Side, Side, Side];
    return [
        {label: "the model alone", side: raw},
        {label: "sentiment", side: first},
        {label: "courtesy", side: second},
        {label: "both", side: both}
    ];
}

/** What both keep of the gain of the reward's own agent. */
function keptShare(all: readonly Labelled[], reward: number) {
    const [raw, , , changed] = all.map(({side}) => side) as [Side, Side, Side, Side];
    return keptGain({raw, alone: (all[1 + reward] as Labelled).side, changed}, reward);
}

/** The figures as Markdown. */
export function twoFigures(evaluation: Evaluation): string {
    const {result} = evaluation;
    const all = labelled(evaluation);
    const results = [result.others[0], result.aligned, result.others[1], result.others[2]];
    const fluency = result.config.fluency ? ["perplexity"] : [];
    return [
        "## Two agents together",
        "",
        "![Sentiment against courtesy](two-agents.svg)",
        "",
        renderTable({
            title: `${result.config.prompts} held-out prompts`,
            columns: ["agents", ...names, "words", "repetition", ...fluency, "decodes per token"],
            rows: results.map((side, i) => [
                (all[i] as Labelled).label,
                ...(side?.rewards ?? []).map(({mean, interval95}) => number({value: mean, interval95})),
                number(side?.words ?? {value: null, interval95: null}),
                share(side?.repetition ?? {value: null, interval95: null}),
                ...fluency.map(() => number(side?.perplexity ?? {value: null, interval95: null})),
                side?.decodesPerToken.toPrecision(3) ?? "–"
            ])
        }),
        renderTable({
            title: "What both together keep of each single gain",
            columns: ["reward", "gain of its own agent", "gain of both", "share kept"],
            rows: names.map((name, reward) => {
                const gain = (of: Labelled | undefined) =>
                    ((of && meanGain(of.side, (all[0] as Labelled).side, reward)) ?? Number.NaN).toFixed(3);
                return [name, gain(all[1 + reward]), gain(all[3]), share(keptShare(all, reward))];
            })
        })
    ].join("\n");
}

function meanGain(side: Side, raw: Side, reward: number): number {
    const prompts = [...side.answers.keys()];
    return meanOver(side, reward, prompts) - meanOver(raw, reward, prompts);
}

const sheet = {width: 640, height: 420, left: 62, right: 90, top: 70, bottom: 52};

/** One reward against the other, 95 % intervals as whiskers, and the corner beyond which enough of both gains is kept. */
export function twoSvg(evaluation: Evaluation): string {
    const all = labelled(evaluation);
    const prompts = [...(all[0] as Labelled).side.answers.keys()];
    const marks = all.map(({label, side}) => ({
        label,
        at: names.map((_, reward) => ({
            value: meanOver(side, reward, prompts),
            interval: bootstrapInterval(prompts.length, (some) => meanOver(side, reward, some)) as Interval
        }))
    }));
    const scales = names.map((_, reward) => {
        const bounds = marks.flatMap(({at}) => at[reward]?.interval ?? []);
        const step = niceStep(Math.max(...bounds) - Math.min(...bounds), 6);
        const low = Math.floor(Math.min(...bounds) / step) * step;
        const high = Math.ceil(Math.max(...bounds) / step) * step;
        const [from, to] =
            reward === 0 ? [sheet.left, sheet.width - sheet.right] : [sheet.height - sheet.bottom, sheet.top];
        const place = (value: number) => from + ((to - from) * (value - low)) / (high - low);
        const ticks = Array.from({length: Math.round((high - low) / step) + 1}, (_, i) => low + i * step);
        return {place, ticks, from, to};
    });
    const [x, y] = scales as [(typeof scales)[number], (typeof scales)[number]];
    const corner = names.map((_, reward) => {
        const [raw, own] = [0, 1 + reward].map((i) => marks[i]?.at[reward]?.value as number) as [number, number];
        return raw + wanted * (own - raw);
    }) as [number, number];
    const body = [
        ...y.ticks.flatMap((tick) => [
            `<line class="g" x1="${x.from}" x2="${x.to}" y1="${y.place(tick)}" y2="${y.place(tick)}"/>`,
            `<text class="m n" x="${x.from - 6}" y="${y.place(tick) + 4}">${tick.toFixed(1)}</text>`
        ]),
        ...x.ticks.map((tick) => `<text class="m c" x="${x.place(tick)}" y="${y.from + 16}">${tick.toFixed(1)}</text>`),
        `<path class="d" d="M${x.place(corner[0])} ${y.to}V${y.place(corner[1])}H${x.to}"/>`,
        ...marks.flatMap(({label, at}) => {
            const [across, up] = at as [(typeof at)[number], (typeof at)[number]];
            const [cx, cy] = [x.place(across.value), y.place(up.value)];
            const [left, right] = across.interval.map(x.place);
            const [low, high] = up.interval.map(y.place);
            return [
                `<path class="w" d="M${left} ${cy}H${right}M${cx} ${low}V${high}"/>`,
                `<circle class="o" cx="${cx}" cy="${cy}" r="4"/>`,
                `<text class="t" x="${cx + 8}" y="${cy - 8}">${xml(label)}</text>`
            ];
        }),
        `<text class="m c" x="${(x.from + x.to) / 2}" y="${sheet.height - 14}">mean sentiment</text>`,
        `<text class="m c" transform="translate(18 ${(y.from + y.to) / 2}) rotate(-90)">mean courtesy</text>`
    ];
    return svgDocument({
        title: "Two agents alone and together",
        subtitle: `${prompts.length} held-out prompts; whiskers: 95 % intervals; dashed: ${100 * wanted} % of each single gain`,
        ...sheet,
        body,
        style: ".c{text-anchor:middle}.g{stroke:#d8dee4}.w{stroke:#59636e;fill:none}.o{fill:#0b62a8}.d{stroke:#0b62a8;stroke-dasharray:5 4;fill:none}"
    });
}
