import {afterEach, beforeEach, describe, expect, it, vi} from "vitest";
import type {Prompt} from "../../lib/prompts/prompts.js";
import {estimateTraining, fitInto} from "../../lib/train/estimate/estimate.js";
import type {TrainingCosts} from "../../lib/train/estimate/measure.js";
import {perResponse} from "../../lib/train/estimate/trials.js";
import {resolveConfig, type TrainConfig, type TrainOptions} from "../../lib/train/options.js";
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
const noStudent = {student: 0, studentFit: 0};
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
    // 10 of 100 prompts are held out, 4 of them are checked, and 90 are answered once for the baseline; updates begin after 20 episodes.
    expect(estimateTraining(sac, costs, {prompts: 100, pairs: null})).toEqual({
        seconds: 94 + 600 + 180 + 48 + 210,
        parts: {
            responses: 94,
            episodes: 600,
            updates: 180 * 10 * 0.1,
            checks: 4 * 4 * 3,
            // At seven thresholds.
            calibration: 10 * 7 * 3,
            ...noStudent
        },
        costs
    });
    const constant = {...sac, baseline: "constant"} as const;
    expect(estimateTraining(constant, costs, {prompts: 100, pairs: null}).parts.responses).toBe(4);
});

it("A run of pairs is estimated by its responses, states and epochs", () => {
    const sampled = estimateTraining(preference, costs, {prompts: 100, pairs: null});
    expect(sampled.parts).toEqual({responses: 400, states: 50, fit: 10, calibration: 0, ...noStudent});
    expect(estimateTraining({...preference, samplePrompts: 30}, costs, {prompts: 100, pairs: null}).parts).toEqual({
        responses: 120,
        states: 15,
        fit: 3,
        calibration: 0,
        ...noStudent
    });
    const given = estimateTraining(preference, costs, {prompts: 0, pairs: 60});
    expect(given.parts).toEqual({responses: 0, states: 30, fit: 6, calibration: 0, ...noStudent});
});

it("Sampled responses and the search for a threshold are counted", () => {
    const advantage = resolveConfig({...base, method: "advantage", samplesPerPrompt: 5, epochs: 10});
    const counts = {prompts: 100, pairs: null};
    // Ten prompts are held out and answered at seven thresholds.
    expect(estimateTraining(advantage, costs, counts).parts).toEqual({
        responses: 500,
        fit: 25,
        calibration: 210,
        ...noStudent
    });
    expect(fitInto(735, advantage, costs, counts)).toEqual({samplesPerPrompt: 5});
    // Seven prompts are too few to find one on.
    expect(estimateTraining(advantage, costs, {prompts: 74, pairs: null}).parts.calibration).toBe(0);
    // A tenth of 79 is rounded, as by the run itself; of pairs it is that of the prompts that are sampled.
    expect(estimateTraining(advantage, costs, {prompts: 79, pairs: null}).parts.calibration).toBe(8 * 7 * 3);
    const sampled = {...preference, samplePrompts: 80, calibrationPrompts: 24};
    expect(estimateTraining(sampled, costs, {prompts: 1000, pairs: null}).parts.calibration).toBe(8 * 7 * 3);
});

it("The student is estimated by its responses and its labels", () => {
    const advantage = resolveConfig({...base, method: "advantage", samplesPerPrompt: 5, epochs: 10});
    const student = {response: 4, decisions: 40, labels: 100, label: 0.001, tokens: 50, width: 64};
    const parts = (config: TrainConfig, change: object, counts: object = {}) =>
        estimateTraining(config, {...costs, student: {...student, ...change}}, {prompts: 100, pairs: null, ...counts})
            .parts;
    // 4000 decisions are in 100 responses, asked for 16 at a time; the 500 sampled ones give a label for each token.
    expect(parts(advantage, {})).toMatchObject({student: 112 * 4, studentFit: (11_200 + 25_000) * 20 * 0.001});
    // Ten decisions of a response are too few for that: it ends after as many responses as the run had.
    expect(parts(sac, {decisions: 10})).toMatchObject({student: 208 * 4, studentFit: 20_800 * 20 * 0.001});
    // What was sampled is thinned out where its states would take more than half a gigabyte.
    expect(parts(advantage, {width: 2 ** 16})).toMatchObject({studentFit: (11_200 + 2048) * 20 * 0.001});
    expect(parts(preference, {}, {prompts: 0, pairs: 8})).toMatchObject({student: 64 * 4});
    expect(parts(preference, {decisions: 0})).toMatchObject(noStudent);
});

