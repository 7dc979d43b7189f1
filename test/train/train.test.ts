import {appendFileSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync} from "node:fs";
import {dirname, join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {beforeAll, describe, expect, it} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {MaraAgent, type TrainProgress, trainAgent} from "../../lib/index.js";
import {
    courtesy,
    interruptAt,
    linesOf,
    loadDemoModel,
    prompts,
    runFolder,
    smallAdvantage,
    smallPreference,
    smallSac
} from "./helpers.js";

const newRun = runFolder();
let model: LlamaModel;
beforeAll(async () => {
    model = await loadDemoModel();
});

describe("trainAgent", () => {
    it("trains by sac", async () => {
        const seen: TrainProgress[] = [];
        const runDirectory = newRun();
        const {agent, completed, metrics, paths} = await trainAgent({
            ...smallSac,
            modelPath: demoModelPath,
            runDirectory,
            onProgress: (progress) => seen.push(progress)
        });
        expect(completed).toBe(true);
        const saved = await MaraAgent.load(paths.agent);
        expect(saved.tensors()).toEqual(agent?.tensors());
        expect(saved.hiddenSizes).toEqual([16, 8]);
        expect(saved.metadata).toMatchObject({
            "mara.method": "sac",
            "mara.model": "model.gguf",
            "mara.reward": "courtesy",
            "mara.seed": "7"
        });

        const samples = linesOf(runDirectory, "samples");
        expect(samples.map(({episode}) => episode)).toEqual(Array.from({length: 24}, (_, i) => i));
        for (const {prompt, response, reward} of samples)
            expect(reward).toBe(courtesy(prompts[prompt as number]?.prompt ?? "", response as string));
        // Each pass over the prompts is another order of all of them.
        const passes = [0, 1, 2, 3].map((pass) => samples.slice(6 * pass, 6 * pass + 6).map(({prompt}) => prompt));
        for (const pass of passes) expect(pass.toSorted()).toEqual([0, 1, 2, 3, 4, 5]);
        expect(new Set(passes.map(String)).size).toBeGreaterThan(1);
        // The baseline is the reward of the model's own response to the same prompt.
        const own = new Map(linesOf(runDirectory, "responses").map(({prompt, score}) => [prompt, score]));
        for (const {prompt, baseline} of samples) expect(baseline).toBe(own.get(prompt));

        expect(metrics).toHaveLength(6);
        const updates = metrics.map((row) => ("updates" in row ? row.updates : -1));
        const replay = metrics.map((row) => ("replay" in row ? row.replay : -1));
        // Two updates for each of the four episodes of a batch, once the replay is filled far enough.
        const begun = replay.findIndex((size) => size >= 24);
        expect(updates).toEqual(replay.map((_, i) => 8 * Math.max(0, i - begun + 1)));
        // Tokens are told in between, with the count of episodes unchanged.
        const counts = seen.filter(({phase}) => phase === "rollouts").map(({done}) => done);
        expect([...new Set(counts)]).toEqual([0, 4, 8, 12, 16, 20, 24]);
        expect(readFileSync(paths.report, "utf8")).toContain("<canvas");
        agent?.dispose();
    });

    it("rolls out the next batch while rewards are computed", async () => {
        // The first batch's rewards wait for a response of the second: one after the other would never end.
        let later = () => {};
        const second = new Promise<void>((resolve) => {
            later = resolve;
        });
        let calls = 0;
        const reward = async () => {
            if (++calls > 4) later();
            await second;
            return 1;
        };
        const options = {...smallSac, episodes: 8, baseline: "none", rewardTimeout: 20, rewardRetries: 0} as const;
        const {metrics} = await trainAgent({...options, reward, model, runDirectory: newRun()});
        expect(metrics.at(-1)).toMatchObject({dropped: 0, reward: 1});
    });

    it("trains from pairs that it samples and ranks", async () => {
        const runDirectory = newRun();
        const {agent, metrics, paths} = await trainAgent({...smallPreference, model, runDirectory});
        const responses = linesOf(runDirectory, "responses");
        expect(responses).toHaveLength(prompts.length * 3);
        const pairs = linesOf(runDirectory, "pairs");
        expect(pairs.length).toBeGreaterThan(2);
        for (const {prompt, chosen, rejected} of pairs) {
            const index = prompts.findIndex((one) => one.prompt === prompt);
            const scores = responses.filter((row) => row.prompt === index).map(({score}) => score as number);
            expect(courtesy("", chosen as string)).toBe(Math.max(...scores));
            expect(courtesy("", rejected as string)).toBe(Math.min(...scores));
        }
        const losses = metrics.map((row) => ("heldOutLoss" in row ? row.heldOutLoss : Number.NaN));
        expect(losses).toHaveLength(4);
        expect(losses.every((loss) => loss > 0 && loss < 2)).toBe(true);
        expect((await MaraAgent.load(paths.agent)).tensors()).toEqual(agent?.tensors());
    });

    it("reads the pairs that it samples in the format that their prompts name", async () => {
        const named = prompts.map((prompt) => ({...prompt, format: "template"}) as const);
        const [one, other] = [
            await trainAgent({...smallPreference, epochs: 1, prompts: named, model, runDirectory: newRun()}),
            await trainAgent({...smallPreference, epochs: 1, promptFormat: "template", model, runDirectory: newRun()})
        ];
        expect(one.agent?.tensors()).toEqual(other.agent?.tensors());
    });

    it("trains from pairs alone, and learns what tells them apart", async () => {
        const pairs = prompts.flatMap(({prompt}) => [
            {prompt, chosen: "Of course. The ferry leaves at noon.", rejected: "No. The ferry leaves at noon."},
            {prompt, chosen: "Of course. It is next to the hall.", rejected: "No. It is next to the hall."}
        ]);
        const {prompts: _, reward: __, ...rest} = smallPreference;
        const options = {...rest, epochs: 60, patience: 60, fitLearningRate: 0.01};
        const {metrics} = await trainAgent({...options, pairs, model, runDirectory: newRun()});
        expect(metrics.at(-1)).toMatchObject({heldOutPairAccuracy: 1});
    });

    it("starts from a run", async () => {
        const first = await trainAgent({...smallPreference, model, runDirectory: newRun()});
        const options = {...smallSac, learnAfter: 60, episodes: 4, hidden1: 99, warmStart: first.paths.runDirectory};
        const {agent} = await trainAgent({...options, model, runDirectory: newRun()});
        // Four episodes are too few for an update: the agent is still the one that it began as.
        expect(agent?.tensors()).toEqual(first.agent?.tensors());
    });
});

describe("a reward that fails", () => {
    it("costs its episode, and the run goes on", async () => {
        const tries = new Map<string, number>();
        const failing = (prompt: string, response: string): number | Promise<number> => {
            const key = `${prompt}|${response}`;
            tries.set(key, (tries.get(key) ?? 0) + 1);
            if (prompt === prompts[0]?.prompt) throw new Error("out of order");
            if (prompt === prompts[1]?.prompt) return Number.NaN;
            if (prompt === prompts[2]?.prompt) return new Promise(() => {});
            return 0.5;
        };
        const runDirectory = newRun();
        const options = {...smallSac, episodes: 12, baseline: "constant", baselineValue: 0.25} as const;
        const {metrics, completed} = await trainAgent({
            ...options,
            reward: failing,
            rewardRetries: 1,
            rewardTimeout: 0.2,
            model,
            runDirectory
        });
        expect(completed).toBe(true);
        expect(metrics.at(-1)).toMatchObject({episodes: 12, dropped: 6});
        const samples = linesOf(runDirectory, "samples");
        const failures = samples.filter(({reward}) => reward === null);
        expect(failures.map(({failure}) => failure)).toEqual(
            failures.map(({prompt}) =>
                expect.stringMatching(
                    [/out of order.*the last of 2 calls/, /finite number.*received NaN/, /took more than 200 ms/][
                        prompt as number
                    ] as RegExp
                )
            )
        );
        expect(samples.filter(({reward}) => reward === 0.5)).toHaveLength(6);
    });

    it("every time ends the run with its reason", async () => {
        const reward = () => {
            throw new Error("no such service");
        };
        const options = {...smallSac, baseline: "none", episodes: 200, episodesPerBatch: 16, maxTokens: 2} as const;
        const run = trainAgent({...options, reward, rewardRetries: 0, model, runDirectory: newRun()});
        await expect(run).rejects.toMatchObject({
            code: "REWARD_FAILED",
            message: expect.stringMatching(/^The reward failed for each of the first 64 responses\. .*no such service/)
        });
    });

    it.each([
        ["none", 8],
        ["raw-response", 6]
    ] as const)(
        "every time ends a short run of sac, too, and leaves no agent: baseline %s",
        async (baseline, count) => {
            const options = {...smallSac, baseline, episodes: 8, reward: () => Number.NaN, rewardRetries: 0, model};
            const runDirectory = newRun();
            const refusal = {
                code: "REWARD_FAILED",
                message: expect.stringMatching(
                    new RegExp(`^The reward failed for each of the first ${count} responses\\. .* received NaN$`)
                )
            };
            await expect(trainAgent({...options, runDirectory})).rejects.toMatchObject(refusal);
            expect(existsSync(join(runDirectory, "agent.safetensors"))).toBe(false);
            await expect(trainAgent({...options, runDirectory, resume: true})).rejects.toMatchObject(refusal);
        }
    );

    it("every time until an interruption is what the run tells of it", async () => {
        const {summary, completed} = await trainAgent({
            ...smallSac,
            ...interruptAt(({phase, done}) => phase === "rollouts" && done === 8),
            baseline: "none",
            reward: () => Number.NaN,
            rewardRetries: 0,
            model,
            runDirectory: newRun()
        });
        expect(completed).toBe(false);
        expect(summary.advice).toMatch(/^Nothing was learnt: the reward failed for every episode/);
    });
});

describe("what a run reads", () => {
    it("is named where it is wrong, before anything is written", async () => {
        const runDirectory = newRun();
        const file = join(dirname(runDirectory), "bad.jsonl");
        writeFileSync(file, '{"prompt": "a"}\n{"promt": "b"}\n');
        const run = trainAgent({...smallSac, prompts: file, model, runDirectory});
        await expect(run).rejects.toMatchObject({
            code: "PROMPTS_FORMAT",
            message: expect.stringContaining(`${file}, line 2: it has neither "prompt" nor "instruction"`)
        });
        expect(existsSync(runDirectory)).toBe(false);
    });

    it.each([
        [{modelPath: "nowhere.gguf"}, "MODEL_NOT_FOUND", /^Could not read .*nowhere\.gguf: ENOENT/],
        [{modelPath: "package.json"}, "MODEL_UNSUPPORTED", /^Could not load the model .*package\.json: /],
        [{modelPath: demoModelPath, reward: "sentimental"}, "REWARD_SPEC", /sentimental/],
        [
            {modelPath: demoModelPath, warmStart: "test/golden/w64.agent.safetensors"},
            "AGENT_WIDTH",
            /^The agent to start from reads states of width 64, but the model's embedding size is 160\.$/
        ],
        [
            {modelPath: demoModelPath, prompts: []},
            "INVALID_ARGUMENT",
            /^Expected a file or an array that is not empty for prompts/
        ],
        [
            {modelPath: demoModelPath, prompts: [{prompt: "a"}, {prompt: 3}]},
            "INVALID_ARGUMENT",
            /^Expected a text that is not empty for prompts\[1\]\.prompt but received 3$/
        ]
    ])("%j is refused", async (change, code, message) => {
        const runDirectory = newRun();
        const run = trainAgent({...smallSac, ...change, runDirectory} as never);
        await expect(run).rejects.toMatchObject({code, message: expect.stringMatching(message)});
        expect(existsSync(runDirectory)).toBe(false);
    });

    it("must be the same to go on", async () => {
        const runDirectory = newRun();
        const folder = `${runDirectory}-inputs`;
        mkdirSync(folder);
        const modelPath = join(folder, "model.gguf");
        copyFileSync(demoModelPath, modelPath);
        const file = join(folder, "prompts.jsonl");
        const text = prompts.map((prompt) => JSON.stringify(prompt)).join("\n");
        writeFileSync(file, text);
        const controller = new AbortController();
        controller.abort();
        const options = {...smallSac, reward: "length", prompts: file, modelPath, runDirectory};
        await trainAgent({...options, signal: controller.signal});

        writeFileSync(file, `${text}\n{"prompt": "One more?"}`);
        const message = (what: string) =>
            expect.stringMatching(new RegExp(`^The ${what} .* changed since the run was started`));
        const again = {runDirectory, resume: true};
        await expect(trainAgent(again)).rejects.toMatchObject({code: "RUN_CHANGED", message: message("prompts")});
        writeFileSync(file, text);
        appendFileSync(modelPath, "x");
        await expect(trainAgent(again)).rejects.toMatchObject({code: "RUN_CHANGED", message: message("model")});
        copyFileSync(demoModelPath, modelPath);
        await expect(trainAgent({...again, gamma: 0.5})).rejects.toMatchObject({code: "RUN_CHANGED"});
        expect(await trainAgent({...again, episodes: 4})).toMatchObject({completed: true});
    });

    it.each([smallPreference, smallAdvantage])("of $method must differ in something to learn from", async (options) => {
        const constant = trainAgent({...options, reward: () => 0.1, model, runDirectory: newRun()});
        await expect(constant).rejects.toMatchObject({
            code: "PAIRS_TOO_FEW",
            message: expect.stringMatching(
                /^Nothing can be learnt from .* prompts: \d+ whose responses are all worth the same/
            )
        });
        const reward = () => {
            throw new Error("no such service");
        };
        const failing = {...options, reward, rewardRetries: 0, maxTokens: 2, model};
        await expect(trainAgent({...failing, runDirectory: newRun()})).rejects.toMatchObject({
            code: "REWARD_FAILED",
            message: expect.stringContaining("no such service")
        });
    });

    it.each([smallSac, smallAdvantage])("are no pairs for $method", async (options) => {
        const pairs = [{prompt: "Hello?", chosen: "Hello.", rejected: "What?"}];
        const run = trainAgent({...options, pairs, model, runDirectory: newRun()});
        await expect(run).rejects.toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining(`no pairs with method "${options.method}"`)
        });
    });

    it.each([smallPreference, smallAdvantage])(
        "of $method must be two at least, before any is answered",
        async (options) => {
            const runDirectory = newRun();
            const twice = [{prompt: "Hello?"}, {prompt: "Hello?"}];
            await expect(trainAgent({...options, prompts: twice, model, runDirectory})).rejects.toMatchObject({
                code: "PAIRS_TOO_FEW",
                message: expect.stringMatching(/^Too little to learn from 2 prompts: some must be held out/)
            });
            expect(existsSync(runDirectory)).toBe(false);
            const one = trainAgent({...options, samplePrompts: 1, model, runDirectory});
            await expect(one).rejects.toMatchObject({code: "PAIRS_TOO_FEW"});
        }
    );

    it("must hold enough pairs", async () => {
        const pairs = [{prompt: "Hello?", chosen: "Hello.", rejected: "What?"}];
        const {prompts: _, reward: __, ...options} = smallPreference;
        const run = trainAgent({...options, pairs, model, runDirectory: newRun()});
        await expect(run).rejects.toMatchObject({code: "PAIRS_TOO_FEW"});
    });
});
