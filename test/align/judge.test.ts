import type {LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {Judge, JudgeBatch, MaraAgent, MaraError} from "../../lib/index.js";
import {acceptAll} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {agentFor, align, expectCacheInStep, modes, refusal, rejections} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 3});
    agent = await agentFor(model, 8);
});
afterAll(() => model?.dispose());

const texts = ["once there was", "the hen and the", "in a"];
const length = 20;

describe.each(modes)("A judge of the caller's own (%s)", (mode) => {
    it("that asks an agent gives that agent's text, at once and later, for several sequences", async () => {
        const prompts = texts.map((text) => model.tokenize(text));
        const expected: number[][] = [];
        for (const prompt of prompts) {
            const {context, aligner} = await align(model, {agent, mode});
            expected.push(await generate(context.getSequence(), prompt, length));
            expect(rejections(aligner.stats())).toBeGreaterThan(0);
        }
        const later: Judge = {
            judge: async ({states}) => {
                await new Promise((resolve) => setTimeout(resolve, 1));
                return agent.score(states);
            }
        };
        for (const judge of [agent, {judge: ({states}: JudgeBatch) => agent.score(states)}, later]) {
            const {context} = await align(model, {judge, mode, sequences: prompts.length});
            const sequences = prompts.map(() => context.getSequence());
            const tokens = await Promise.all(
                prompts.map((prompt, i) => generate(sequences[i] as (typeof sequences)[number], prompt, length))
            );
            expect(tokens).toEqual(expected);
        }
    });

    it("is told what it judges", async () => {
        const seen: JudgeBatch[] = [];
        const judge: Judge = {
            judge(batch) {
                seen.push({...batch, states: batch.states.slice()});
                return batch.candidates.map(() => 0.2);
            }
        };
        const {context} = await align(model, {
            judge,
            mode,
            waves: [2],
            candidates: {topK: 4, topP: 1},
            fallbackIndex: 1
        });
        const sequence = context.getSequence();
        const prompt = model.tokenize("once there was");
        const tokens = await generate(sequence, prompt, 3);
        const size = mode === "lanes" ? 2 : 1;
        expect(seen).toHaveLength((4 / size) * 3);
        for (const [i, batch] of seen.entries()) {
            expect(batch.candidates).toHaveLength(size);
            expect(batch.width).toBe(model.embeddingVectorSize);
            expect(batch.states).toHaveLength(size * batch.width);
            expect(batch.position).toBe(prompt.length + Math.floor((i * size) / 4));
            expect(batch.sequence).toBe(sequence);
        }
        const candidates = seen.slice(0, 4 / size).flatMap((batch) => [...batch.candidates]);
        expect(tokens[0]).toBe(candidates[1]);
    });

    it.each([
        ["that throws", () => Promise.reject(new Error("no opinion")), "The judge threw: no opinion"],
        [
            "of too few words",
            () => [],
            "1 numbers in [0, 1] from the judge, one for each candidate, but received 0 values"
        ],
        ["that gives no numbers", () => "yes", "but received 0 values"],
        [
            "whose numbers were transferred",
            ({candidates}: JudgeBatch) => {
                const verdicts = Float32Array.from(candidates, () => 1);
                structuredClone(verdicts.buffer, {transfer: [verdicts.buffer]});
                return verdicts;
            },
            "but received 0 values"
        ],
        ["beyond its bounds", ({candidates}: JudgeBatch) => candidates.map(() => 1.5), "but received 1.5"],
        ["that gives NaN", ({candidates}: JudgeBatch) => candidates.map(() => Number.NaN), "but received NaN"],
        ["that fills nothing in", ({candidates}: JudgeBatch) => new Array(candidates.length), "but received undefined"]
    ])("%s ends the generation, and the context goes on", async (_, answer, message) => {
        const {context, aligner} = await align(model, {judge: {judge: answer as Judge["judge"]}, mode, waves: [1]});
        const sequence = context.getSequence();
        const prompt = model.tokenize("the hen and the");
        expect(await refusal(() => generate(sequence, prompt, length))).toEqual({
            code: "JUDGE_FAILED",
            message: expect.stringContaining(message)
        });
        aligner.configure({agent});
        await sequence.clearHistory();
        const {context: other} = await align(model, {agent, mode, waves: [1]});
        expect(await generate(sequence, prompt, length)).toEqual(await generate(other.getSequence(), prompt, length));
    });
});

const four = [...texts, "but"];

