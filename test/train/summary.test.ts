/** A run's own account of itself. */
import {existsSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {figures} from "../../lib/cli/train-view.js";
import {trainingPrompts} from "../../lib/demo/world.js";
import {
    answerAll,
    createAlignedContext,
    type FitMetrics,
    MaraAgent,
    type SacMetrics,
    trainAgent
} from "../../lib/index.js";
import {seal} from "../../lib/sealed.js";
import type {TrainConfig} from "../../lib/train/options.js";
import type {ResponseRow} from "../../lib/train/preference/responses.js";
import {adviseOn} from "../../lib/train/report/advice.js";
import {courtesy, interruptAt, linesOf, loadDemoModel, runFolder, smallPreference, smallSac} from "./helpers.js";

const newRun = runFolder();
const prompts = trainingPrompts(30, 3).map(({text}) => ({prompt: text}));
let model: LlamaModel;
beforeAll(async () => {
    model = await loadDemoModel();
});
afterAll(() => model.dispose());

describe("a run of sac", () => {
    const options = {...smallSac, prompts, candidates: {topK: 40}, checkEvery: 8, learningRate: 0.03};

    it("answers held-out prompts as the agent will be used, every so often and at the end", async () => {
        const runDirectory = newRun();
        const shown: string[] = [];
        const presets = new Set<string | null>();
        const {metrics, summary, paths, config} = await trainAgent({
            ...options,
            model,
            runDirectory,
            onProgress: (progress) => {
                shown.push(figures(progress));
                presets.add(progress.preset);
            }
        });
        const checks = (metrics as SacMetrics[]).flatMap(({episodes, greedy}) => (greedy ? [{episodes, greedy}] : []));
        expect(checks.map(({episodes}) => episodes)).toEqual([8, 16, 24]);

        // Three of thirty are in no episode, and the model's own responses to them are known.
        const asked = new Set(linesOf(runDirectory, "samples").map(({prompt}) => prompt));
        const own = new Map(
            linesOf(runDirectory, "responses").map(({prompt, score}) => [prompt as number, score as number])
        );
        const heldOut = [...own.keys()].filter((prompt) => !asked.has(prompt));
        const first = linesOf(runDirectory, "responses")
            .slice(0, 3)
            .map(({prompt}) => prompt as number);
        expect(first).toEqual(heldOut);

        const agent = await MaraAgent.load(paths.agent, {dtype: "f32", threads: 1});
        const {context} = await createAlignedContext(model, {agent, contextSize: 256, threads: 1});
        const answers = await answerAll(
            context,
            first.map((prompt) => prompts[prompt] as {prompt: string}),
            {maxTokens: smallSac.maxTokens, sequences: 1}
        );
        await context.dispose();
        const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
        const {greedy} = checks.at(-1) as (typeof checks)[number];
        expect(greedy.prompts).toBe(3);
        expect(greedy.reward).toBeCloseTo(mean(answers.map(({text, prompt}) => courtesy(prompt.prompt, text))), 9);
        expect(greedy.raw).toBeCloseTo(mean(first.map((prompt) => own.get(prompt) as number)), 9);

        expect(shown.at(-1)).toContain(`held out ${greedy.reward.toFixed(3)}, raw ${greedy.raw.toFixed(3)}`);
        expect(Object.fromEntries(summary.facts)["held-out reward"]).toBe(
            `${greedy.reward.toFixed(3)} with the agent, ${greedy.raw.toFixed(3)} without (greedy, 3 prompts)`
        );
        expect(summary.advice).toMatch(/^On held-out prompts the agent's greedy answers are worth /);
        expect(readFileSync(paths.report, "utf8").includes(summary.advice.slice(30, 60))).toBe(true);
        // The model runs on the CPU, and no option names a preset.
        expect(config.preset).toBe("small");
        expect(Object.fromEntries(summary.facts).preset).toBe("small");
        expect([...presets]).toEqual(["small"]);
    });

    it("finds the threshold on more held-out prompts than it answers every so often", async () => {
        const many = trainingPrompts(90, 3).map(({text}) => ({prompt: text}));
        const sac = {...options, prompts: many, checkPrompts: 2, episodes: 90, maxTokens: 4, baseline: "none"} as const;
        const runDirectory = newRun();
        const {calibration, metrics} = await trainAgent({...sac, model, runDirectory});
        expect(calibration?.prompts).toBe(9);
        expect((metrics.at(-1) as SacMetrics).greedy?.prompts).toBe(2);
        const answered = new Set(linesOf(runDirectory, "samples").map(({prompt}) => prompt));
        const checked = linesOf(runDirectory, "responses").map(({prompt}) => prompt);
        expect(answered.size).toBe(81);
        expect(checked.map((prompt) => answered.has(prompt))).toEqual([false, false]);

        // As a release before would have begun it.
        const earlier = newRun();
        const halfway = interruptAt(({phase, done}) => phase === "rollouts" && done === 4);
        await trainAgent({...sac, ...halfway, calibrationPrompts: 0, model, runDirectory: earlier});
        const path = join(earlier, "config.json");
        const {check: __, ...saved} = JSON.parse(readFileSync(path, "utf8"));
        const {holdsOutForCalibration: _, ...config} = {...saved.config, calibrationPrompts: 48};
        writeFileSync(path, seal({...saved, config}));
        await trainAgent({reward: courtesy, prompts: many, model, runDirectory: earlier, resume: true});
        expect(new Set(linesOf(earlier, "samples").map(({prompt}) => prompt)).size).toBe(88);
    });

    it("shows what it costs to roll out more batches ahead", async () => {
        const runDirectory = newRun();
        const {metrics, summary, paths} = await trainAgent({
            ...options,
            ...{model, runDirectory, episodes: 32, checkEvery: 4, batchesAhead: 3}
        });
        const rows = metrics as SacMetrics[];
        const rewards = rows.map(({greedy}) => greedy?.reward as number);
        const behind = rows.map(({greedy}) => greedy?.behind as number);
        expect(new Set(rewards).size).toBeGreaterThan(2);
        // Two batches later than with one ahead, each agent has rolled out.
        expect(behind.slice(2)).toEqual(rewards.slice(0, -2));
        const changes = rows.map(({change}) => change as number);
        expect(changes[0]).toBeCloseTo(0, 6);
        expect(Math.max(...changes)).toBeGreaterThan(0.01);
        const cost = rewards.reduce((sum, reward, i) => sum + reward - (behind[i] as number), 0) / rows.length;
        expect(Object.fromEntries(summary.facts)["batches ahead"]).toBe(
            `3: the agents that rolled out earned ${Math.abs(cost).toFixed(3)} ${cost < 0 ? "more" : "less"} on held-out prompts ` +
                "than those that would have with one, in the mean over 8 checks (docs/scaling.md)"
        );
        expect(readFileSync(paths.report, "utf8")).toContain('id="behind"');
        const [one] = (await trainAgent({...options, model, runDirectory: newRun(), episodes: 4}))
            .metrics as SacMetrics[];
        expect(one).toMatchObject({change: null, greedy: {behind: null}});
    });

    it("goes on bit for bit with its checks, wherever it was interrupted", async () => {
        const [whole, run] = [newRun(), newRun()];
        const ahead = {batchesAhead: 2};
        await trainAgent({...options, ...ahead, model, runDirectory: whole});
        for (const done of [0, 4, 12]) {
            const signal = interruptAt(({phase, done: episodes}) => phase === "rollouts" && episodes === done);
            await trainAgent({...options, ...ahead, ...signal, model, runDirectory: run, resume: done > 0});
        }
        await trainAgent({reward: courtesy, prompts, model, runDirectory: run, resume: true});
        for (const log of ["metrics", "samples", "responses"]) expect(linesOf(run, log)).toEqual(linesOf(whole, log));
    });

    it("says that nothing was learnt where the replay was never filled", async () => {
        const {summary, paths} = await trainAgent({
            ...options,
            model,
            runDirectory: newRun(),
            episodes: 4,
            learnAfter: 10_000,
            replayCapacity: 10_000
        });
        expect(summary.advice).toMatch(
            /^Nothing was learnt: the \d+ transitions collected never reached learnAfter, 10000\./
        );
        const report = readFileSync(paths.report, "utf8");
        expect(report).toContain("Nothing was learnt");
        expect(report).not.toContain("To measure it");
    });
});

describe("the beginning of a run", () => {
    it.each([smallSac, smallPreference])(
        "shows a sign of life before the first response, and a checkpoint after the first block: $method",
        async (small) => {
            const runDirectory = newRun();
            const seen: {phase: string; done: number; tokens: number; kept: boolean}[] = [];
            await trainAgent({
                ...small,
                model,
                runDirectory,
                onProgress: ({phase, done, tokens}) =>
                    seen.push({phase, done, tokens, kept: existsSync(join(runDirectory, "checkpoint.json"))})
            });
            const {sequences} = small;
            expect(seen[0]).toEqual({phase: "responses", done: 0, tokens: 0, kept: false});
            // One token of each response that is under way.
            expect(seen[1]).toEqual({phase: "responses", done: 0, tokens: sequences, kept: false});
            expect(seen.find(({done}) => done > sequences)).toMatchObject({phase: "responses", kept: true});
        }
    );

    it("has a checkpoint after the first batch of episodes where the model's own responses are not wanted", async () => {
        const runDirectory = newRun();
        const seen: {done: number; tokens: number; kept: boolean}[] = [];
        await trainAgent({
            ...smallSac,
            baseline: "none",
            checkpointEvery: 64,
            model,
            runDirectory,
            onProgress: ({done, tokens}) =>
                seen.push({done, tokens, kept: existsSync(join(runDirectory, "checkpoint.json"))})
        });
        expect(seen[1]).toEqual({done: 0, tokens: expect.any(Number), kept: false});
        expect(seen[1]?.tokens).toBeGreaterThan(0);
        expect(seen.find(({done}) => done > smallSac.episodesPerBatch)).toMatchObject({kept: true});
    });
});

describe("a run of preference", () => {
    it("counts pairs and prompts without one, and says which epoch is kept and why it stopped", async () => {
        const failing = prompts[4]?.prompt;
        const blank = prompts[5]?.prompt;
        const reward = (prompt: string, response: string) =>
            prompt === failing ? Number.NaN : prompt === blank ? 1 : courtesy(prompt, response);
        const shown: string[] = [];
        const {summary, metrics, paths} = await trainAgent({
            ...smallPreference,
            model,
            prompts,
            reward,
            rewardRetries: 0,
            epochs: 12,
            patience: 2,
            runDirectory: newRun(),
            onProgress: (progress) => shown.push(figures(progress))
        });
        const pairs = readFileSync(join(paths.runDirectory, "pairs.jsonl"), "utf8").trim().split("\n").length;
        const facts = Object.fromEntries(summary.facts);
        const alike = 30 - pairs - 1;
        expect(facts.pairs).toBe(
            `from ${pairs} of 30 prompts; none from ${alike} whose responses are all worth the same, 1 for which the reward failed`
        );
        const rows = metrics as FitMetrics[];
        const losses = rows.map(({heldOutLoss}) => heldOutLoss);
        const kept = losses.indexOf(Math.min(...losses));
        expect(facts.kept).toMatch(new RegExp(`^epoch ${kept + 1} of ${rows.length}, `));
        const {heldOutPairs, heldOutPairAccuracy} = rows[kept] as FitMetrics;
        const told = Math.round(heldOutPairs * heldOutPairAccuracy);
        expect(facts["held-out pairs"]).toBe(`${told} of ${heldOutPairs} told apart by that epoch's agent`);
        expect(facts.stopped).toBe(
            rows.length === 12
                ? "after all 12 epochs"
                : `after epoch ${rows.length}: the held-out loss had not improved for 2`
        );
        expect(summary.advice).toContain(
            `Of ${heldOutPairs} held-out pairs the agent tells ${told} apart; chance would be half. That is too few to tell luck`
        );
        expect(shown.at(-1)).toMatch(/^\d of \d held-out pairs told apart {2}epoch \d+ kept$/);
    });

    it("loses no response that is complete", async () => {
        const runDirectory = newRun();
        let answered = 0;
        const controller = new AbortController();
        const onProgress = ({phase, done}: {phase: string; done: number}) => {
            if (phase !== "responses") return;
            answered = done;
            if (done >= 9) controller.abort();
        };
        const {signal} = controller;
        await trainAgent({...smallPreference, model, prompts, reward: courtesy, runDirectory, onProgress, signal});
        // Told one by one; two are answered side by side.
        expect(answered).toBeGreaterThanOrEqual(9);
        expect(linesOf(runDirectory, "responses").length).toBeGreaterThanOrEqual(8);
    });
});

describe("one of a kind", () => {
    it("is told in the singular", () => {
        const row = {epoch: 1, heldOutLoss: 0.5, heldOutPairs: 1, heldOutPairAccuracy: 1} as FitMetrics;
        const config = {preset: "small", method: "preference", epochs: 1} as TrainConfig;
        const responses = [1, 0].map((score, sample) => ({prompt: 0, sample, response: "Yes.", score}) as ResponseRow);
        const {facts, advice} = adviseOn(config, [row], {responses, pairs: undefined});
        expect(Object.fromEntries(facts)).toMatchObject({pairs: "from 1 of 1 prompt", stopped: "after its one epoch"});
        expect(advice).toContain("Of 1 held-out pair the agent tells 1 apart");
        expect(advice).toContain("It learnt from 1 pair in all, which is little");
    });

    it("is told in the singular of sac", () => {
        const row = {episodes: 9, updates: 9, dropped: 0, greedy: {prompts: 1, reward: 2, raw: 1, behind: null}};
        const config = {preset: "small", method: "sac", batchesAhead: 1} as TrainConfig;
        const {facts, advice} = adviseOn(config, [row as SacMetrics], {responses: [], pairs: undefined});
        expect(Object.fromEntries(facts)["held-out reward"]).toMatch(/ without \(greedy, 1 prompt\)$/);
        expect(advice).toContain(" From 1 prompt that is a hint, not a proof.");
    });
});

describe("a calibration with other options than the defaults", () => {
    it.each([
        [{order: "top-last", strategy: "first", fallbackIndex: 3}, 'order "top-last", fallbackIndex 3'],
        [{order: "best-first", strategy: "max-prob", fallbackIndex: 0}, 'strategy "max-prob"'],
        [{order: "best-first", strategy: "first", fallbackIndex: 0}, undefined]
    ])("says which to give: %j", (options, named) => {
        const config = {preset: "small", method: "advantage", ...options} as TrainConfig;
        const calibration = {prompts: 20, points: [], threshold: 0.4};
        const {advice} = adviseOn(config, [], {responses: [], pairs: undefined, calibration});
        expect(advice.match(/^The threshold was found with (.*), which the agent's file does not keep/)?.[1]).toBe(
            named
        );
    });
});

describe("a calibration that keeps no threshold", () => {
    const point = (threshold: number, reward: number, excess: number) => ({
        threshold,
        reward,
        standardError: 0.1,
        repetition: {excess, standardError: 0.01},
        firstChoice: 0.5
    });
    const advised = (reward: number) =>
        adviseOn({preset: "small", method: "advantage"} as TrainConfig, [], {
            responses: [],
            pairs: undefined,
            calibration: {prompts: 20, points: [point(0, 0.2, 0), point(0.6, reward, 0.1)], threshold: null}
        });

    it("tells whether nothing was gained", () => {
        const {facts, advice} = advised(0.1);
        expect(facts).toContainEqual(["threshold", "0.5; of 20 prompts: no threshold gained anything"]);
        expect(advice).toMatch(/^There is no threshold to use it with: no threshold gained anything\. Nothing/);
    });

    it("tells whether the answers repeat themselves, and what to do", () => {
        expect(advised(0.5).advice).toMatch(
            /: at every threshold that gains something the answers repeat themselves\. Train with " \+ 5\*repetition" added/
        );
    });
});
