/** What a student learns from responses that the model drew by itself. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, test} from "vitest";
import {trainingPrompts} from "../../lib/demo/world.js";
import {trainAgent} from "../../lib/index.js";
import {Rollouts, type Trajectory} from "../../lib/train/rollout/rollouts.js";
import {addDrawn} from "../../lib/train/student/drawn.js";
import {LabelStore, logit} from "../../lib/train/student/labels.js";
import {randomAgent} from "../support/agents.js";
import {loadDemoModel, runFolder, smallAdvantage} from "./helpers.js";

const newRun = runFolder();
let model: LlamaModel;
beforeAll(async () => {
    model = await loadDemoModel();
});
afterAll(() => model.dispose());

test("the model's own responses tell what each token was drawn from", async () => {
    const rollouts = await Rollouts.open(model, {
        maxTokens: 24,
        threads: 1,
        candidates: {topK: 6, minP: 0, temperature: 1}
    });
    const prompts = trainingPrompts(6, 5).map(({text}) => ({prompt: text}));
    const drawn: Trajectory[] = [];
    await rollouts.run(undefined, prompts, [1, 2, 3, 4, 5, 6], (trajectory) => drawn.push(trajectory));
    await rollouts.close();
    for (const {tokens, draws} of drawn) {
        const {ranks, counts, logProbabilities} = draws as NonNullable<Trajectory["draws"]>;
        expect([ranks.length, counts.length]).toEqual([tokens.length, tokens.length]);
        let at = 0;
        for (const [i, count] of counts.entries()) {
            const logs = [...logProbabilities.subarray(at, at + count)];
            at += count;
            expect(logs).toEqual([...logs].sort((a, b) => b - a));
            expect(logs.reduce((sum, log) => sum + Math.exp(log), 0)).toBeCloseTo(1, 5);
            expect(ranks[i]).toBeLessThan(count);
        }
        expect(at).toBe(logProbabilities.length);
    }
    expect(drawn.some(({draws}) => draws?.ranks.some((rank) => rank > 0))).toBe(true);
});

test("labels are the agent's verdicts on drawn tokens that would be candidates", async () => {
    const agent = randomAgent(2, 3);
    const states = Float32Array.from({length: 14}, (_, i) => Math.sin(i));
    const logs = (...shares: number[]) => shares.map(Math.log);
    const part = {
        states,
        credits: new Float32Array(7),
        tokens: Int32Array.of(10, 11, 12, 13, 20, 21, 22),
        ranks: Int32Array.of(0, 1, 2, 0, 0, 0, 1),
        counts: Int32Array.of(1, 3, 3, 2, 1, 2, 2),
        logProbabilities: Float32Array.from([
            ...logs(1),
            ...logs(0.6, 0.3, 0.1),
            ...logs(0.6, 0.3, 0.1),
            ...logs(0.95, 0.05),
            ...logs(1),
            ...logs(0.5, 0.5),
            ...logs(0.5, 0.5)
        ]),
        lengths: Int32Array.of(4, 3),
        prompts: Int32Array.of(0, 1),
        rests: new Float32Array(2)
    };
    const labelsWith = async (heldOut: number, stride = 1) => {
        const store = new LabelStore(2);
        const parts = (async function* () {
            yield part;
        })();
        await addDrawn(store, {parts, agent, minP: 0.2, temperature: 1, stride}, (prompt) => prompt === heldOut);
        return store.join();
    };
    const verdicts = Array.from(agent.score(states), logit);
    // Token 12 is cut by min-p, and of token 13's candidates one is left.
    const first = await labelsWith(1);
    expect([...first.token]).toEqual([11]);
    expect([...first.states]).toEqual([states[0], states[1]]);
    expect(first.logProbability[0]).toBeCloseTo(Math.log(0.3 / 0.9), 6);
    expect(first.rank[0]).toBeCloseTo(Math.log(2), 6);
    expect(first.logit[0]).toBeCloseTo(verdicts[1] as number, 5);
    const second = await labelsWith(0);
    expect([...second.token]).toEqual([21, 22]);
    expect([...second.states]).toEqual([...states.subarray(8, 12)]);
    expect([...second.rank]).toEqual([0, Math.fround(Math.log(2))]);
    expect(second.logit[1]).toBeCloseTo(verdicts[6] as number, 5);
    expect([...(await labelsWith(-1, 2)).token]).toEqual([11]);
    agent.dispose();
});

test("an advantage run's student learns from its responses as well", async () => {
    let decisions = 0;
    const {agent} = await trainAgent({
        ...smallAdvantage,
        model,
        prompts: trainingPrompts(10, 3).map(({text}) => ({prompt: text})),
        reward: (_, response) => response.length / 50,
        candidates: {topK: 2},
        samplesPerPrompt: 8,
        sequences: 4,
        student: true,
        runDirectory: newRun(),
        onProgress: ({phase, done}) => {
            if (phase === "decisions") decisions = done;
        }
    });
    expect(decisions).toBeGreaterThan(100);
    // Decisions have two candidates each, and some of them are held out.
    expect(agent?.student?.labels).toBeGreaterThan(2 * decisions);
    agent?.dispose();
});
