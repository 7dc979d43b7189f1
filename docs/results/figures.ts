/** One evaluation as Markdown. */
import {renderTable} from "../../bench/harness/table.js";
import type {Estimate, EvaluationResult, PairResult, SideResult} from "../../lib/evaluate/result.js";
import type {Side} from "../../lib/evaluate/sides.js";
import type {Prompt} from "../../lib/prompts/prompts.js";

export function figures(
    method: string,
    result: EvaluationResult,
    sides: readonly Side[],
    prompts: readonly Prompt[]
): string {
    const {config, pairs, aligned, others} = result;
    return [
        `## ${method}`,
        "",
        renderTable({
            title: `Preference over ${config.prompts} held-out prompts, threshold ${config.threshold}`,
            columns: ["aligned", ...pairColumns],
            rows: pairs.map((pair) => pairRow(pair, config.rewards))
        }),
        renderTable({
            title: "What the answers are like",
            columns: ["", ...config.rewards.map(named), ...sideColumns],
            rows: [aligned, ...others].map((side) => [side.name, ...sideRow(side)])
        }),
        "### Answers",
        "",
        "The prompts at the 10th, 50th and 90th percentile of the gain in the first reward, not chosen by hand.",
        "",
        ...examples(sides, prompts)
    ].join("\n");
}

/** A module's reward by its file's name alone. */
function named(reward: string): string {
    return reward.replace(/module:\S*\/(\w+)\.mjs/, "$1");
}

export const pairColumns = ["wins", "ties", "losses", "preference rate", "difference, points"];

export function pairRow(
    {other, reward, wins, ties, losses, preferenceRate, difference}: PairResult,
    rewards: readonly string[]
): string[] {
    return [
        `against ${other}, by ${named(rewards[reward] as string)}`,
        ...[wins, ties, losses].map(String),
        share(preferenceRate),
        points(difference)
    ];
}

/** What stands behind a side's rewards in `sideRow`. */
export const sideColumns = ["words", "distinct-2", "repetition", "perplexity", "decodes per token"];

export function sideRow(side: SideResult): string[] {
    return [
        ...side.rewards.map(({mean, interval95}) => number({value: mean, interval95})),
        number(side.words),
        side.distinct2 === null ? "–" : side.distinct2.toPrecision(3),
        share(side.repetition),
        number(side.perplexity),
        side.decodesPerToken.toPrecision(3)
    ];
}

/** The same training with several seeds, each against the same answers. */
export function seedFigures(name: string, results: readonly EvaluationResult[]): string {
    const {config} = results[0] as EvaluationResult;
    const against = ({pairs}: EvaluationResult, other: string, reward: number) => {
        const pair = pairs.find((pair) => pair.other === other && pair.reward === reward);
        return pair === undefined ? "–" : points(pair.difference);
    };
    const own = (results[0] as EvaluationResult).others.find(({name}) => name === "raw") as SideResult;
    const opponents = (results[0] as EvaluationResult).others.map(({name}) => name);
    const row = (name: string, threshold: string, side: SideResult) => [
        name,
        threshold,
        ...side.rewards.map(({mean}) => mean?.toPrecision(3) ?? "–"),
        share(side.repetition),
        number(side.perplexity),
        side.decodesPerToken.toPrecision(3)
    ];
    return [
        `## ${name}, ${results.length} seeds`,
        "",
        renderTable({
            title: `Difference over ${config.prompts} held-out prompts, points`,
            columns: [
                "seed",
                ...opponents.flatMap((other) => config.rewards.map((by) => `to ${other}, by ${named(by)}`))
            ],
            rows: results.map((result, i) => [
                String(i + 1),
                ...opponents.flatMap((other) => [0, 1].map((reward) => against(result, other, reward)))
            ])
        }),
        renderTable({
            title: "Answers",
            columns: [
                "seed",
                "threshold",
                ...config.rewards.map(named),
                "repetition",
                "perplexity",
                "decodes per token"
            ],
            rows: [
                ...results.map(({aligned, config}, i) => row(String(i + 1), String(config.threshold), aligned)),
                row("raw", "", own)
            ]
        })
    ].join("\n");
}

