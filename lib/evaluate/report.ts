/** An evaluation as a page. */
import {describeCandidates} from "../align/candidate-options.js";
import type {Prompt} from "../prompts/prompts.js";
import {chartFigure, escapeHtml, htmlPage, scrollable} from "../report/page.js";
import {pageTokens, tokenLegend, tokenScript, tokenStyle} from "../report/token-script.js";
import {evaluationCharts} from "./report-charts.js";
import {promptScript, promptStyle} from "./report-script.js";
import {type Estimate, type EvaluationResult, outcomes, type PairResult, type SideResult} from "./result.js";
import type {Side} from "./sides.js";

/** Beyond this many prompts, only the first ones are shown token by token: pages grow by some 15 kB a prompt. */
const maxTraces = 1000;

/** `sides`: the aligned one, then the others in the order of the result. */
export function evaluationReport(result: EvaluationResult, sides: readonly Side[], prompts: readonly Prompt[]): string {
    const {config} = result;
    const charts = evaluationCharts(result, sides);
    const figures = charts.map(({id, ...figure}) => chartFigure(id, figure));
    const body = [
        "<h1>Evaluation of an aligned model</h1>",
        `<p class="lead">${escapeHtml(describeSetting(result))}</p>`,
        `<p class="headline">${headline(result)}</p>`,
        `<p class="headline">${sideEffects(result)}</p>`,
        "<h2>Which answer is preferred</h2>",
        pairTable(result),
        `<p class="note">Of two answers to a prompt the one with the higher reward is preferred${config.tieMargin > 0 ? `, by more than ${config.tieMargin}` : ""}. ` +
            "Preference rate: wins and half of the ties, over all prompts; 50 % is even. Difference: wins − losses over all prompts. " +
            "95 % intervals: Tango's for differences, bootstrap over prompts for means.</p>",
        "<h2>What the answers are like</h2>",
        sideTable(result),
        `<p class="note">Perplexity: of the answers under the model itself, unaligned. Repetition: share of 4-grams of words that stood in the answer before. ` +
            `distinct-n: different n-grams over n-grams, in all answers. Decodes: batches, shared by ${config.sequences} sequences.</p>`,
        `<div class="charts">${figures.join("\n")}</div>`,
        "<h2>Prompt by prompt</h2>",
        tokenLegend,
        tools(result),
        '<div id="prompts"></div><p><button id="more" type="button">Show 50 more</button></p>',
        "<noscript><p>The list of prompts needs JavaScript.</p></noscript>",
        `<details><summary>Configuration</summary><pre class="scroll"><code>${escapeHtml(JSON.stringify(config, null, 2))}</code></pre></details>`
    ].join("\n");
    return htmlPage({
        title: "Evaluation of an aligned model",
        body,
        charts,
        data: pageData(result, sides, prompts),
        style: tokenStyle + promptStyle,
        script: tokenScript + promptScript
    });
}

function describeSetting({config}: EvaluationResult): string {
    const {file} = config.model as {file?: string | null};
    const hash = config.agent.sha256.slice(0, 8);
    const agent = config.agent.name === null ? `agent ${hash}` : `agent ${config.agent.name} (${hash})`;
    return (
        `${file ?? "The model"} with ${agent} at threshold ${config.threshold} with ${describeCandidates(config.aligned.candidates)}, against ${config.against.join(", ")}. ` +
        `${config.prompts} prompts, answers of up to ${config.maxTokens} tokens.`
    );
}

/** HTML: the first comparison in words. */
function headline({pairs, config}: EvaluationResult): string {
    const [pair] = pairs;
    if (pair === undefined || pair.prompts === 0) return "";
    const {preferenceRate, difference, other, prompts, wins, ties, losses} = pair;
    const [low = 0, high = 0] = difference.interval95 ?? [];
    const verdict =
        low > 0
            ? "The aligned answers are better"
            : high < 0
              ? "The aligned answers are worse"
              : "Chance alone could explain the difference: more prompts would tell";
    return (
        `<strong>${verdict}.</strong> By ${escapeHtml(config.rewards[0] ?? "")}, they win against ${escapeHtml(other)} on ${wins} of ${prompts} prompts, ` +
        `lose on ${losses} and tie on ${ties}: a preference rate of <strong>${maybe(preferenceRate.value, percent)}</strong>, ` +
        `wins minus losses <strong>${maybe(difference.value, points)} points</strong> (95 %: ${points(low)} to ${points(high)}).`
    );
}

/** HTML: what else changed with the answers, in words. */
function sideEffects({aligned, others, config}: EvaluationResult): string {
    const [other] = others;
    if (other === undefined) return "";
    const against = (ours: number | null, theirs: number | null, format = short) =>
        `${maybe(ours, format)} against ${maybe(theirs, format)}`;
    const parts = [
        `${against(aligned.words.value, other.words.value)} words`,
        `${against(aligned.repetition.value, other.repetition.value, percent)} repeated`,
        ...(config.fluency ? [`perplexity ${against(aligned.perplexity.value, other.perplexity.value)}`] : []),
        `${short(aligned.decodesPerToken)} decodes a token`
    ];
    return `What else changed: ${parts.join("; ")}.`;
}

