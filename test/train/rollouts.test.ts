/** Rollouts on the demo's model, a real GGUF file. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it, onTestFinished} from "vitest";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {heldOutPrompts} from "../../lib/demo/world.js";
import {promptTokens} from "../../lib/generation/prompt-tokens.js";
import {type DecisionEvent, MaraAgent} from "../../lib/index.js";
import type {Prompt} from "../../lib/prompts/prompts.js";
import {type RolloutOptions, Rollouts, type Trajectory} from "../../lib/train/rollout/rollouts.js";
import {agentFor, align} from "../align/harness.js";
import {acceptAll, rejectAll} from "../support/agents.js";
import {failure} from "../support/failure.js";
import {generate, testLlama} from "../support/models.js";

let model: LlamaModel;
/** One agent that is sure, and one that is often in doubt. */
let agents: Record<"demo" | "doubtful", MaraAgent>;
beforeAll(async () => {
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
    agents = {
        demo: await MaraAgent.load(demoAgentPath, {dtype: "f32", threads: 1}),
        doubtful: await agentFor(model, 5)
    };
});
afterAll(async () => model.dispose());

const prompts = heldOutPrompts(10, 3).map(({text}): Prompt => ({prompt: text}));
/** The demo's model is sure of most tokens: with the usual 0.95 there would be little to decide. */
const candidates = {topK: 8, topP: 1};
/** The usual, with which the demo's texts come out whole. */
const usual = {candidates: {}, maxTokens: 60};
const seeds = prompts.map((_, i) => 100 + i);

async function open(options: RolloutOptions = {}): Promise<Rollouts> {
    const rollouts = await Rollouts.open(model, {threads: 1, contextSize: 256, maxTokens: 12, candidates, ...options});
    onTestFinished(() => rollouts.close());
    return rollouts;
}

async function collect(rollouts: Rollouts, agent: MaraAgent, some = prompts, seedsOf = seeds): Promise<Trajectory[]> {
    const trajectories: Trajectory[] = [];
    await rollouts.run(agent, some, seedsOf.slice(0, some.length), (trajectory, i) => {
        expect(trajectories[i]).toBeUndefined();
        trajectories[i] = trajectory;
    });
    expect(Object.keys(trajectories).length).toBe(some.length);
    return trajectories;
}

const texts = (trajectories: readonly Trajectory[]) => trajectories.map(({text}) => text);

