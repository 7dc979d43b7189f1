import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {expect, it, onTestFinished} from "vitest";
import {evaluate} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {failure} from "../support/failure.js";
import {loadTinyModel} from "../support/models.js";
import {randomStudent} from "../support/students.js";

it("measures the agent itself unless a cascade is asked for, and takes neither's saved answers for the other's", async () => {
    const model = await loadTinyModel({seed: 71, sharpness: 4});
    const agent = randomAgent(model.embeddingVectorSize, 5);
    agent.student = randomStudent(model, 9);
    const runDirectory = mkdtempSync(join(tmpdir(), "mara-cascade-"));
    onTestFinished(async () => {
        rmSync(runDirectory, {recursive: true});
        agent.dispose();
        await model.dispose();
    });
    const options = {
        ...{model, agent, threads: 1, maxTokens: 12, fluency: false},
        prompts: ["once there was", "the hen and"],
        rewards: [(_: string, answer: string) => answer.length],
        candidates: {topK: 6, topP: 1}
    };
    const exact = await evaluate({...options, runDirectory});
    expect(exact.result.aligned.decisions).toMatchObject({studentVerdicts: 0, studentDecisions: 0});
    const asked = {...options, cascade: {agreement: 0}};
    expect(await failure(() => evaluate({...asked, runDirectory}))).toMatchObject({
        code: "RUN_CHANGED",
        message: expect.stringContaining('were made with cascade nothing, not {"agreement":0}')
    });
    const {result} = await evaluate(asked);
    expect(result.config.aligned.cascade).toEqual({agreement: 0});
    const {decisions, studentDecisions} = result.aligned.decisions ?? {};
    expect(decisions).toBeGreaterThan(10);
    expect(studentDecisions).toBe(decisions);
});