function pairTable({pairs, config}: EvaluationResult): string {
    const row = (pair: PairResult, i: number) => {
        const at = `pairs.${i}`;
        const share = (count: number) => `${((100 * count) / Math.max(1, pair.prompts)).toFixed(2)}%`;
        const bar =
            `<div class="bar" aria-hidden="true"><i class="w" style="width:${share(pair.wins)}"></i>` +
            `<i class="t" style="width:${share(pair.ties)}"></i><i class="l" style="width:${share(pair.losses)}"></i></div>`;
        return (
            `<tr><th scope="row">${escapeHtml(pair.other)}</th><td class="text">${escapeHtml(config.rewards[pair.reward] ?? "")}</td>` +
            cell(`${at}.wins`, String(pair.wins)) +
            cell(`${at}.ties`, String(pair.ties)) +
            cell(`${at}.losses`, String(pair.losses)) +
            estimate(`${at}.preferenceRate`, pair.preferenceRate, percent) +
            estimate(`${at}.difference`, pair.difference, points) +
            estimate(`${at}.rewardDifference`, pair.rewardDifference, signed) +
            `<td>${bar}</td></tr>`
        );
    };
    return table(
        [
            "aligned against",
            "by reward",
            "wins",
            "ties",
            "losses",
            "preference rate",
            "difference",
            "reward difference",
            ""
        ],
        pairs.map(row),
        2
    );
}

function sideTable({aligned, others, config, timing}: EvaluationResult): string {
    const row = (side: SideResult, at: string) =>
        `<tr><th scope="row">${escapeHtml(side.name)}</th>` +
        side.rewards
            .map(({mean, interval95}, i) =>
                estimate(`${at}.rewards.${i}`, {value: mean, interval95}, short, `${at}.rewards.${i}.mean`)
            )
            .join("") +
        estimate(`${at}.tokens`, side.tokens, short) +
        estimate(`${at}.words`, side.words, short) +
        cell(`${at}.distinct1`, maybe(side.distinct1, short)) +
        cell(`${at}.distinct2`, maybe(side.distinct2, short)) +
        estimate(`${at}.repetition`, side.repetition, percent) +
        (config.fluency ? estimate(`${at}.perplexity`, side.perplexity, short) : "") +
        cell(`${at}.decodesPerToken`, short(side.decodesPerToken)) +
        `<td>${short(timing[side.name]?.tokensPerSecond ?? Number.NaN)}</td></tr>`;
    return table(
        [
            "side",
            ...config.rewards,
            "tokens",
            "words",
            "distinct-1",
            "distinct-2",
            "repetition",
            ...(config.fluency ? ["perplexity"] : []),
            "decodes per token",
            "tokens/s"
        ],
        [row(aligned, "aligned"), ...others.map((side, i) => row(side, `others.${i}`))],
        1
    );
}

function tools({config}: EvaluationResult): string {
    const options = (entries: readonly (readonly [string, string])[]) =>
        entries.map(([value, text]) => `<option value="${value}">${escapeHtml(text)}</option>`).join("");
    const others = config.against.map((name, i) => [String(i), `aligned against ${name}`] as const);
    const shown = [
        ["all", "all"],
        ["1", "wins"],
        ["0", "ties"],
        ["-1", "losses"]
    ] as const;
    const orders = [
        ["given", "as given"],
        ["gain", "largest gain first"],
        ["loss", "largest loss first"]
    ] as const;
    return (
        `<div class="tools"><label>Compare <select id="other">${options(others)}</select></label>` +
        `<label>Show <select id="outcome">${options(shown)}</select></label>` +
        `<label>Order <select id="sort">${options(orders)}</select></label>` +
        '<label>Find <input id="query" type="search" size="14"></label>' +
        '<label><input id="inline" type="checkbox"> rejected tokens in the text</label><output id="count"></output></div>'
    );
}

function pageData({config}: EvaluationResult, sides: readonly Side[], prompts: readonly Prompt[]): object {
    const [aligned, ...others] = sides as [Side, ...Side[]];
    const results = others.map((other) => outcomes(aligned, other, 0, config.tieMargin));
    return {
        sides: sides.map(({name}) => name),
        rewards: config.rewards,
        prompts: prompts.map(({prompt, system}, i) => ({
            prompt,
            ...(system === undefined ? {} : {system}),
            outcomes: results.map((each) => each[i]),
            answers: sides.map(({answers, scores}) => {
                const {text, ended, trace} = answers[i] as Side["answers"][number];
                const tokens = trace === undefined || i >= maxTraces ? {} : {tokens: pageTokens(trace)};
                return {text, ended, scores: scores.map((each) => each[i]), ...tokens};
            })
        }))
    };
}

function table(head: readonly string[], rows: readonly string[], textColumns: number): string {
    const cells = head.map(
        (name, i) => `<th scope="col"${i < textColumns ? ' class="text"' : ""}>${escapeHtml(name)}</th>`
    );
    return scrollable(`<table><thead><tr>${cells.join("")}</tr></thead><tbody>${rows.join("\n")}</tbody></table>`);
}

/** `path` says where in the result the number is. */
function cell(path: string, text: string): string {
    return `<td><span data-path="${path}">${escapeHtml(text)}</span></td>`;
}

function estimate(
    at: string,
    {value, interval95}: Estimate,
    format: (value: number) => string,
    valueAt = `${at}.value`
): string {
    const bounds = (interval95 ?? []).map(
        (bound, i) => `<span data-path="${at}.interval95.${i}">${escapeHtml(format(bound))}</span>`
    );
    const small = bounds.length === 2 ? ` <small>${bounds.join(" to ")}</small>` : "";
    return `<td><span data-path="${valueAt}">${escapeHtml(maybe(value, format))}</span>${small}</td>`;
}

function maybe(value: number | null, format: (value: number) => string): string {
    return value === null ? "–" : format(value);
}

function percent(value: number): string {
    return `${(100 * value).toFixed(1)} %`;
}

/** A difference of shares, in percentage points. */
function points(value: number): string {
    return `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;
}

function signed(value: number): string {
    return `${value < 0 ? "−" : "+"}${short(Math.abs(value))}`;
}

function short(value: number): string {
    return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : "–";
}
