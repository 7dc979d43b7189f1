/** Sums up a run in facts and in one paragraph of advice, for the command line and the report. */
import {resolveSettings} from "../../align/options.js";
import {plural} from "../../plural.js";
import {type Calibration, repeatsWhereItGains, whyNoThreshold} from "../calibrate.js";
import type {TrainConfig} from "../options.js";
import {countPairs, type PairCounts, whyNone} from "../preference/pair-labels.js";
import type {FitMetrics} from "../preference/preference.js";
import type {ResponseRow} from "../preference/responses.js";
import type {GreedyCheck} from "../run/progress.js";
import type {SacMetrics} from "../sac/batch.js";

/** What came of a run, in words. */
export interface TrainSummary {
    /** Each fact's name and its text. */
    facts: [name: string, text: string][];
    /** How well it went, and what to do next. */
    advice: string;
}

/** Below these a run teaches little, and its figures say little. */
const fewPairs = 100;
const fewHeldOut = 20;

const measure =
    "Measure it with mara eval on prompts that it was not trained on; what to try is in docs/training.md, “It does not improve”.";

/** True where the run ended before its first step: the agent is as it began. */
export function learntNothing(metrics: readonly object[]): boolean {
    const last = metrics.at(-1) as {updates?: number} | undefined;
    return last === undefined || last.updates === 0;
}

export function adviseOn(
    config: TrainConfig,
    metrics: readonly (SacMetrics | FitMetrics)[],
    {
        responses,
        pairs,
        calibration
    }: {responses: readonly ResponseRow[]; pairs: number | undefined; calibration?: Calibration | undefined}
): TrainSummary {
    const [first] = metrics;
    const {facts, advice} =
        first === undefined
            ? {facts: [], advice: "Nothing was learnt: the run ended before its first step."}
            : "epoch" in first
              ? ofPairs(config, metrics as FitMetrics[], pairs ?? countsOf(config, responses))
              : ofEpisodes(config, metrics as SacMetrics[]);
    const found = calibration === undefined ? [] : [describeCalibration(calibration)];
    const useless = calibration?.threshold === null ? [whyUseless(calibration)] : [];
    const others = calibration?.threshold == null ? [] : optionsToGive(config);
    return {facts: [["preset", config.preset], ...facts, ...found], advice: [...useless, ...others, advice].join(" ")};
}

/** A prompt's better tokens and its worse ones are a pair, where tokens are labelled by their advantages. */
function countsOf({method}: TrainConfig, responses: readonly ResponseRow[]): PairCounts {
    const counts = countPairs(responses);
    return method === "advantage" ? {...counts, pairs: counts.prompts - counts.failed, alike: 0, empty: 0} : counts;
}

function whyUseless({points}: Calibration): string {
    const cure = repeatsWhereItGains(points) ? ' Train with " + 5*repetition" added to the reward.' : "";
    return `There is no threshold to use it with: ${whyNoThreshold(points)}.${cure}`;
}

/** The agent's file keeps threshold and candidates, but not these options, which the threshold was found with. */
function optionsToGive({order, strategy, fallbackIndex}: TrainConfig): string[] {
    const byDefault = resolveSettings({});
    const given = Object.entries({order, strategy, fallbackIndex}).filter(
        ([name, value]) => value !== byDefault[name as "order" | "strategy" | "fallbackIndex"]
    );
    if (given.length === 0) return [];
    const named = given.map(([name, value]) => `${name} ${JSON.stringify(value)}`).join(", ");
    return [
        `The threshold was found with ${named}, which the agent's file does not keep: give the same where it is used.`
    ];
}

function describeCalibration({threshold, points, prompts}: Calibration): TrainSummary["facts"][number] {
    const [own] = points;
    const chosen = points.find((point) => point.threshold === threshold);
    if (own === undefined || chosen === undefined)
        return ["threshold", `0.5; of ${prompts} prompts: ${whyNoThreshold(points)}`];
    return [
        "threshold",
        `${chosen.threshold}, the best on ${prompts} held-out prompts: reward ${chosen.reward.toFixed(3)} with the agent, ${own.reward.toFixed(3)} without`
    ];
}

