import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it, vi} from "vitest";
import type {DecisionEvent, MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {align, modes, numberOf, plain, refusal, rejections} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel();
    agent = randomAgent(model.embeddingVectorSize, 5);
});
afterAll(() => model?.dispose());

const prompt = () => model.tokenize("once there was a hen and");
const greedy = async (count: number) => await generate((await plain(model)).getSequence(), prompt(), count);
const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

describe.each(modes)("aligner (%s)", (mode) => {
    it("says its mode", async () => {
        const {aligner} = await align(model, {agent, mode});
        expect(aligner.mode).toBe(mode);
        expect(() => Object.assign(aligner, {mode: "other"})).not.toThrow();
    });

    it("can be turned off and on between tokens", async () => {
        const {context, aligner} = await align(model, {agent, mode, enabled: false});
        const sequence = context.getSequence();
        expect(aligner.enabled).toBe(false);
        expect(await generate(sequence, prompt(), 24)).toEqual(await greedy(24));
        expect(aligner.stats()).toMatchObject({generatedTokens: 0, decisions: 0, waves: 0, candidateCounts: []});

        await sequence.clearHistory();
        const emitted: Token[] = [];
        for await (const token of sequence.evaluate(prompt(), {yieldEogToken: true})) {
            emitted.push(token);
            aligner.enabled = emitted.length >= 6 && emitted.length < 12;
            if (emitted.length === 18) break;
        }
        expect(aligner.stats().generatedTokens).toBe(6);
        expect(emitted.slice(0, 6)).toEqual((await greedy(6)).slice(0, 6));

        // In one go the same tokens come out: six plain tokens are the prompt of six aligned ones.
        const {context: other} = await align(model, {agent, mode});
        const rest = await generate(other.getSequence(), [...prompt(), ...emitted.slice(0, 6)], 6);
        expect(emitted.slice(6, 6 + rest.length)).toEqual(rest);
    });

    it("can be configured per sequence; the new holder of a number starts afresh", async () => {
        const {context, aligner} = await align(model, {
            agent: rejectAll(model.embeddingVectorSize),
            mode,
            sequences: 2
        });
        const [one, two] = [context.getSequence(), context.getSequence()];
        aligner.configure({fallbackIndex: 1, candidates: {topK: 3}}, one);
        aligner.configure({candidates: {topP: 1}}, one);
        const ranks: Record<number, Set<number>> = {0: new Set(), 1: new Set()};
        const counts: Record<number, Set<number>> = {0: new Set(), 1: new Set()};
        aligner.onDecision(({sequence, chosenRank, candidates}) => {
            const number = numberOf(sequence);
            ranks[number]?.add(chosenRank);
            counts[number]?.add(candidates.length);
        });
        await Promise.all([generate(one, prompt(), 8), generate(two, prompt(), 8)]);
        expect(ranks).toEqual({0: new Set([1]), 1: new Set([0])});
        // Later settings are laid over earlier ones.
        expect(counts[0]).toEqual(new Set([3]));
        expect(aligner.stats(one).generatedTokens).toBe(8);

        // A sequence's own settings win over the context's, also over later ones.
        aligner.configure({fallbackIndex: 2, candidates: {topK: 4, topP: 1}});
        await Promise.all([one.clearHistory(), two.clearHistory()]);
        for (const set of [...Object.values(ranks), ...Object.values(counts)]) set.clear();
        await Promise.all([generate(one, prompt(), 4), generate(two, prompt(), 4)]);
        expect(ranks).toEqual({0: new Set([1]), 1: new Set([2])});
        expect(counts).toEqual({0: new Set([3]), 1: new Set([4])});

        await one.dispose();
        const next = context.getSequence();
        expect(aligner.stats(next).generatedTokens).toBe(0);
        ranks[0]?.clear();
        await generate(next, prompt(), 4);
        expect(ranks[0]).toEqual(new Set([2]));
    });

    it("takes another agent at any time", async () => {
        const {context, aligner} = await align(model, {
            agent: rejectAll(model.embeddingVectorSize),
            mode,
            fallbackIndex: 1
        });
        const sequence = context.getSequence();
        const strict = await generate(sequence, prompt(), 8);
        aligner.configure({agent: acceptAll(model.embeddingVectorSize)});
        await sequence.clearHistory();
        const lenient = await generate(sequence, prompt(), 8);
        expect(lenient).toEqual(await greedy(8));
        expect(strict).not.toEqual(lenient);
        expect(await refusal(() => aligner.configure({agent: acceptAll(model.embeddingVectorSize + 1)}))).toEqual({
            code: "AGENT_WIDTH",
            message:
                "The agent reads states of width 65, but the model's embedding size is 64. " +
                "Use an agent that was trained for a model of this width."
        });
    });

    it("has a dial from accepting everything to rejecting everything", async () => {
        const {context, aligner} = await align(model, {agent, mode, threshold: 0});
        const sequence = context.getSequence();
        const run = async (threshold: number) => {
            aligner.configure({threshold});
            aligner.resetStats();
            await sequence.clearHistory();
            await generate(sequence, prompt(), 20);
            return aligner.stats();
        };
        const [open, half, shut] = [await run(0), await run(0.5), await run(1)];
        expect(open.acceptedRanks).toEqual([open.decisions]);
        expect(open.fallbacks).toBe(0);
        expect(rejections(half)).toBeGreaterThan(2);
        expect(shut.fallbacks).toBe(shut.decisions);
        expect(shut.acceptedRanks).toEqual([]);
    });

    it("counts what it does", async () => {
        const {context, aligner} = await align(model, {agent, mode, sequences: 2});
        const [one, two] = [context.getSequence(), context.getSequence()];
        const events: DecisionEvent[] = [];
        aligner.onDecision((event) => events.push(event));
        const tokens = [await generate(one, prompt(), 20), await generate(two, model.tokenize("but the"), 10)];
        const stats = aligner.stats();
        expect(stats.generatedTokens).toBe(tokens.flat().length);
        expect(stats.decisions).toBe(events.length);
        expect(stats.fallbacks).toBe(events.filter(({fallback}) => fallback).length);
        expect(sum(stats.candidateCounts)).toBe(stats.generatedTokens);
        expect(stats.candidateCounts[1] ?? 0).toBe(stats.generatedTokens - stats.decisions);
        expect(sum(stats.acceptedRanks) + stats.fallbacks).toBe(stats.decisions);
        expect(stats.waves).toBe(sum(events.map(({waves}) => waves)));
        const evaluated = events
            .flatMap(({candidates}) => candidates)
            .filter(({acceptProbability}) => acceptProbability !== null);
        expect(stats.evaluatedCandidates).toBe(evaluated.length);
        expect(stats.decodes).toBeGreaterThanOrEqual(stats.waves);
        for (const time of Object.values(stats.time)) expect(time).toBeGreaterThan(0);

        for (const [i, sequence] of [one, two].entries()) {
            const own = aligner.stats(sequence);
            expect(own.generatedTokens).toBe(tokens[i]?.length);
            expect(own.decisions).toBe(events.filter((event) => event.sequence === sequence).length);
        }
        stats.acceptedRanks.push(99);
        expect(aligner.stats().acceptedRanks).not.toContain(99);
        aligner.resetStats();
        expect(aligner.stats()).toMatchObject({generatedTokens: 0, decodes: 0, acceptedRanks: [], time: {decode: 0}});
        expect(aligner.stats(one).generatedTokens).toBe(0);
        await generate(one, model.tokenize("so"), 3);
        expect(aligner.stats(one)).toMatchObject({generatedTokens: 3});
        expect(aligner.stats(two)).toMatchObject({generatedTokens: 0});
    });

    it("reports each decision", async () => {
        const {context, aligner} = await align(model, {agent, mode, candidates: {topK: 8}});
        const sequence = context.getSequence();
        const events: DecisionEvent[] = [];
        const end = aligner.onDecision((event) => events.push(event));
        const tokens = await generate(sequence, prompt(), 20);
        expect(events.length).toBeGreaterThan(10);
        for (const {sequence: of, position, candidates, chosenRank, fallback, waves} of events) {
            expect(of).toBe(sequence);
            expect(candidates[chosenRank]?.token).toBe(tokens[position - prompt().length]);
            expect(candidates.length).toBeGreaterThan(1);
            expect(candidates.length).toBeLessThanOrEqual(8);
            expect(sum(candidates.map(({probability}) => probability))).toBeCloseTo(1, 10);
            const probabilities = candidates.map(({probability}) => probability);
            expect(probabilities).toEqual([...probabilities].sort((a, b) => b - a));
            const verdicts = candidates.map(({acceptProbability}) => acceptProbability);
            if (fallback) expect(verdicts.every((verdict) => (verdict as number) <= 0.5)).toBe(true);
            else {
                expect(verdicts[chosenRank]).toBeGreaterThan(0.5);
                for (const verdict of verdicts.slice(0, chosenRank)) expect(verdict).toBeLessThanOrEqual(0.5);
            }
            expect(waves).toBeGreaterThan(0);
            if (mode === "serial") expect(waves).toBe(verdicts.filter((verdict) => verdict !== null).length);
        }
        const heard = events.length;
        end();
        end();
        await generate(sequence, model.tokenize("so"), 5);
        expect(events.length).toBe(heard);
    });

    it("tells a listener of one sequence of that sequence's decisions alone", async () => {
        const {context, aligner} = await align(model, {agent, mode, sequences: 2});
        const [one, two] = [context.getSequence(), context.getSequence()];
        const events: DecisionEvent[] = [];
        const listener = (event: DecisionEvent) => events.push(event);
        aligner.onDecision(listener, one);
        const end = aligner.onDecision(listener, two);
        end();
        await Promise.all([generate(one, prompt(), 12), generate(two, prompt(), 12)]);
        expect(events.length).toBe(aligner.stats(one).decisions);
        expect(new Set(events.map(({sequence}) => sequence))).toEqual(new Set([one]));
        const {context: other} = await align(model, {agent, mode});
        expect(() => aligner.onDecision(listener, other.getSequence())).toThrow(
            expect.objectContaining({code: "INVALID_ARGUMENT"})
        );
    });

    it("survives listeners that throw or reject, and one that changes the settings", async () => {
        const {context, aligner} = await align(model, {agent: rejectAll(model.embeddingVectorSize), mode});
        const warned = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
        let heard = 0;
        aligner.onDecision(() => {
            throw new Error("listener");
        });
        aligner.onDecision(async () => {
            throw null;
        });
        aligner.onDecision(() => {
            heard++;
            aligner.enabled = heard < 5;
        });
        const tokens = await generate(context.getSequence(), prompt(), 16);
        expect(tokens).toEqual(await greedy(16));
        expect(heard).toBe(5);
        expect(warned.mock.calls).toEqual([
            ["A decision listener failed, and may go on failing: listener", "MaraWarning"],
            ["A decision listener failed, and may go on failing: null", "MaraWarning"]
        ]);
        warned.mockRestore();
    });

    it("leaves a plain context when it is disposed", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        const ownAgent = randomAgent(model.embeddingVectorSize, 6);
        aligner.configure({agent: ownAgent});
        const sequence = context.getSequence();
        const events: DecisionEvent[] = [];
        aligner.onDecision((event) => events.push(event));
        const emitted: Token[] = [];
        for await (const token of sequence.evaluate(prompt(), {yieldEogToken: true})) {
            emitted.push(token);
            if (emitted.length === 6) {
                aligner.dispose();
                ownAgent.dispose();
            }
            if (emitted.length === 16) break;
        }
        expect(aligner.disposed).toBe(true);
        expect(aligner.enabled).toBe(false);
        expect(events.every(({position}) => position < prompt().length + 6)).toBe(true);
        const reference = (await plain(model)).getSequence();
        expect(emitted.slice(6)).toEqual(await generate(reference, [...prompt(), ...emitted.slice(0, 6)], 10));
        const wanted = {code: "ALIGNER_DISPOSED", message: "The aligner is disposed. Create a new aligned context."};
        expect(await refusal(() => aligner.configure({threshold: 0.2}))).toEqual(wanted);
        expect(
            await refusal(() => {
                aligner.enabled = true;
            })
        ).toEqual(wanted);
        aligner.dispose();
        expect(aligner.stats().generatedTokens).toBe(6);
        expect(context.disposed).toBe(false);
    });

    it("ends with its context", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        await context.dispose();
        expect(aligner.disposed).toBe(true);
    });
});