describe("Rollouts", () => {
    it("give the same with any number of sequences, bit for bit", async () => {
        const expected = await collect(await open({sequences: 4}), agents.doubtful);
        for (const sequences of [1, 3, 10])
            expect(await collect(await open({sequences}), agents.doubtful), `${sequences}`).toEqual(expected);
        const decisions = expected.flatMap((trajectory) => trajectory.decisions);
        expect(decisions.length).toBeGreaterThan(90);
        expect(decisions.filter(({chosenRank}) => chosenRank > 0).length).toBeGreaterThan(20);
        expect(decisions.filter(({accepted}) => !accepted).length).toBeGreaterThan(2);
    });

    it("depend on the seed and on nothing that was generated before", async () => {
        const rollouts = await open({sequences: 3});
        const first = await collect(rollouts, agents.doubtful);
        await collect(rollouts, agents.demo, prompts.slice(0, 4));
        expect(await collect(rollouts, agents.doubtful)).toEqual(first);
        const backwards = await collect(rollouts, agents.doubtful, [...prompts].reverse(), [...seeds].reverse());
        expect(backwards.reverse()).toEqual(first);
        const others = await collect(
            rollouts,
            agents.doubtful,
            prompts,
            seeds.map((seed) => seed + 1)
        );
        expect(texts(others)).not.toEqual(texts(first));
    });

    it("hand out states that the agent gives their accept probabilities", async () => {
        const trajectories = await collect(await open(), agents.doubtful);
        for (const {decisions, states, width} of trajectories) {
            const scores = agents.doubtful.score(states);
            expect(width).toBe(model.embeddingVectorSize);
            let row = 0;
            for (const {tried, firstState, acceptProbabilities} of decisions) {
                expect(firstState).toBe(row);
                for (let rank = 0; rank < tried; rank++)
                    expect(acceptProbabilities[rank]).toBeCloseTo(scores[row++] as number, 6);
            }
            expect(row).toBe(scores.length);
        }
    });

    it("hold candidates and accept probabilities as an aligned context finds them for the same text", async () => {
        const trajectories = await collect(await open(), agents.doubtful, prompts.slice(0, 3));
        const {context, aligner} = await align(model, {
            agent: agents.doubtful,
            candidates,
            strategy: "max-prob",
            mode: "lanes",
            lanes: 7
        });
        const sequence = context.getSequence();
        let event: DecisionEvent | undefined;
        aligner.onDecision((decision) => {
            event = decision;
        });
        let compared = 0;
        for (const [i, {tokens, decisions}] of trajectories.entries()) {
            const decided = new Map(decisions.map((decision) => [decision.tokenIndex, decision]));
            const before = promptTokens(model, prompts[i] as Prompt);
            for (let at = 0; at < tokens.length; at++) {
                event = undefined;
                await sequence.clearHistory();
                await generate(sequence, [...before, ...tokens.slice(0, at)], 1);
                const seen = (event as DecisionEvent | undefined)?.candidates ?? [];
                const {candidates: tokensOf = [], logProbabilities, acceptProbabilities} = decided.get(at) ?? {};
                const verdicts = new Map(
                    tokensOf.map((token, rank) => [
                        token,
                        [Math.exp(logProbabilities?.[rank] as number), acceptProbabilities?.[rank] as number] as const
                    ])
                );
                expect(tokensOf.length).toBe(seen.length);
                for (const {token, probability, acceptProbability} of seen) {
                    // Rounding moves the improbable ones about.
                    if (probability < 1e-3) continue;
                    expect(verdicts.get(token)?.[0]).toBeCloseTo(probability, 2);
                    expect(verdicts.get(token)?.[1]).toBeCloseTo(acceptProbability as number, 1);
                    compared++;
                }
            }
        }
        expect(compared).toBeGreaterThan(60);
    });

    it("emit what was accepted first, and the fallback where nothing was", async () => {
        const {embeddingVectorSize: width} = model;
        const accepted = await collect(await open(), acceptAll(width), prompts.slice(0, 3));
        for (const {decisions} of accepted)
            for (const {chosenRank, tried, accepted} of decisions)
                expect([chosenRank, tried, accepted]).toEqual([0, 1, true]);
        const rejected = await collect(await open({fallbackIndex: 1}), rejectAll(width), prompts.slice(0, 3));
        for (const {decisions} of rejected)
            for (const {chosenRank, tried, accepted, candidates} of decisions)
                expect([chosenRank, tried, accepted]).toEqual([1, candidates.length, false]);
    });

    it("spell the text and where each token stands in it", async () => {
        const trajectories = await collect(await open(usual), agents.demo);
        expect(new Set(trajectories.map(({ended}) => ended))).toContain("eog");
        for (const {text, tokens, tokenSpans, ended} of trajectories) {
            const spoken = ended === "eog" ? tokens.slice(0, -1) : tokens;
            expect(model.isEogToken(tokens.at(-1))).toBe(ended === "eog");
            expect(text).toBe(model.detokenize(spoken));
            expect(tokenSpans.length).toBe(tokens.length);
            expect(tokenSpans.map(([start, end]) => text.slice(start, end)).join("")).toBe(text);
            expect(tokenSpans.every(([start], i) => start === (tokenSpans[i - 1]?.[1] ?? 0))).toBe(true);
        }
    });

    it("come out the same in serial mode", async () => {
        // In float32, where the order of sums hardly matters: alone and in a batch llama.cpp multiplies with different kernels.
        const precise = {flashAttention: false, cacheType: "F32", sequences: 2} as const;
        const few = prompts.slice(0, 5);
        const lanes = await open({...precise, mode: "lanes"});
        const serial = await open({...precise, mode: "serial"});
        expect([lanes.mode, serial.mode]).toEqual(["lanes", "serial"]);
        const expected = await collect(lanes, agents.doubtful, few);
        const found = await collect(serial, agents.doubtful, few);
        expect(texts(found)).toEqual(texts(expected));
        // Two candidates that are as good as tied may change places, and one at a bound of the truncation may be in one mode only.
        const statesOf = ({states, decisions, width}: Trajectory) =>
            decisions.map(
                ({candidates, tried, firstState: row}) =>
                    new Map(
                        candidates
                            .slice(0, tried)
                            .map((token, k) => [token, states.subarray(width * (row + k), width * (row + k + 1))])
                    )
            );
        for (const [i, trajectory] of found.entries()) {
            const others = statesOf(expected[i] as Trajectory);
            for (const [at, own] of statesOf(trajectory).entries()) {
                const other = others[at] as (typeof others)[number];
                const common = [...own.keys()].filter((token) => other.has(token));
                expect(Math.max(own.size, other.size)).toBeLessThanOrEqual(common.length + 1);
                for (const token of common) {
                    const state = other.get(token) as Float32Array;
                    const differences = Array.from(own.get(token) ?? [], (value, k) =>
                        Math.abs(value - (state[k] ?? 0))
                    );
                    expect(Math.max(...differences)).toBeLessThan(1e-2);
                }
            }
        }
    });
});