describe.each(modes)("One judge of four sequences (%s)", (mode) => {
    /** Lets all write side by side, and gives each one's tokens or its error's code. */
    const writeTogether = async (prompts: Token[][], sequences: LlamaContextSequence[]) =>
        await Promise.all(
            prompts.map(async (prompt, i) => {
                const tokens = generate(sequences[i] as LlamaContextSequence, prompt, length);
                return await tokens.catch(({code}: MaraError) => code);
            })
        );

    /** Four sequences, all of which an agent of their own judges; and what each writes alone. */
    const open = async (agents: readonly MaraAgent[]) => {
        const prompts = four.map((text) => model.tokenize(text));
        const {context, aligner} = await align(model, {agent, mode, sequences: 4, waves: [1]});
        const sequences = prompts.map(() => context.getSequence());
        const alone: unknown[] = [];
        for (const [i, sequence] of sequences.entries()) {
            aligner.configure({agent: agents[i] as MaraAgent}, sequence);
            alone.push(await generate(sequence, prompts[i] as Token[], length));
            await sequence.clearHistory();
        }
        return {prompts, aligner, sequences, alone};
    };

    it("that throws ends its own sequence's generation only", async () => {
        const {prompts, aligner, sequences, alone} = await open([agent, agent, agent, agent]);
        let asked = 0;
        const failing: Judge = {
            judge({states}) {
                if (++asked === 5) throw new Error("no opinion");
                return agent.score(states);
            }
        };
        aligner.configure({judge: failing}, sequences[2]);
        expect(await writeTogether(prompts, sequences)).toEqual(alone.with(2, "JUDGE_FAILED"));
        expect(asked).toBe(5);
        for (const sequence of sequences) expectCacheInStep(sequence, aligner);
        // The sequence goes on where it stood.
        const [sequence, prompt] = [sequences[2] as LlamaContextSequence, prompts[2] as Token[]];
        aligner.configure({agent}, sequence);
        await sequence.clearHistory();
        expect(await generate(sequence, prompt, length)).toEqual(alone[2]);
    });

    it("that is disposed between two waves, or two tokens, ends its own sequence's generation only", async () => {
        for (const when of ["waves", "tokens"]) {
            const own = await agentFor(model, 8);
            const {prompts, aligner, sequences, alone} = await open([agent, agent, agent, own]);
            let asked = 0;
            const disposing: Judge = {
                judge({states}) {
                    if (when === "waves" && ++asked === 5) own.dispose();
                    return agent.score(states);
                }
            };
            aligner.configure({judge: disposing}, sequences[0]);
            aligner.onDecision(() => {
                if (when === "tokens" && ++asked === 20) own.dispose();
            });
            expect(await writeTogether(prompts, sequences)).toEqual(alone.with(3, "AGENT_DISPOSED"));
            for (const sequence of sequences) expectCacheInStep(sequence, aligner);
        }
    });
});

it("A judge that is replaced in mid-decision settles that decision, and disturbs nobody", async () => {
    const {context, aligner} = await align(model, {agent, sequences: 2, waves: [1], candidates: {topK: 6, topP: 1}});
    const prompt = model.tokenize("the hen and the");
    const [one, other] = [context.getSequence(), context.getSequence()];
    const alone = await generate(one, prompt, length);
    await one.clearHistory();
    let asked = 0;
    const judge: Judge = {
        judge: ({candidates, sequence}) => {
            expect(sequence).toBe(other);
            if (++asked === 3) aligner.configure({agent}, other);
            return candidates.map(() => 0);
        }
    };
    aligner.configure({judge}, other);
    const [text] = await Promise.all([generate(one, prompt, length), generate(other, prompt, length)]);
    expect(text).toEqual(alone);
    expect(asked).toBe(6);
});

it("A judge and an agent that are named one after the other take each other's place", async () => {
    const judge: Judge = {judge: ({candidates}) => candidates.map(() => 0)};
    expect(await refusal(() => align(model, {}))).toEqual({
        code: "INVALID_ARGUMENT",
        message: "Expected a MaraAgent for agent but received undefined"
    });
    const {context, aligner} = await align(model, {agent: acceptAll(model.embeddingVectorSize), candidates: {topP: 1}});
    const sequence = context.getSequence();
    aligner.configure({judge});
    await generate(sequence, model.tokenize("the hen"), 5);
    expect(aligner.stats().fallbacks).toBe(5);
    aligner.configure({agent: acceptAll(model.embeddingVectorSize)});
    aligner.resetStats();
    await generate(sequence, model.tokenize(" and"), 5);
    expect(aligner.stats().fallbacks).toBe(0);
});
