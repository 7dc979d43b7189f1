/** A run with the paper's preset, small enough for a test, from its options to the agent that comes out. */
import {readFileSync} from "node:fs";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {answerAll, evaluate, promptTokens, trainAgent} from "../../lib/index.js";
import {courtesy, interruptAt, loadDemoModel, outcomeOf, prompts, runFolder, smallSac} from "./helpers.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await loadDemoModel();
});
afterAll(async () => model.dispose());
const newRun = runFolder();

const {baseline: _, ...sizes} = {...smallSac, baseline: undefined};
const small = {...sizes, episodes: 16, preset: "paper", learnAfter: 24, targetEvery: 3, student: false} as const;

it("A run of the paper's preset resumes bit for bit, and its agent says how it was asked", async () => {
    const whole = newRun();
    const {agent, metrics, config} = await trainAgent({...small, model, runDirectory: whole});
    expect(config).toMatchObject({preset: "paper", sharedCritics: true, targetEvery: 3, promptFormat: "template"});
    expect(metrics.at(-1)).toMatchObject({episodes: 16, baseline: 0, dropped: 0});
    expect(agent?.metadata["mara.promptFormat"]).toBe("template");

    const cut = newRun();
    const first = await trainAgent({
        ...small,
        model,
        runDirectory: cut,
        ...interruptAt(({phase, done}) => phase === "rollouts" && done >= 8)
    });
    expect(first.completed).toBe(false);
    first.agent?.dispose();
    const second = await trainAgent({model, runDirectory: cut, resume: true, reward: courtesy, prompts});
    expect(second.completed).toBe(true);
    expect(outcomeOf(cut, ["metrics", "samples"])).toEqual(outcomeOf(whole, ["metrics", "samples"]));
    second.agent?.dispose();

    // The evaluation follows the agent's file, unless it is told otherwise.
    const asked = prompts.slice(0, 2);
    const raw = async (options: object) => {
        const {result, sides} = await evaluate({
            model,
            agent: agent as NonNullable<typeof agent>,
            prompts: asked,
            rewards: [courtesy],
            maxTokens: 8,
            threads: 1,
            sequences: 1,
            fluency: false,
            fallbackIndex: 3,
            ...options
        });
        expect(result.config.aligned.fallbackIndex).toBe(3);
        return sides[1]?.answers.map(({text}) => text);
    };
    const context = await model.createContext({contextSize: 512, sequences: 1, threads: 1});
    const plain = async (format: "template" | "session") => {
        const answers = await answerAll(
            context,
            asked.map((prompt) => ({...prompt, format})),
            {maxTokens: 8, sequences: 1}
        );
        return answers.map(({text}) => text);
    };
    const expected = {template: await plain("template"), session: await plain("session")};
    expect(expected.template).not.toEqual(expected.session);
    expect(await raw({})).toEqual(expected.template);
    expect(await raw({promptFormat: "session"})).toEqual(expected.session);
    await context.dispose();
    agent?.dispose();
});

it("A prompt may name its format", () => {
    const [prompt] = prompts;
    const asked = {...prompt, prompt: "Where is the sauna?"};
    const tokens = promptTokens(model, {...asked, format: "template"});
    expect(tokens.length).toBeLessThan(promptTokens(model, asked).length);
    expect(readFileSync(new URL("../../docs/training.md", import.meta.url), "utf8")).toContain('format: "template"');
});