describe("A run of rollouts", () => {
    it("starts the next prompt when one is finished, and delivers each at once", async () => {
        const rollouts = await open({sequences: 2});
        const order: number[] = [];
        const some = [...prompts.slice(0, 5)];
        await rollouts.run(agents.demo, some, seeds.slice(0, 5), (_, i) => order.push(i));
        expect([...order].sort()).toEqual([0, 1, 2, 3, 4]);
        // With two at a time the fifth cannot be finished before three others are.
        expect(order.indexOf(4)).toBeGreaterThan(2);
        await rollouts.run(agents.demo, [], [], () => expect.unreachable());
    });

    it("has room for any number of responses: what is finished makes place", async () => {
        // Twice 10 prompts, of some 30 tokens that they do not share, and 8 of response take more than the 2 × 256 cells.
        const many = [...prompts, ...[...prompts].reverse()];
        const manySeeds = many.map((_, i) => i);
        const tight = await open({sequences: 2, contextSize: 256, maxTokens: 8});
        const wide = await open({sequences: 8, contextSize: 512, maxTokens: 8});
        expect(await collect(tight, agents.doubtful, many, manySeeds)).toEqual(
            await collect(wide, agents.doubtful, many, manySeeds)
        );
    });

    it("ends a response where the context is full", async () => {
        const [prompt] = prompts as [Prompt];
        const length = promptTokens(model, prompt).length;
        const whole = await collect(await open(), agents.doubtful, [prompt]);
        const cut = await collect(await open({contextSize: length + 5}), agents.doubtful, [prompt]);
        expect(whole[0]?.tokens.length).toBeGreaterThan(5);
        expect([cut[0]?.tokens, cut[0]?.ended]).toEqual([whole[0]?.tokens.slice(0, 5), "length"]);
        expect(
            await failure(async () => collect(await open({contextSize: length}), agents.doubtful, [prompt]))
        ).toEqual({
            code: "INVALID_ARGUMENT",
            message: `Expected more than the ${length} tokens of prompt 1 for contextSize but received ${length}`
        });
    });

    it.each(["lanes", "serial"] as const)("can be cut short, and leaves nothing behind (%s)", async (mode) => {
        const rollouts = await open({sequences: 3, mode, maxTokens: 6});
        const few = prompts.slice(0, 4);
        const expected = await collect(rollouts, agents.doubtful, few);
        const controller = new AbortController();
        const reason = new Error("enough");
        let delivered = 0;
        const cut = rollouts.run(
            agents.doubtful,
            prompts,
            seeds,
            () => {
                if (++delivered === 2) controller.abort(reason);
            },
            {signal: controller.signal}
        );
        await expect(cut).rejects.toBe(reason);
        expect(delivered).toBeLessThan(prompts.length);
        const thrown = new Error("no room for it");
        const failed = rollouts.run(agents.doubtful, prompts, seeds, () => {
            throw thrown;
        });
        await expect(failed).rejects.toBe(thrown);
        expect(await collect(rollouts, agents.doubtful, few)).toEqual(expected);
    });

    it("waits for the one before it", async () => {
        const rollouts = await open({sequences: 3});
        const [together, alone] = await Promise.all([
            collect(rollouts, agents.doubtful),
            collect(rollouts, agents.doubtful)
        ]);
        expect(together).toEqual(alone);
    });

    it("ends when its rollouts are closed", async () => {
        const rollouts = await open({sequences: 2});
        const run = failure(() => rollouts.run(agents.doubtful, prompts, seeds, () => void rollouts.close()));
        expect(await run).toEqual({
            code: "ALIGNER_DISPOSED",
            message: "These rollouts were closed, or the model was disposed. Open others."
        });
        await rollouts.close();
        expect((await failure(() => collect(rollouts, agents.demo))).code).toBe("ALIGNER_DISPOSED");
    });

    it("refuses what it cannot run", async () => {
        const rollouts = await open();
        const refusal = (agent: MaraAgent, some: Prompt[], seedsOf: number[]) =>
            failure(() => rollouts.run(agent, some, seedsOf, () => {}));
        expect((await refusal(acceptAll(64), prompts, seeds)).code).toBe("AGENT_WIDTH");
        expect(await refusal(agents.demo, prompts, [1])).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected 10, the number of prompts, for seeds.length but received 1"
        });
        expect(await refusal(agents.demo, prompts.slice(0, 1), [0.5])).toMatchObject({code: "INVALID_ARGUMENT"});
        const disposed = acceptAll(model.embeddingVectorSize);
        disposed.dispose();
        expect((await refusal(disposed, prompts, seeds)).code).toBe("AGENT_DISPOSED");
        expect(await failure(() => Rollouts.open(model, {candidates: {topK: 256}}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected at most 247 beside 8 sequences for candidates.topK but received 256"
        });
    });
});

