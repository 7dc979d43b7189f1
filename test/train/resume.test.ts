import {existsSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {beforeAll, describe, expect, it} from "vitest";
import {trainAgent} from "../../lib/index.js";
import {interruptAt, loadDemoModel, outcomeOf, runFolder, smallPreference, smallSac} from "./helpers.js";

const newRun = runFolder();
let model: LlamaModel;
beforeAll(async () => {
    model = await loadDemoModel();
});

describe("a run of sac that was interrupted", () => {
    const logs = ["metrics", "samples", "responses"];
    let whole: object;
    beforeAll(async () => {
        const runDirectory = newRun();
        await trainAgent({...smallSac, model, runDirectory});
        whole = outcomeOf(runDirectory, logs);
    });

    it.each([
        ["before the first rollout", [{phase: "responses", done: 0}]],
        ["after the first batch", [{phase: "rollouts", done: 4}]],
        [
            "again and again",
            [
                {phase: "rollouts", done: 0},
                {phase: "rollouts", done: 8},
                {phase: "rollouts", done: 12},
                {phase: "rollouts", done: 20}
            ]
        ]
    ])("%s goes on bit for bit", async (_, places) => {
        const runDirectory = newRun();
        let resume = false;
        for (const {phase, done} of places) {
            const interruption = interruptAt((progress) => progress.phase === phase && progress.done === done);
            const result = await trainAgent({...smallSac, ...interruption, model, runDirectory, resume});
            expect(result.completed).toBe(false);
            expect(existsSync(join(runDirectory, "agent.safetensors"))).toBe(false);
            resume = true;
        }
        const {completed} = await trainAgent({
            model,
            runDirectory,
            resume,
            reward: smallSac.reward,
            prompts: smallSac.prompts
        });
        expect(completed).toBe(true);
        expect(outcomeOf(runDirectory, logs)).toEqual(whole);
    });

    it("rolls out no response again that was complete, and asks for no reward again", async () => {
        // Batches of twelve, three responses at a time: the signal fires within the second batch, while the first is learnt from or before.
        const options = {...smallSac, episodesPerBatch: 12};
        let asked = 0;
        let abortAt = Number.POSITIVE_INFINITY;
        let controller = new AbortController();
        const reward = (prompt: string, response: string) => {
            if (++asked === abortAt) controller.abort();
            return smallSac.reward(prompt, response);
        };
        const once = newRun();
        await trainAgent({...options, reward, model, runDirectory: once});
        const all = asked;

        const runDirectory = newRun();
        asked = 0;
        const own = smallSac.prompts.length;
        for (const [i, episodes] of [5, 11, 16].entries()) {
            abortAt = own + episodes;
            controller = new AbortController();
            const {signal} = controller;
            const interrupted = await trainAgent({...options, reward, signal, model, runDirectory, resume: i > 0});
            expect(interrupted.completed).toBe(false);
            // Two others at most may have ended in the same step.
            expect(asked).toBeGreaterThanOrEqual(abortAt);
            expect(asked).toBeLessThanOrEqual(abortAt + 2);
        }
        await trainAgent({...options, reward, model, runDirectory, resume: true});
        expect(asked).toBe(all);
        expect(outcomeOf(runDirectory, logs)).toEqual(outcomeOf(once, logs));
    });

    it("differs with another seed, so that the comparison means something", async () => {
        const runDirectory = newRun();
        await trainAgent({...smallSac, seed: 8, model, runDirectory});
        expect(outcomeOf(runDirectory, ["samples"])).not.toEqual(
            expect.objectContaining({agent: (whole as {agent: string}).agent})
        );
    });

    it("can be lengthened", async () => {
        const runDirectory = newRun();
        await trainAgent({...smallSac, episodes: 12, model, runDirectory});
        await trainAgent({...smallSac, model, runDirectory, resume: true});
        expect(outcomeOf(runDirectory, logs)).toEqual(whole);
    });
});

describe("a run of preference that was interrupted", () => {
    const logs = ["metrics", "responses", "pairs"];

    it("goes on bit for bit", async () => {
        const once = newRun();
        await trainAgent({...smallPreference, model, runDirectory: once});
        const runDirectory = newRun();
        const places = [
            {phase: "responses", done: 8},
            {phase: "states", done: 0},
            {phase: "fit", done: 0},
            {phase: "fit", done: 2}
        ];
        for (const [i, {phase, done}] of places.entries()) {
            const interruption = interruptAt((progress) => progress.phase === phase && progress.done === done);
            const options = {...smallPreference, ...interruption, model, runDirectory, resume: i > 0};
            expect(await trainAgent(options)).toMatchObject({completed: false});
        }
        const {completed} = await trainAgent({...smallPreference, model, runDirectory, resume: true});
        expect(completed).toBe(true);
        expect(outcomeOf(runDirectory, logs)).toEqual(outcomeOf(once, logs));
    });
});
