/** What rollouts do otherwise with the options of the authors' script, on the demo's model. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it, onTestFinished} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import {heldOutPrompts} from "../../lib/demo/world.js";
import {promptTokens} from "../../lib/generation/prompt-tokens.js";
import type {MaraAgent} from "../../lib/index.js";
import type {Prompt} from "../../lib/prompts/prompts.js";
import {
    type RolloutOptions,
    Rollouts,
    type Trajectory,
    type TrajectoryDecision
} from "../../lib/train/rollout/rollouts.js";
import {agentFor} from "../align/harness.js";
import {acceptAll, rejectAll} from "../support/agents.js";
import {testLlama} from "../support/models.js";

let model: LlamaModel;
let doubtful: MaraAgent;
beforeAll(async () => {
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
    doubtful = await agentFor(model, 5);
});
afterAll(async () => model.dispose());

const prompts = heldOutPrompts(4, 3).map(({text}): Prompt => ({prompt: text}));
const temperature = 0.8;

async function roll(agent: MaraAgent, options: RolloutOptions, threshold?: number): Promise<Trajectory[]> {
    const candidates = {topK: 6, topP: 1, temperature};
    const rollouts = await Rollouts.open(model, {threads: 1, contextSize: 256, maxTokens: 8, candidates, ...options});
    onTestFinished(() => rollouts.close());
    const trajectories: Trajectory[] = [];
    const seeds = prompts.map((_, i) => 100 + i);
    await rollouts.run(
        agent,
        prompts,
        seeds,
        (trajectory, i) => {
            trajectories[i] = trajectory;
        },
        threshold === undefined ? {} : {threshold}
    );
    return trajectories;
}

/** Probabilities of the next token over the whole vocabulary, as node-llama-cpp tells them. */
async function nextProbabilities(tokens: readonly Token[]): Promise<ReadonlyMap<Token, number>> {
    const context = await model.createContext({contextSize: 256, threads: 1});
    try {
        const input = tokens.map((token, i) =>
            i + 1 < tokens.length ? token : ([token, {generateNext: {probabilities: true}}] as const)
        );
        const output = await context.getSequence().controlledEvaluate(input as Token[]);
        return output.at(-1)?.next.probabilities as Map<Token, number>;
    } finally {
        await context.dispose();
    }
}

it.each(["lanes", "serial"] as const)(
    "Decisions hold the model's own log-probabilities on request (%s)",
    async (mode) => {
        const trajectories = await roll(doubtful, {probabilitiesOver: "vocabulary", mode});
        for (const [i, {tokens, decisions}] of trajectories.slice(0, 2).entries()) {
            const {tokenIndex, candidates, vocabularyLogs} = decisions[3] as TrajectoryDecision;
            const before = promptTokens(model, prompts[i] as Prompt);
            const expected = await nextProbabilities([...before, ...tokens.slice(0, tokenIndex)]);
            for (const [rank, token] of candidates.entries())
                expect(vocabularyLogs?.[rank]).toBeCloseTo(Math.log(expected.get(token) as number) / temperature, 2);
        }
        const plain = await roll(doubtful, {mode});
        expect(plain.map(({tokens}) => tokens)).toEqual(trajectories.map(({tokens}) => tokens));
        expect(plain[0]?.decisions[0]?.vocabularyLogs).toBeUndefined();
    }
);

it("Candidates are tried in the order asked for, and an agent that accepts all takes the first of it", async () => {
    for (const [order, first] of [
        ["best-first", 0],
        ["top-last", 1],
        ["reverse", 5]
    ] as const) {
        const [plain] = await roll(acceptAll(model.embeddingVectorSize), {});
        const [trajectory] = await roll(acceptAll(model.embeddingVectorSize), {order});
        const [expected, found] = [plain?.decisions[0], trajectory?.decisions[0]];
        expect(trajectory?.tokens[0], order).toBe(expected?.candidates[first]);
        expect([found?.tried, found?.chosenRank, found?.accepted]).toEqual([1, 0, true]);
        // The states are those of the candidates in that order.
        expect(found?.candidates[0]).toBe(expected?.candidates[first]);
    }
});

it.each(["lanes", "serial"] as const)(
    "Where nothing is accepted the rank asked for is emitted, or the last accepted (%s)",
    async (mode) => {
        const ofFirst = async (options: RolloutOptions, threshold?: number) => {
            const [trajectory] = await roll(rejectAll(model.embeddingVectorSize), {...options, mode}, threshold);
            const first = trajectory?.decisions[0];
            const {candidates, chosenRank, tried, accepted} = first as TrajectoryDecision;
            expect(trajectory?.tokens[0]).toBe(candidates[chosenRank]);
            return [chosenRank, tried, accepted];
        };
        expect(await ofFirst({})).toEqual([0, 6, false]);
        expect(await ofFirst({fallbackIndex: 2})).toEqual([2, 6, false]);
        expect(await ofFirst({fallbackIndex: 99})).toEqual([5, 6, false]);
        expect(await ofFirst({lastAccepted: true})).toEqual([5, 6, true]);
        // With a threshold nothing is explored: as at inference.
        expect(await ofFirst({lastAccepted: true}, 0.5)).toEqual([0, 6, false]);
        expect(await ofFirst({order: "top-last"})).toEqual([5, 6, false]);
    }
);

it.each(["lanes", "serial"] as const)("At a threshold the strategy is followed (%s)", async (mode) => {
    const [best] = await roll(doubtful, {mode, strategy: "max-prob"}, 0);
    for (const {acceptProbabilities, chosenRank} of best?.decisions ?? [])
        expect(acceptProbabilities[chosenRank]).toBe(Math.max(...acceptProbabilities));
    expect(best?.decisions.some(({chosenRank}) => chosenRank > 0)).toBe(true);
});
