/** How long a run will take, and what fits into a given time. */
import {invalidArgument, MaraError} from "../../errors.js";
import {calibrationThresholds, minCalibrationPrompts} from "../calibrate.js";
import type {TrainConfig} from "../options.js";
import {heldOutCount} from "../preference/pair-labels.js";
import {heldOutOfSac, splitPrompts} from "../seeds.js";
import type {TrainingCosts} from "./measure.js";
import {studentParts} from "./student.js";

export interface TrainingEstimate {
    seconds: number;
    /**
     * Seconds of each part: the model's own responses, episodes, updates, answers to held-out prompts; reading pairs, fitting; finding the
     * threshold; collecting for the student and fitting it.
     */
    parts: Record<string, number>;
    costs: TrainingCosts;
}

/** What a run works on: `pairs` is null where they are sampled. */
export interface WorkCounts {
    prompts: number;
    pairs: number | null;
}

/** Parts that run at the same time are added up: on a CPU they share its cores. */
export function estimateTraining(config: TrainConfig, costs: TrainingCosts, counts: WorkCounts): TrainingEstimate {
    const kinds = {sac: ofEpisodes, preference: ofPairs, advantage: ofSamples};
    const calibration = calibrationAnswers(config, counts) * costs.episode;
    const parts = {
        ...kinds[config.method](config, costs, counts),
        calibration,
        ...studentParts(config, costs.student, counts)
    };
    const seconds = Object.values(parts).reduce((sum, part) => sum + part, 0);
    return {seconds, parts, costs};
}

function ofEpisodes(config: TrainConfig, costs: TrainingCosts, {prompts}: WorkCounts): Record<string, number> {
    const {episodes, updatesPerEpisode, learnAfter, checkEvery, baseline} = config;
    const {training, heldOut} = splitPrompts(prompts, heldOutOfSac(config), config.seed);
    const checked = Math.min(heldOut.length, config.checkPrompts);
    const own = checked + (baseline === "raw-response" ? Math.min(training.length, episodes) : 0);
    const before = costs.transitions === 0 ? episodes : Math.ceil(learnAfter / costs.transitions);
    return {
        responses: own * costs.response,
        episodes: episodes * costs.episode,
        updates: Math.max(0, episodes - before) * updatesPerEpisode * costs.update,
        checks: Math.ceil(episodes / checkEvery) * checked * costs.episode
    };
}

function ofPairs(config: TrainConfig, costs: TrainingCosts, {prompts, pairs}: WorkCounts): Record<string, number> {
    const sampled = Math.min(prompts, config.samplePrompts);
    const count = pairs ?? sampled;
    return {
        responses: pairs === null ? sampled * config.pairsFromModel * costs.response : 0,
        states: count * costs.pair,
        fit: count * config.epochs * costs.epoch
    };
}

function ofSamples(config: TrainConfig, costs: TrainingCosts, {prompts}: WorkCounts): Record<string, number> {
    const responses = Math.min(prompts, config.samplePrompts) * config.samplesPerPrompt;
    // A pair is two responses.
    return {responses: responses * costs.response, fit: (responses / 2) * config.epochs * costs.epoch};
}

/** Answers by which the threshold is found in the end. */
function calibrationAnswers(config: TrainConfig, {prompts, pairs}: WorkCounts): number {
    if (pairs !== null) return 0;
    const heldOut =
        config.method === "sac"
            ? splitPrompts(prompts, heldOutOfSac(config), config.seed).heldOut.length
            : heldOutCount(Math.min(prompts, config.samplePrompts), config.heldOut);
    const asked = Math.min(heldOut, config.calibrationPrompts);
    return asked < minCalibrationPrompts ? 0 : asked * calibrationThresholds;
}

/** Most episodes and samples that a budget is filled with. */
const most = {episodes: 1_000_000, samples: 16};
/** Fewest prompts that are learnt from: one of them is held out. */
const fewestPrompts = 2;

/**
 * The options with which a run takes no longer than `seconds`, of which `spent` are gone already: for `sac` as many episodes as fit; for
 * `advantage`, and for pairs that are sampled, as many samples for each prompt, or, where two of each are too many, as many prompts; for
 * given pairs as many epochs.
 *
 * @throws MaraError INVALID_ARGUMENT if not even the least fits
 */
export function fitInto(
    seconds: number,
    config: TrainConfig,
    costs: TrainingCosts,
    counts: WorkCounts,
    spent = 0
): Partial<TrainConfig> {
    const taken = (change: Partial<TrainConfig>) =>
        spent + estimateTraining({...config, ...change}, costs, counts).seconds;
    const fits = (change: Partial<TrainConfig>) => taken(change) <= seconds;
    const largest = (low: number, high: number, change: (value: number) => Partial<TrainConfig>) => {
        if (!fits(change(low))) return undefined;
        while (low < high) {
            const middle = Math.ceil((low + high) / 2);
            if (fits(change(middle))) low = middle;
            else high = middle - 1;
        }
        return change(low);
    };
    const samples = config.method === "advantage" ? "samplesPerPrompt" : "pairsFromModel";
    const ways: [low: number, high: number, change: (value: number) => Partial<TrainConfig>][] =
        config.method === "sac"
            ? [[1, most.episodes, (episodes) => ({episodes, learnAfter: startOf(episodes, config, costs)})]]
            : counts.pairs !== null
              ? [[1, config.epochs, (epochs) => ({epochs})]]
              : [
                    [2, most.samples, (value) => ({[samples]: value})],
                    [fewestPrompts, counts.prompts, (samplePrompts) => ({samplePrompts, [samples]: 2})]
                ];
    for (const way of ways) {
        const found = largest(...way);
        if (found !== undefined) return found;
    }
    const [low, , change] = ways.at(-1) as (typeof ways)[number];
    const least = taken(change(low)) / 60;
    // Rounded up, so that what is asked for suffices.
    const shown = Math.ceil(least * 100) / 100;
    const withStudent = costs.student === undefined ? "" : ", with a student (--no-student makes none)";
    const refusal = invalidArgument("minutes", "more than the least that this run takes", seconds / 60);
    throw new MaraError(refusal.code, `${refusal.message}. The least, as measured, is ${shown}${withStudent}.`);
}

/** A twentieth of the transitions that the run will collect, where it would otherwise learn later or never. */
function startOf(episodes: number, {learnAfter}: TrainConfig, {transitions}: TrainingCosts): number {
    return Math.min(learnAfter, Math.max(1, Math.floor((episodes * transitions) / 20)));
}
