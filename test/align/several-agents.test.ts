/** Several agents judge a wave in one kernel call (native path; a public way to name several is not built yet). */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {createContext} from "../../lib/align/aligned-context.js";
import {nativeJudge} from "../../lib/align/steer/native-judge.js";
import {combinations, type NativeJudge} from "../../lib/native.js";
import {randomAgent} from "../support/agents.js";
import {loadTinyModel, small} from "../support/models.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel();
});
afterAll(() => model?.dispose());

const logit = (p: number) => Math.log(p / (1 - p));
const probability = (x: number) => 1 / (1 + Math.exp(-x));

it("combines their probabilities as it says, each seen from its own threshold", async () => {
    const {context, backend} = await createContext(model, {...small, sequences: 1}, "lanes", {
        lanes: 5,
        defaultLanes: 5
    });
    const agents = [randomAgent(64, 1), randomAgent(64, 2), randomAgent(64, 3)];
    const [weights, thresholds] = [Float32Array.of(1, 2, 0.5), Float32Array.of(0.5, 0.25, 0.75)];
    const judge = (combination: NativeJudge["combination"]): NativeJudge => ({
        agents: agents.map((agent) => agent._native),
        weights,
        thresholds,
        combination
    });
    const wave = async (own: NativeJudge) => {
        const tokens = [300, 301, 302, 303, 304].map((token, i) => ({
            sequence: 0,
            position: 0,
            token,
            judge: own,
            ...(i > 0 && {lane: i - 1})
        }));
        const {probabilities} = await backend.wave(tokens, 1);
        const states = backend.states(tokens.length);
        backend.release();
        backend.remove(0, 0);
        return {probabilities, states};
    };
    const {states} = await wave(judge(combinations.minimum));
    const own = agents.map((agent) => Array.from(agent.score(states)));
    for (const agent of agents)
        expect((await wave(nativeJudge(agent._native))).probabilities).toEqual(agent.score(states));
    const relative = (state: number) =>
        own.map((scores, a) => logit(scores[state] as number) - logit(thresholds[a] as number));
    const expected = {
        minimum: (xs: number[]) => probability(Math.min(...xs)),
        product: (xs: number[]) => xs.map(probability).reduce((product, p) => product * p),
        meanLogit: (xs: number[]) => {
            const sum = xs.reduce((all, x, a) => all + x * (weights[a] as number), 0);
            return probability(sum / weights.reduce((all, weight) => all + weight));
        }
    };
    for (const [name, combination] of Object.entries(combinations) as [keyof typeof combinations, 0 | 1 | 2][]) {
        const {probabilities} = await wave(judge(combination));
        for (const [state, value] of probabilities.entries())
            expect(value, name).toBeCloseTo(expected[name](relative(state)), 5);
    }
    backend.close();
    await context.dispose();
});
