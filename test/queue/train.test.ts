import {copyFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {beforeAll, expect, it} from "vitest";
import {demoAgentPath} from "../../lib/demo/files.js";
import {evaluate, MaraAgent, type TrainProgress, trainAgent} from "../../lib/index.js";
import type {QueueWorker} from "../../lib/queue/worker.js";
import {agentFor} from "../align/harness.js";
import {temporaryFolder} from "../cli/helpers.js";
import {failure} from "../support/failure.js";
import {writeRandomNetwork} from "../support/students.js";
import {writeTinyModel} from "../support/tiny-model.js";
import {
    linesOf,
    loadDemoModel,
    outcomeOf,
    prompts,
    runFolder,
    smallAdvantage,
    smallPreference,
    smallSac
} from "../train/helpers.js";
import {describeWithRedis, queueOfTests, until} from "./helpers.js";

const doneBy = (workers: readonly QueueWorker[]) => workers.map(({description}) => description.done);

describeWithRedis("Three workers", () => {
    const newRun = runFolder();
    const {redis, worker, models} = queueOfTests();
    let model: LlamaModel;
    let queue: string;
    const workers: QueueWorker[] = [];
    /** Scores words; cannot score what the fourth prompt is answered with. */
    const rewardFile = join(models, "reward.mjs");
    /** Another model, of another vocabulary. */
    const tuned = join(models, "tuned.gguf");
    /** A value network for the model. */
    let network: string;
    beforeAll(async () => {
        writeFileSync(
            rewardFile,
            `export default (prompt, response) => {
                if (prompt.includes("table for four")) throw new Error("no tables");
                return response.split(" ").length / 8;
            };`
        );
        copyFileSync(writeTinyModel({seed: 72}), tuned);
        model = await loadDemoModel();
        network = (await writeRandomNetwork(models, model, 4)).file;
        for (let i = 0; i < 3; i++) workers.push(await worker({allowModules: true}));
        queue = (await redis()).url;
    }, 120_000);

    it("train an agent with sac to the same bits", {timeout: 120_000}, async () => {
        const logs = ["metrics", "samples", "responses"];
        const ahead = {batchesAhead: 2, checkEvery: 8, prompts: [...prompts, ...prompts], learningRate: 0.03};
        const options = {...smallSac, ...ahead, model};
        const local = newRun();
        await trainAgent({...options, runDirectory: local});
        const remote = newRun();
        const seen: TrainProgress[] = [];
        const onProgress = (progress: TrainProgress) => void seen.push(progress);
        const {summary} = await trainAgent({...options, runDirectory: remote, queue, onProgress});
        expect(summary.facts).toContainEqual(["batches ahead", expect.stringMatching(/^2: /)]);
        expect(outcomeOf(remote, logs)).toEqual(outcomeOf(local, logs));
        expect(linesOf(remote, "metrics")[0]).toMatchObject({ahead: 2});
        // Two jobs for each batch of four, of three sequences, and two for the model's own responses.
        expect(doneBy(workers).reduce((sum, done) => sum + done)).toBeGreaterThanOrEqual(14);
        expect(seen.at(-1)?.tokens).toBeGreaterThan(0);
    });

    it("train with preference and advantage to the same bits", {timeout: 120_000}, async () => {
        for (const options of [
            {...smallPreference, model},
            {...smallAdvantage, model}
        ] as const) {
            const local = newRun();
            await trainAgent({...options, runDirectory: local});
            const remote = newRun();
            await trainAgent({...options, runDirectory: remote, queue});
            expect(outcomeOf(remote, ["metrics", "responses"])).toEqual(outcomeOf(local, ["metrics", "responses"]));
        }
    });

    it("score by a module that they have, and count and name what it cannot score", {timeout: 120_000}, async () => {
        const options = {
            ...smallSac,
            model,
            reward: `module:${rewardFile}`,
            baseline: "none",
            checkPrompts: 0
        } as const;
        const local = newRun();
        await trainAgent({...options, runDirectory: local});
        const remote = newRun();
        await trainAgent({...options, runDirectory: remote, queue: {url: queue, rewards: true}});
        expect(outcomeOf(remote, ["metrics", "samples"])).toEqual(outcomeOf(local, ["metrics", "samples"]));
        const failed = linesOf(remote, "samples").filter(({reward}) => reward === null);
        expect(failed).toHaveLength(4);
        for (const {prompt, failure: reason} of failed) {
            expect(prompt).toBe(3);
            expect(reason).toContain("no tables");
        }
        expect(linesOf(remote, "metrics").at(-1)).toMatchObject({dropped: 4});
    });

    it("answer and score for an evaluation with the same bits", {timeout: 120_000}, async () => {
        const options = {
            model,
            agent: demoAgentPath,
            prompts,
            rewards: ["length:40 characters"],
            against: ["raw", "bon:2"],
            thresholds: [0.3],
            ...{maxTokens: 24, threads: 1, sequences: 1}
        };
        const bare = ({result: {timing: _, ...result}, sides}: Awaited<ReturnType<typeof evaluate>>) => ({
            result,
            sides: sides.map(({answers, scores, fluency, decodes}) => ({answers, scores, fluency, decodes}))
        });
        const local = bare(await evaluate(options));
        expect(bare(await evaluate({...options, queue}))).toEqual(local);
        expect(bare(await evaluate({...options, queue: {url: queue, rewards: true}}))).toEqual(local);
    });

    it("answer for several agents together and by guides, with the same bits", {timeout: 120_000}, async () => {
        const tensors = (await agentFor(model, 5)).tensors();
        // The demo's agent is so sure that one of ordinary spread would not move the mean.
        for (const name of ["output_linear.weight", "output_linear.bias"] as const)
            tensors[name].data.set(tensors[name].data.map((value) => 4 * value));
        const other = join(models, "other.safetensors");
        await MaraAgent.fromTensors(tensors).save(other);
        const against = [
            `grid:3:${demoAgentPath},${other}`,
            `agents:all,${demoAgentPath},${other}`,
            `guide:value:tuned=${tuned},weight=2,minMapped=0`,
            `guide:value:network=${network},weight=3`,
            "guide:guidance:scale=1.5,negativePrompt=Good morning."
        ];
        const options = {
            ...{model, agent: demoAgentPath, prompts, rewards: ["length:40 characters"], against},
            ...{maxTokens: 16, threads: 1, sequences: 1, fluency: false}
        };
        const answersOf = ({sides}: Awaited<ReturnType<typeof evaluate>>) =>
            Object.fromEntries(sides.map(({name, answers, counts}) => [name, {answers, counts}]));
        const local = answersOf(await evaluate({...options, against: ["raw", ...against]}));
        const texts = Object.values(local).map(({answers}) => answers.map(({text}) => text).join("|"));
        // The sides of the grid's ends are one agent's each; all others differ.
        expect(new Set(texts).size).toBe(texts.length - 1);
        const done = doneBy(workers).reduce((sum, jobs) => sum + jobs);
        const {raw: _, ...expected} = local;
        expect(answersOf(await evaluate({...options, queue}))).toEqual(expected);
        expect(doneBy(workers).reduce((sum, jobs) => sum + jobs) - done).toBe(8);
    });

    it("get no job for a guide whose file none of them has", {timeout: 120_000}, async () => {
        const {file} = await writeRandomNetwork(temporaryFolder(), model, 5);
        const aborting = new AbortController();
        const listen = ({message}: Error) => {
            if (message.startsWith("No worker has model.gguf and the files of its guide (SHA-256 "))
                aborting.abort(new Error("told what is missing"));
        };
        process.on("warning", listen);
        const options = {
            ...{model, agent: demoAgentPath, prompts: prompts.slice(0, 1), rewards: ["length:40 characters"]},
            ...{against: [`guide:value:network=${file}`], maxTokens: 4, threads: 1, sequences: 1, fluency: false}
        };
        await expect(evaluate({...options, queue, signal: aborting.signal})).rejects.toThrow("told what is missing");
        process.off("warning", listen);
    });

    it("send states in half precision, which changes little", {timeout: 120_000}, async () => {
        const options = {...smallAdvantage, model} as const;
        const whole = await trainAgent({...options, runDirectory: newRun(), queue});
        const half = await trainAgent({...options, runDirectory: newRun(), queue: {url: queue, states: "f16"}});
        const losses = [whole, half].map(({metrics}) => (metrics[0] as unknown as {loss: number}).loss);
        expect(losses[1]).not.toBe(losses[0]);
        expect(Math.abs((losses[1] as number) / (losses[0] as number) - 1)).toBeLessThan(0.01);
    });

    it("refuse what cannot travel, and say when there is no bullmq's Redis", async () => {
        const reward = () => 1;
        const asked = () =>
            trainAgent({
                ...smallSac,
                model,
                reward,
                runDirectory: newRun(),
                queue: {url: queue, rewards: true}
            });
        expect(await failure(asked)).toMatchObject({code: "INVALID_ARGUMENT"});
        const nowhere = () =>
            trainAgent({...smallSac, model, runDirectory: newRun(), queue: "redis://:secret@127.0.0.1:1"});
        const error = await failure(nowhere);
        expect(error).toMatchObject({code: "QUEUE_CONNECTION"});
        expect(error.message).toContain("redis://127.0.0.1:1");
        expect(error.message).not.toContain("secret");
        const wrong = await failure(() =>
            trainAgent({...smallSac, model, runDirectory: newRun(), queue: "http://:secret@x"})
        );
        expect(wrong).toMatchObject({code: "INVALID_ARGUMENT"});
        expect(wrong.message).not.toContain("secret");
    });
});

describeWithRedis("A worker that does not fit", () => {
    const other = temporaryFolder();
    const newRun = runFolder();
    const {redis, worker} = queueOfTests();

    it("gets no job: of another version, or with another model of the same name", {timeout: 120_000}, async () => {
        const model = await loadDemoModel();
        copyFileSync(writeTinyModel(), join(other, "model.gguf"));
        const unfit = [await worker({version: "0.0.0 on node-llama-cpp 0.0.0"}), await worker({models: other})];
        const warnings: string[] = [];
        const listen = ({message}: Error) => warnings.push(message);
        process.on("warning", listen);
        const {url} = await redis();
        const runDirectory = newRun();
        const run = trainAgent({...smallSac, model, episodes: 4, runDirectory, queue: url});
        await until(() => warnings.some((message) => message.startsWith("No worker has model.gguf")));
        process.off("warning", listen);
        expect(warnings.join()).toContain("2 are there. 1 of them are of another version");
        const fit = await worker();
        expect(await run).toMatchObject({completed: true});
        expect(doneBy(unfit)).toEqual([0, 0]);
        expect(doneBy([fit])[0]).toBeGreaterThan(0);
        const local = newRun();
        await trainAgent({...smallSac, model, episodes: 4, runDirectory: local});
        expect(outcomeOf(runDirectory, ["metrics", "samples"])).toEqual(outcomeOf(local, ["metrics", "samples"]));
    });
});
