import {describe, expect, it} from "vitest";
import {constantNames, constants} from "../../lib/train/constants.js";
import {checkTogether, resolveConfig, resumeConfig, type TrainOptions} from "../../lib/train/options.js";

const base: TrainOptions = {modelPath: "m.gguf", prompts: "p.jsonl", reward: "sentiment", runDirectory: "run"};

describe("training options", () => {
    it("have defaults of their own", () => {
        const config = resolveConfig(base);
        expect(config).toMatchObject({
            method: "advantage",
            gamma: 0.99,
            tau: 0.005,
            learningRate: 3e-4,
            initialAlpha: 0.01,
            gradientClip: 0.5,
            batchSize: 1024,
            learnAfter: 64 * 1024,
            replayCapacity: 1e6,
            updatesPerEpisode: 10,
            klCoefficient: 0.1,
            hidden1: 1024,
            hidden2: 256,
            postBack: true,
            automaticAlpha: true,
            student: true,
            maxTokens: 128,
            targetEvery: 10,
            criticLossScale: 1,
            sharedCritics: false,
            alphaLoss: "log-alpha",
            replacement: true,
            probabilitiesOver: "candidates",
            lastAccepted: false,
            penalty: "kl",
            order: "best-first",
            strategy: "first",
            fallbackIndex: 0,
            preset: "default",
            baseline: "raw-response",
            candidates: {topK: 40, topP: 0.95, minP: 0.1, temperature: 0.8},
            reward: "sentiment",
            rewardByName: true
        });
        expect(config.targetEntropy).toBeCloseTo(0.6 * Math.log(2), 12);
    });

    it.each<[Partial<TrainOptions>, string]>([
        [{}, "advantage"],
        [{preset: "small", heldOut: 0.2, epochs: 5}, "advantage"],
        [{samplesPerPrompt: 4}, "advantage"],
        [{episodes: 100}, "sac"],
        [{baseline: "none"}, "sac"],
        [{order: "reverse"}, "sac"],
        [{preset: "paper"}, "sac"],
        [{warmStart: "runs/pairs"}, "sac"],
        [{warmStart: "runs/pairs", samplesPerPrompt: 4}, "advantage"],
        [{pairsFromModel: 4}, "preference"],
        [{pairs: "pairs.jsonl"}, "preference"],
        // What the search for a threshold and the fit heed belongs to all methods.
        [{order: "reverse", strategy: "random", fallbackIndex: 1, gradientClip: 1, method: "advantage"}, "advantage"]
    ])("choose the method that fits %j", (given, method) => {
        expect(resolveConfig({...base, ...given}).method).toBe(method);
    });

    it("are the authors' script's with the preset that is called after their paper", () => {
        // scripts/train_multi_reward_mistral_v3.sh and the training_params.json beside the agent that they published.
        const config = resolveConfig({...base, preset: "paper"});
        expect(config).toMatchObject({
            method: "sac",
            episodes: 21_000,
            maxTokens: 512,
            hidden1: 1024,
            hidden2: 256,
            replayCapacity: 1e6,
            batchSize: 1024,
            learningRate: 3e-4,
            initialAlpha: 0.01,
            gradientClip: 0.5,
            tau: 0.005,
            gamma: 0.99,
            updatesPerEpisode: 10,
            targetEvery: 10,
            // More than 64 batches.
            learnAfter: 64 * 1024 + 1,
            criticLossScale: 0.5,
            sharedCritics: true,
            alphaLoss: "alpha",
            automaticAlpha: true,
            replacement: false,
            klCoefficient: 0.1,
            penalty: "kl",
            probabilitiesOver: "vocabulary",
            lastAccepted: true,
            postBack: true,
            baseline: "constant",
            baselineValue: 0,
            rewardScale: 1,
            order: "best-first",
            candidates: {topK: 40, topP: 0.95, minP: 0, temperature: 0.8}
        });
        expect(config.targetEntropy).toBeCloseTo(0.6 * Math.log(2), 12);
    });

    it("take each of them alone", () => {
        const paper = resolveConfig({...base, preset: "paper"});
        const changed = {
            sharedCritics: false,
            replacement: true,
            lastAccepted: false,
            baseline: "none",
            targetEvery: 1
        } as const;
        expect(resolveConfig({...base, preset: "paper", ...changed})).toEqual({...paper, ...changed});
        const sac = {...base, method: "sac"} as const;
        expect(resolveConfig({...sac, lastAccepted: true})).toEqual({...resolveConfig(sac), lastAccepted: true});
    });

    it("take a preset's constants where none is given", () => {
        const config = resolveConfig({...base, preset: "small", batchSize: 64, candidates: {topP: 0.9}});
        expect(config).toMatchObject({batchSize: 64, learnAfter: constants.learnAfter.small, gamma: 0.99});
        expect(config.candidates).toEqual({topK: 10, topP: 0.9, minP: 0, temperature: 0.8});
    });

    it("have defaults within their own ranges", () => {
        for (const name of constantNames) {
            const {byDefault, small = byDefault, paper = byDefault} = constants[name];
            for (const value of [byDefault, small, paper])
                expect(() => resolveConfig({...base, [name]: value}), name).not.toThrow();
        }
    });

    it.each<[Record<string, unknown>, string]>([
        [{episodes: 0}, "Expected an integer from 1 to 1000000000 for episodes but received 0"],
        [{episodes: 1.5}, "Expected an integer from 1 to 1000000000 for episodes but received 1.5"],
        [{gamma: 0}, "Expected a number in (0, 1] for gamma but received 0"],
        [{gamma: Number.NaN}, "Expected a number in (0, 1] for gamma but received NaN"],
        [{klCoefficient: "0.1"}, 'Expected a number in [0, 1000000] for klCoefficient but received "0.1"'],
        [{method: "ppo"}, 'Expected one of "sac", "preference", "advantage" for method but received "ppo"'],
        [{penalty: "none"}, 'Expected one of "kl", "abs", "mse", "full", "divergence" for penalty but received "none"'],
        [{baseline: "raw"}, 'Expected one of "none", "constant", "raw-response" for baseline but received "raw"'],
        [{preset: "tiny"}, 'Expected one of "default", "paper", "small" for preset but received "tiny"'],
        [{candidates: {topK: 0}}, "Expected an integer from 1 to 256 for candidates.topK but received 0"],
        [{postBack: 1}, "Expected a boolean for postBack but received 1"],
        [
            {learnRate: 1},
            'Expected only documented ones for options but received "learnRate". Did you mean "learningRate"?'
        ],
        [{runDirectory: ""}, 'Expected a path for runDirectory but received ""'],
        [{modelPath: undefined}, "Expected a GGUF file or a loaded model for model but received undefined"],
        [{model: {}}, 'Expected either model or modelPath for model but received "both"'],
        [{threads: 0}, "Expected an integer from 1 to 256 for threads but received 0"],
        [{signal: {}}, "Expected an AbortSignal for signal but received Object"]
    ])("%j is refused", (change, message) => {
        expect(() => resolveConfig({...base, ...change} as TrainOptions)).toThrow(
            expect.objectContaining({code: "INVALID_ARGUMENT", message})
        );
    });

    it.each<[Partial<TrainOptions>, string]>([
        [
            {method: "sac", samplesPerPrompt: 4},
            'nothing with this run\'s method "sac" (it is an option of "advantage": '
        ],
        [
            {method: "advantage", episodes: 100},
            'nothing with this run\'s method "advantage" (it is an option of "sac": '
        ],
        [{method: "preference", lastAccepted: false}, 'method "preference" (it is an option of "sac": '],
        [{method: "advantage", pairsFromModel: 3}, 'method "advantage" (it is an option of "preference": '],
        [{method: "sac", epochs: 3}, 'method "sac" (it is an option of "preference" and "advantage": '],
        // Where none is named, too.
        [{pairs: "pairs.jsonl", creditDecay: 0.5}, 'method "preference" (it is an option of "advantage": '],
        [{preset: "paper", heldOut: 0.2}, 'method "sac" (it is an option of "preference" and "advantage": '],
        [{episodes: 5, samplesPerPrompt: 4}, 'method "sac" (it is an option of "advantage": ']
    ])("%j are refused, since one is of another method", (given, told) => {
        const [name, value] = Object.entries(given).at(-1) as [string, unknown];
        const ending = `leave it out, or give another method) for ${name} but received ${value}`;
        expect(() => resolveConfig({...base, ...given})).toThrow(
            expect.objectContaining({code: "INVALID_ARGUMENT", message: expect.stringContaining(told + ending)})
        );
    });

    it.each<[Partial<TrainOptions>, string]>([
        [{prompts: undefined as never}, "Expected a file or an array of prompts for prompts but received undefined"],
        [{reward: undefined as never}, "Expected a reward's name or a function for reward but received undefined"],
        [
            {batchSize: 100, replayCapacity: 50},
            "Expected at most the replayCapacity of 50 for batchSize but received 100"
        ],
        [
            {pairs: "pairs.jsonl", method: "sac"},
            'Expected no pairs with method "sac" (train with "preference", then give that run as warmStart) for pairs but received "pairs.jsonl"'
        ]
    ])("%j is refused together with the rest", (change, message) => {
        const options = {...base, ...change};
        expect(() => checkTogether(options, resolveConfig(options))).toThrow(
            expect.objectContaining({code: "INVALID_ARGUMENT", message})
        );
    });
});