describe("States of a given response", () => {
    it.each(["lanes", "serial"] as const)("are those that its tokens led to as candidates (%s)", async (mode) => {
        const rollouts = await open({...usual, mode});
        const trajectories = await collect(rollouts, agents.demo, prompts.slice(0, 4));
        const responses = trajectories.map(({prompt, text}) => ({prompt, response: text}));
        let compared = 0;
        await rollouts.eachResponseStates(responses, ({tokens, states}, i) => {
            const {decisions, width, states: tried, tokens: emitted, ended} = trajectories[i] as Trajectory;
            expect(states.length).toBe(tokens.length * width);
            expect(ended).toBe("eog");
            expect(tokens).toEqual(emitted);
            for (const {tokenIndex, firstState, chosenRank} of decisions) {
                const row = (firstState + chosenRank) * width;
                expect(states.slice(tokenIndex * width, (tokenIndex + 1) * width)).toEqual(
                    tried.slice(row, row + width)
                );
                compared++;
            }
        });
        expect(compared).toBeGreaterThan(8);
    });

    it("are the same for one as for many", async () => {
        const rollouts = await open({sequences: 3});
        const responses = prompts.flatMap((prompt, i) => [
            {prompt, response: "Of course. You can pay by card.".repeat((i % 4) + 1)},
            {prompt, response: ""}
        ]);
        const order: number[] = [];
        const all: {tokens: number[]; states: Float32Array}[] = [];
        await rollouts.eachResponseStates(responses, (states, i) => {
            order.push(i);
            all[i] = states;
        });
        expect(order).toEqual(responses.map((_, i) => i));
        for (const [i, {prompt, response}] of responses.entries())
            expect(await rollouts.responseStates(prompt, response)).toEqual(all[i]);
        expect(all[1]?.tokens).toEqual([model.tokens.eot ?? model.tokens.eos]);
    });

    it("need room for the whole response", async () => {
        const rollouts = await open({contextSize: 150});
        const error = await failure(() => rollouts.responseStates(prompts[0] as Prompt, "again ".repeat(80)));
        expect(error.code).toBe("INVALID_ARGUMENT");
        expect(error.message).toMatch(
            /^Expected at least the \d+ tokens of prompt 1 and the \d+ of its response for contextSize but received 150$/
        );
    });
});
