import {expect, it} from "vitest";
import {estimateTraining, fitInto} from "../../lib/train/estimate/estimate.js";
import type {TrainingCosts} from "../../lib/train/estimate/measure.js";
import {resolveConfig, type TrainOptions} from "../../lib/train/options.js";
import {failure} from "../support/failure.js";

const base: TrainOptions = {modelPath: "m.gguf", prompts: "p.jsonl", reward: "sentiment", runDirectory: "run"};
const costs: TrainingCosts = {
    response: 1,
    episode: 3,
    update: 0.1,
    transitions: 50,
    pair: 0.5,
    epoch: 0.01,
    lengthsMeasured: true
};
const sac = resolveConfig({
    ...base,
    episodes: 200,
    learnAfter: 1000,
    updatesPerEpisode: 10,
    checkEvery: 50,
    checkPrompts: 4
});
const preference = resolveConfig({
    ...base,
    method: "preference",
    pairsFromModel: 4,
    epochs: 10,
    calibrationPrompts: 0
});

it("A run of episodes is estimated by its responses, episodes, updates and checks", () => {
    // 4 of 100 prompts are held out, and 96 answered once for the baseline; updates begin after 20 episodes.
    expect(estimateTraining(sac, costs, {prompts: 100, pairs: null})).toEqual({
        seconds: 100 + 600 + 180 + 48,
        parts: {responses: 100, episodes: 600, updates: 180 * 10 * 0.1, checks: 4 * 4 * 3, calibration: 0},
        costs
    });
    const constant = {...sac, baseline: "constant"} as const;
    expect(estimateTraining(constant, costs, {prompts: 100, pairs: null}).parts.responses).toBe(4);
});

it("A run of pairs is estimated by its responses, states and epochs", () => {
    const sampled = estimateTraining(preference, costs, {prompts: 100, pairs: null});
    expect(sampled.parts).toEqual({responses: 400, states: 50, fit: 10, calibration: 0});
    expect(estimateTraining({...preference, samplePrompts: 30}, costs, {prompts: 100, pairs: null}).parts).toEqual({
        responses: 120,
        states: 15,
        fit: 3,
        calibration: 0
    });
    const given = estimateTraining(preference, costs, {prompts: 0, pairs: 60});
    expect(given.parts).toEqual({responses: 0, states: 30, fit: 6, calibration: 0});
});

it("Sampled responses and the search for a threshold are counted", () => {
    const advantage = resolveConfig({...base, method: "advantage", samplesPerPrompt: 5, epochs: 10});
    const counts = {prompts: 100, pairs: null};
    // Ten prompts are held out and answered at seven thresholds.
    expect(estimateTraining(advantage, costs, counts).parts).toEqual({responses: 500, fit: 25, calibration: 210});
    expect(fitInto(735, advantage, costs, counts)).toEqual({samplesPerPrompt: 5});
    // Seven prompts are too few to find one on.
    expect(estimateTraining(advantage, costs, {prompts: 74, pairs: null}).parts.calibration).toBe(0);
    // A tenth of 79 is rounded, as by the run itself; of pairs it is that of the prompts that are sampled.
    expect(estimateTraining(advantage, costs, {prompts: 79, pairs: null}).parts.calibration).toBe(8 * 7 * 3);
    const sampled = {...preference, samplePrompts: 80, calibrationPrompts: 24};
    expect(estimateTraining(sampled, costs, {prompts: 1000, pairs: null}).parts.calibration).toBe(8 * 7 * 3);
});

it.each([100, 1000, 36_000])("As many episodes as fit into %i seconds are found", (seconds) => {
    const counts = {prompts: 100, pairs: null};
    const {episodes, learnAfter} = fitInto(seconds, sac, costs, counts) as {episodes: number; learnAfter: number};
    const taken = (change: object) => estimateTraining({...sac, learnAfter, ...change}, costs, counts).seconds;
    expect(taken({episodes})).toBeLessThanOrEqual(seconds);
    expect(taken({episodes: episodes + 1})).toBeGreaterThan(seconds - 0.05 * seconds);
    // Learning begins after a twentieth of what will be collected, or as was asked for.
    expect(learnAfter).toBe(Math.min(1000, Math.floor((episodes * 50) / 20)));
});

it("Samples, and else prompts, that fit are found; for given pairs epochs", () => {
    const counts = {prompts: 100, pairs: null};
    expect(fitInto(700, preference, costs, counts)).toEqual({pairsFromModel: 6});
    expect(fitInto(100_000, preference, costs, counts)).toEqual({pairsFromModel: 16});
    // Two samples cost 2 s a prompt, and reading and fitting 0.6 s.
    expect(fitInto(130, preference, costs, counts)).toEqual({samplePrompts: 50, pairsFromModel: 2});
    expect(fitInto(33, preference, costs, {prompts: 0, pairs: 60})).toEqual({epochs: 5});
});

it("A budget below the least is refused", async () => {
    expect(await failure(() => fitInto(1, preference, costs, {prompts: 100, pairs: null}))).toMatchObject({
        code: "INVALID_ARGUMENT",
        // Two samples of one prompt, and reading and fitting them.
        message: expect.stringMatching(/^Expected more than the least .* The least, as measured, is 0\.05\.$/)
    });
    expect(fitInto(0.05 * 60, preference, costs, {prompts: 100, pairs: null})).toMatchObject({samplePrompts: 1});
});