function ofPairs(config: TrainConfig, metrics: readonly FitMetrics[], counts: PairCounts | number): TrainSummary {
    const pairs = typeof counts === "number" ? counts : counts.pairs;
    const last = metrics.at(-1) as FitMetrics;
    const kept = metrics.reduce((best, row) => (row.heldOutLoss < best.heldOutLoss ? row : best));
    const told = Math.round(kept.heldOutPairAccuracy * kept.heldOutPairs);
    const isWhole = last.epoch === config.epochs;
    const stopped = isWhole
        ? config.epochs === 1
            ? "after its one epoch"
            : `after all ${config.epochs} epochs`
        : `after epoch ${last.epoch}: the held-out loss had not improved for ${config.patience}`;
    const facts: TrainSummary["facts"] = [
        ["pairs", typeof counts === "number" ? `${pairs} given` : describeCounts(counts)],
        [
            "kept",
            `epoch ${kept.epoch} of ${last.epoch}, which has the least held-out loss (${kept.heldOutLoss.toFixed(3)})`
        ],
        ["held-out pairs", `${told} of ${kept.heldOutPairs} told apart by that epoch's agent`],
        ["stopped", stopped]
    ];
    const advice = [
        `Of ${plural(kept.heldOutPairs, "held-out pair")} the agent tells ${told} apart; chance would be half.`,
        ...(kept.heldOutPairs < fewHeldOut
            ? [`That is too few to tell luck from learning: hold out ${fewHeldOut} or more.`]
            : told < 0.6 * kept.heldOutPairs
              ? [
                    "That is hardly better than guessing: the pairs may not differ in anything that the model's states show."
                ]
              : []),
        ...(pairs < fewPairs
            ? [
                  `It learnt from ${plural(pairs, "pair")} in all, which is little: give some hundred prompts, or more responses to each.`
              ]
            : []),
        ...(typeof counts !== "number" && counts.alike > counts.prompts / 2
            ? [
                  "Most prompts gave no pair, since their responses are worth the same: take a finer reward, or a higher temperature."
              ]
            : []),
        ...(isWhole && kept === last ? ["The loss was still falling: raise epochs."] : []),
        measure
    ];
    return {facts, advice: advice.join(" ")};
}

function describeCounts(counts: PairCounts): string {
    const why = whyNone(counts);
    return `from ${counts.pairs} of ${plural(counts.prompts, "prompt")}${why === "" ? "" : `; none from ${why}`}`;
}

function ofEpisodes(config: TrainConfig, metrics: readonly SacMetrics[]): TrainSummary {
    const last = metrics.at(-1) as SacMetrics;
    const checks = metrics.flatMap(({greedy, episodes}) => (greedy === null ? [] : [{...greedy, episodes}]));
    const [first, latest] = [checks[0], checks.at(-1)];
    const held =
        latest === undefined
            ? `not measured: checkPrompts is ${config.checkPrompts}, and no more than a tenth of the prompts is held out`
            : `${latest.reward.toFixed(3)} with the agent, ${latest.raw.toFixed(3)} without (greedy, ${plural(latest.prompts, "prompt")})`;
    const facts: TrainSummary["facts"] = [
        [
            "episodes",
            `${last.episodes}${last.dropped > 0 ? `, ${last.dropped} of them dropped: their reward failed` : ""}`
        ],
        ["updates", String(last.updates)],
        ...(config.batchesAhead === 1
            ? []
            : [
                  ["batches ahead", `${config.batchesAhead}: ${costOfAhead(checks)} (docs/scaling.md)`] as [
                      string,
                      string
                  ]
              ]),
        ["held-out reward", held]
    ];
    if (last.dropped === last.episodes)
        return {
            facts,
            advice:
                "Nothing was learnt: the reward failed for every episode, for the reasons in samples.jsonl. " +
                "Mend it, and start a new run."
        };
    if (learntNothing([last]))
        return {
            facts,
            advice:
                `Nothing was learnt: the ${plural(last.replay, "transition")} collected never reached learnAfter, ${config.learnAfter}. ` +
                "Lower it, or give more episodes."
        };
    if (first === undefined || latest === undefined)
        return {
            facts,
            advice: `Whether the agent improves on prompts that it has not seen was not measured. The reward of exploring episodes says little about it. ${measure}`
        };
    const gain = latest.reward - latest.raw;
    const began = checks.length > 1 ? ` (after ${first.episodes} episodes: ${signed(first.reward - first.raw)})` : "";
    const verdict =
        gain > 0
            ? `On held-out prompts the agent's greedy answers are worth ${gain.toFixed(3)} more than the model's own${began}.`
            : `On held-out prompts the agent's greedy answers are worth ${gain === 0 ? "no more" : `${(-gain).toFixed(3)} less`} than the model's own${began}: do not use it as it is.`;
    const few =
        latest.prompts < fewHeldOut ? ` From ${plural(latest.prompts, "prompt")} that is a hint, not a proof.` : "";
    const next =
        gain > 0
            ? checks.length > 1 && latest.reward > first.reward
                ? " It was still gaining: more episodes may gain more."
                : ""
            : " Start from an agent trained by --method preference, give more episodes, or a rewardScale that brings rewards to about −1 … 1.";
    return {facts, advice: `${verdict}${few}${next} ${measure}`};
}

/** What it cost that older agents rolled out, by the reward of greedy answers to held-out prompts. */
function costOfAhead(checks: readonly GreedyCheck[]): string {
    const costs = checks.flatMap(({reward, behind}) => (behind === null ? [] : [reward - behind]));
    if (costs.length === 0) return "what that costs was not measured";
    const cost = costs.reduce((sum, value) => sum + value, 0) / costs.length;
    return (
        `the agents that rolled out earned ${Math.abs(cost).toFixed(3)} ${cost < 0 ? "more" : "less"} on held-out prompts ` +
        `than those that would have with one, in the mean over ${plural(costs.length, "check")}`
    );
}

function signed(value: number): string {
    return `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(3)}`;
}
