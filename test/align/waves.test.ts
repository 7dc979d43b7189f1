import type {LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {Backend} from "../../lib/align/backend/backend.js";
import {Decision} from "../../lib/align/decide/decision.js";
import type {Counters} from "../../lib/align/decide/stats.js";
import type {Threads} from "../../lib/align/node-llama-cpp/threads.js";
import {resolveSettings} from "../../lib/align/options.js";
import type {Runs} from "../../lib/align/predict/runs.js";
import {AcceptanceRates} from "../../lib/align/wave/acceptance-rates.js";
import {DecodeCosts} from "../../lib/align/wave/decode-costs.js";
import {FixedWaves, LearnedWaves} from "../../lib/align/wave/scheduler.js";
import {Waves} from "../../lib/align/wave/waves.js";
import {createAlignedContext, type MaraAgent} from "../../lib/index.js";
import type {NativeAgent, NativeJudge} from "../../lib/native.js";
import {acceptAll, randomAgent, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel, precise, small} from "../support/models.js";

const width = 64;

describe("waves", () => {
    let model: LlamaModel;
    let agent: MaraAgent;
    beforeAll(async () => {
        model = await loadTinyModel();
        agent = randomAgent(width, 3, {bias: -1});
    });
    afterAll(() => model.dispose());

    it.each(["first", "random", "max-prob"] as const)("change time, never tokens (strategy %s)", async (strategy) => {
        const outcomes = [];
        for (const waves of ["auto", [1], [2, 1], [3, 1, 7], [40]] as const) {
            const {context, aligner} = await createAlignedContext(model, {agent, ...small, strategy, waves, seed: 5});
            outcomes.push({
                tokens: await generate(context.getSequence(), model.tokenize("how they vary"), 24),
                ...aligner.stats()
            });
            await context.dispose();
        }
        const [first, ...others] = outcomes.map(({tokens, decisions, fallbacks}) => ({tokens, decisions, fallbacks}));
        for (const other of others) expect(other).toEqual(first);
        expect(outcomes.some(({evaluatedCandidates, decisions}) => evaluatedCandidates > 1.5 * decisions)).toBe(true);
    });

    it("of fixed sizes cost the decodes that they say", async () => {
        const never = rejectAll(width);
        const candidates = {topK: 12, topP: 1};
        const {context, aligner} = await createAlignedContext(model, {
            agent: never,
            ...small,
            candidates,
            waves: [1, 4]
        });
        await generate(context.getSequence(), model.tokenize("how they vary"), 10);
        // 12 candidates in waves of 1, 4, 4 and 3; the fallback rides along in the last.
        expect(aligner.stats()).toMatchObject({
            decisions: 10,
            fallbacks: 10,
            waves: 40,
            decodes: 40,
            evaluatedCandidates: 120
        });
        await context.dispose();
    });

    it("refuse sizes that are none", async () => {
        for (const [waves, expected] of [
            [[], 'Expected "auto" or a non-empty array of integers for waves but received Array'],
            [[1, 0], "Expected an integer from 1 to 256 for waves[1] but received 0"],
            ["fast", 'Expected "auto" or a non-empty array of integers for waves but received "fast"']
        ] as const)
            await expect(createAlignedContext(model, {agent, ...small, waves: waves as never})).rejects.toThrow(
                expect.objectContaining({code: "INVALID_ARGUMENT", message: expect.stringContaining(expected)})
            );
    });
});

it("A wave keeps to its size, however many tokens need no decision", async () => {
    const sizes: number[] = [];
    const backend = {
        judgesBatches: true,
        lanes: 3,
        waveSize: 8,
        wave: async ({length}: {length: number}) => {
            sizes.push(length);
            const probabilities = new Float32Array(length).fill(1);
            return {fits: true, agents: 1, logits: probabilities, probabilities, decodeMs: 1, kernelMs: 0};
        },
        hold: () => ({}),
        release: () => {}
    } as unknown as Backend;
    const settings = resolveSettings({agent: acceptAll(width)});
    const waves = new Waves({
        backend,
        scheduler: new FixedWaves([4]),
        counters: {countWave: () => {}} as unknown as Counters,
        threads: {run: (decode: (threads: number) => unknown) => decode(1)} as Threads,
        runs: {next: () => undefined} as unknown as Runs,
        beside: {begin: () => undefined}
    });
    const judge: NativeJudge = [{} as NativeAgent];
    const candidates = [1, 2, 3].map((token) => ({token, probability: 1 / 3}));
    const undecided = [20, 21].map((sequence) => ({
        sequence,
        position: 5,
        decision: new Decision(candidates, settings),
        judge,
        panel: settings.panel,
        candidates,
        opinions: candidates.map(() => [null]),
        compares: false,
        text: () => ({prompt: [], answer: []}),
        holder: undefined,
        predictions: undefined
    }));
    const certain = Array.from({length: 20}, (_, sequence) => ({sequence, position: 5, token: 1}));
    const {ahead} = await waves.settle(undecided, certain);
    expect(sizes).toEqual([8, 3]);
    // What is left out is decoded in its turn, as node-llama-cpp asks for it.
    expect(ahead.map(({sequence}) => sequence)).toEqual([0, 1, 2, 3, 4, 5, 6, 20, 21]);
});

describe("the learned waves", () => {
    const agents = {accepting: acceptAll(width), rejecting: rejectAll(width)};
    const decide = (count: number) =>
        new Decision(
            Array.from({length: count}, (_, token) => ({token, probability: 1 / count})),
            resolveSettings({agent: agents.accepting})
        );
    const limits = {taken: 0, places: 64, lanes: 40};
    const learn = (cost: (size: number) => number, acceptedAt: number) => {
        const waves = new LearnedWaves();
        for (const size of [1, 2, 4, 8, 16, 40]) waves.observeWave(size, cost(size));
        for (let i = 0; i < 200; i++) {
            const decision = decide(20);
            decision.enter([...Array(acceptedAt).fill(0), 1]);
            waves.observeDecision(decision);
        }
        return waves;
    };

    it("try one candidate at a time while the first is accepted and decodes cost by size", () => {
        expect(learn((size) => size, 0).plan([decide(20)], limits)).toEqual([1]);
    });

    it("try all at once where a batch costs no more than a token and the top candidate is mostly rejected", () => {
        expect(learn(() => 5, 19).plan([decide(20)], limits)).toEqual([20]);
    });

    it("reach as far as acceptance is expected", () => {
        expect(learn((size) => 10 + size, 3).plan([decide(20)], limits)).toEqual([4]);
    });

    it("keep to the lanes and places at hand", () => {
        expect(learn(() => 5, 19).plan([decide(20)], {...limits, lanes: 6})).toEqual([7]);
        expect(learn(() => 5, 19).plan([decide(20)], {...limits, places: 3})).toEqual([3]);
    });

    it("plan the batch of several decisions as a whole", () => {
        const several = [decide(20), decide(2), decide(20)];
        expect(learn((size) => size, 0).plan(several, limits)).toEqual([1, 1, 1]);
        expect(learn((size) => 50 + size, 3).plan(several, limits)).toEqual([4, 2, 4]);
        const cramped = learn(() => 5, 19).plan(several, {...limits, lanes: 5});
        expect(cramped.reduce((sum, count) => sum + count - 1, 0)).toBeLessThanOrEqual(5);
    });
});

describe("decode costs", () => {
    it("are the median of what was measured, and on the line between sizes", () => {
        const costs = new DecodeCosts();
        for (const time of [10, 11, 90, 9, 10]) costs.observe(1, time);
        costs.observe(5, 30);
        expect([1, 2, 3, 5, 7].map((size) => costs.of(size))).toEqual([10, 15, 20, 30, 40]);
    });

    it("are hoped to grow slowly beyond what was measured, until it is", () => {
        const costs = new DecodeCosts();
        costs.observe(1, 10);
        costs.observe(3, 28);
        expect([1, 2, 3, 9].map((size) => costs.hopeful(size))).toEqual([10, 19, 28, 37]);
        costs.observe(9, 60);
        expect(costs.hopeful(9)).toBe(60);
        expect(costs.hopeful(6)).toBe(44);
    });

    it("are forgotten where larger batches seemed dear long ago", () => {
        const costs = new DecodeCosts();
        costs.observe(1, 10);
        costs.observe(2, 12);
        costs.observe(4, 90);
        for (let i = 0; i < 500; i++) costs.observe(2, 12);
        expect(costs.of(4)).toBe(90);
        costs.observe(2, 12);
        expect(costs.of(4)).toBe(16);
        expect(costs.of(1)).toBe(10);
    });

    it("never fall with size", () => {
        const costs = new DecodeCosts();
        costs.observe(1, 10);
        costs.observe(4, 8);
        expect(costs.of(1)).toBe(8);
        expect(costs.of(4)).toBe(8);
    });
});

describe("acceptance rates", () => {
    it("follow what is seen, place by place", () => {
        const rates = new AcceptanceRates();
        expect([rates.at(0), rates.at(1)]).toEqual([0.9, 0.5]);
        for (let i = 0; i < 1000; i++) rates.observe(3, true);
        expect(rates.at(0)).toBeCloseTo(0.035, 2);
        expect(rates.at(1)).toBeCloseTo(0.02, 2);
        expect(rates.at(2)).toBeCloseTo(0.98, 2);
    });
});

describe("a batch with hardly any room", () => {
    it("is never overfilled: several sequences give the tokens that each gives alone", async () => {
        const model = await loadTinyModel();
        const agent = randomAgent(width, 3, {bias: -1});
        const prompts = ["how they vary", "a rather longer prompt that takes several batches to read", "why"];
        const options = {agent, ...precise, sequences: 3, batchSize: 6, lanes: 2} as const;
        const run = async (chosen: readonly string[]) => {
            const {context, aligner} = await createAlignedContext(model, options);
            const sequences = chosen.map(() => context.getSequence());
            const texts = chosen.map((prompt, i) =>
                generate(sequences[i] as LlamaContextSequence, model.tokenize(prompt), 30)
            );
            const tokens = await Promise.all(texts);
            expect(aligner.mode).toBe("lanes");
            await context.dispose();
            return tokens;
        };
        const together = await run(prompts);
        for (const [i, prompt] of prompts.entries()) expect([together[i]]).toEqual(await run([prompt]));
        await model.dispose();
    });
});