/** What agents do where they were not trained to do anything. */
export function offDomainFigures(names: readonly string[], results: readonly EvaluationResult[]): string {
    const {config, others} = results[0] as EvaluationResult;
    const own = others[0] as SideResult;
    const excess = (side: SideResult) => {
        const [mine, theirs] = [side.perplexity.value, own.perplexity.value];
        return mine === null || theirs === null ? "–" : `${(100 * (mine / theirs - 1)).toFixed(1)} %`;
    };
    const row = (name: string, side: SideResult) => [
        name,
        number(side.perplexity),
        excess(side),
        share(side.repetition),
        ...side.rewards.map(({mean}) => mean?.toPrecision(3) ?? "–"),
        side.decodesPerToken.toPrecision(3)
    ];
    return [
        "## Off the domain",
        "",
        renderTable({
            title: `${config.prompts} tasks of other kinds`,
            columns: ["agent", "perplexity", "above raw", "repetition", ...config.rewards, "decodes per token"],
            rows: [...results.map(({aligned}, i) => row(names[i] as string, aligned)), row("raw", own)]
        })
    ].join("\n");
}

/** What the threshold does to preference and fluency. */
export function dialFigures(method: string, {config, dial}: EvaluationResult): string {
    return [
        `## The threshold dial (${method}, the first ${config.prompts} held-out prompts)`,
        "",
        `![Preference rate and perplexity at thresholds 0.1 to 0.9](dial.svg)`,
        "",
        renderTable({
            title: "Against raw",
            columns: [
                "threshold",
                "preference rate",
                "difference, points",
                config.rewards[0] ?? "",
                "perplexity",
                "words"
            ],
            rows: dial.map(({threshold, pair, side}) => [
                String(threshold),
                share(pair.preferenceRate),
                points(pair.difference),
                number({value: side.rewards[0]?.mean ?? null, interval95: side.rewards[0]?.interval95 ?? null}),
                number(side.perplexity),
                number(side.words)
            ])
        })
    ].join("\n");
}

function examples([ours, theirs]: readonly Side[], prompts: readonly Prompt[]): string[] {
    const gains = prompts.map((_, i) => (ours?.scores[0]?.[i] ?? 0) - (theirs?.scores[0]?.[i] ?? 0));
    const order = gains.map((_, i) => i).sort((a, b) => (gains[a] as number) - (gains[b] as number) || a - b);
    return [0.1, 0.5, 0.9].flatMap((at) => {
        const index = order[Math.floor(at * (order.length - 1))] as number;
        const quote = (side: Side | undefined) => {
            const score = side?.scores[0]?.[index] ?? Number.NaN;
            const text = side?.answers[index]?.text.replace(/\s+/g, " ").replace(/[\\`*_<>|[\]]/g, "\\$&") ?? "";
            return `- ${side?.name} (${score.toFixed(2)}): ${text}`;
        };
        return [`**${prompts[index]?.prompt}**`, "", quote(theirs), quote(ours), ""];
    });
}

export function number({value, interval95}: Estimate): string {
    if (value === null) return "–";
    const [low, high] = (interval95 ?? []).map((bound) => bound.toPrecision(3));
    return low === undefined ? value.toPrecision(3) : `${value.toPrecision(3)} (${low} to ${high})`;
}

export function share({value, interval95}: Estimate): string {
    if (value === null) return "–";
    const [low, high] = (interval95 ?? []).map((bound) => (100 * bound).toFixed(1));
    return low === undefined ? `${(100 * value).toFixed(1)} %` : `${(100 * value).toFixed(1)} % (${low} to ${high})`;
}

export function points({value, interval95}: Estimate): string {
    if (value === null) return "–";
    const signed = (part: number) => `${part < 0 ? "−" : "+"}${Math.abs(100 * part).toFixed(1)}`;
    const [low, high] = (interval95 ?? []).map(signed);
    return `${signed(value)} (${low} to ${high})`;
}