describe("a run that goes on", () => {
    const saved = resolveConfig({...base, preset: "small", seed: 3});
    const resumed = {runDirectory: "run", resume: true};

    it("keeps its options", () => {
        expect(resumeConfig(resumed, saved)).toEqual(saved);
        expect(resumeConfig({...resumed, seed: 3, reward: "sentiment", candidates: {topK: 10}}, saved)).toEqual(saved);
    });

    it("takes options of other methods as it was begun with them, when nothing refused them", () => {
        const {samplesPerPrompt} = saved;
        expect(resumeConfig({...resumed, samplesPerPrompt, gamma: 0.99, epochs: 20}, saved)).toEqual(saved);
        const sac = resolveConfig({...base, method: "sac"});
        expect(resumeConfig({...resumed, method: "sac", samplesPerPrompt}, sac)).toEqual(sac);
    });

    it("may go further, and at another speed", () => {
        expect(resumeConfig({...resumed, episodes: 9999, threads: 3}, saved)).toEqual({
            ...saved,
            episodes: 9999,
            threads: 3
        });
    });

    it.each<[Partial<TrainOptions>, string]>([
        [{seed: 4}, "The run was started with seed 3 and cannot go on with 4. "],
        [{preset: "default"}, 'The run was started with preset "small" and cannot go on with "default". '],
        [{gamma: 0.9}, "The run was started with gamma 0.99 and cannot go on with 0.9. "],
        [{reward: "length"}, 'The run was started with reward "sentiment" and cannot go on with "length". '],
        [{method: "preference"}, 'The run was started with method "advantage" and cannot go on with "preference". ']
    ])("refuses %j", (change, message) => {
        expect(() => resumeConfig({...resumed, ...change}, saved)).toThrow(
            expect.objectContaining({code: "RUN_CHANGED", message: expect.stringContaining(message)})
        );
    });
});