it("Time that is spent already is taken off a budget, and a student is named where it does not fit", async () => {
    const advantage = resolveConfig({...base, method: "advantage", epochs: 10});
    const counts = {prompts: 100, pairs: null};
    expect(fitInto(735 + 60, advantage, costs, counts, 60)).toEqual({samplesPerPrompt: 5});
    // Two samples of 70 prompts; of more, enough are held out to find a threshold on.
    expect(fitInto(200, advantage, costs, counts, 50)).toEqual({samplePrompts: 71, samplesPerPrompt: 2});
    const student = {response: 4, decisions: 40, labels: 100, label: 0, tokens: 50, width: 64};
    expect(await failure(() => fitInto(200, advantage, {...costs, student}, counts, 50))).toMatchObject({
        message: expect.stringMatching(
            / but received 3\.3+\d*\. .* is 5\.17, with a student \(--no-student makes none\)\.$/
        )
    });
});

it.each([300, 1000, 36_000])("As many episodes as fit into %i seconds are found", (seconds) => {
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
        // Two samples of each of two prompts, of which one is held out, and reading and fitting them.
        message: expect.stringMatching(/^Expected more than the least .* The least, as measured, is 0\.09\.$/)
    });
    expect(fitInto(0.09 * 60, preference, costs, {prompts: 100, pairs: null})).toMatchObject({samplePrompts: 2});
});

describe("Trials", () => {
    beforeEach(() => {
        vi.useFakeTimers({toFake: ["performance"]});
    });
    afterEach(() => {
        vi.useRealTimers();
    });
    /** Prompts are read one after the other; a token is decoded in all sequences at once. */
    const machine = (readingMs: number, tokenMs: number, length = Number.POSITIVE_INFINITY) => {
        const tried: string[] = [];
        const run = async (asked: readonly Prompt[], tokens: number) => {
            tried.push(`${asked.length}x${tokens}`);
            vi.advanceTimersByTime(readingMs * asked.length + tokenMs * Math.min(tokens, length));
            return tokens > length;
        };
        return {tried, run};
    };
    const asked = Array.from({length: 4}, () => ({prompt: "p"}));

    it("grow until their time is used, and reading prompts is no cost of a token", async () => {
        const {tried, run} = machine(100, 10);
        const {seconds, whole} = await perResponse(asked, {maxTokens: 512, limit: 4}, run);
        expect(tried).toEqual(["1x2", "4x4", "4x16", "4x64"]);
        // All four take 0.4 s of reading and 512 · 10 ms.
        expect(seconds).toBeCloseTo((0.4 + 5.12) / 4, 6);
        expect(whole).toBe(false);
    });

    it("end where the responses do", async () => {
        const {tried, run} = machine(10, 1, 100);
        expect(await perResponse(asked, {maxTokens: 1000, limit: 20}, run)).toEqual({seconds: 0.035, whole: true});
        expect(tried).toEqual(["1x2", "4x8", "4x32", "4x128"]);
    });

    it("ask fewer prompts, for fewer tokens, where prompts take long to be read", async () => {
        const {tried, run} = machine(5000, 10);
        const {seconds} = await perResponse(asked, {maxTokens: 512, limit: 60}, run);
        expect(tried).toEqual(["1x2", "2x2", "2x8", "2x27", "2x64"]);
        expect(seconds).toBeCloseTo((10 + 5.12) / 2, 6);
    });
});
