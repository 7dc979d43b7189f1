/** Token predictors on aligned sequences: the text is that of the same sequence without one, token for token, by fewer decodes. */
import {type LlamaModel, type Token, TokenBias, type TokenPredictor} from "node-llama-cpp";
import {beforeAll, describe, expect, it} from "vitest";
import {type JudgeBatch, MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent, randomTensors} from "../support/agents.js";
import {generate, loadTinyModel, precise, testLlama} from "../support/models.js";
import {randomStudent} from "../support/students.js";
import {align, type Evaluation, expectSame, lanes, length, oracle, plain, prompt, run, tiny} from "./predicting.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(() => {
    ({model, agent} = tiny);
});

describe("The text is that without a predictor, verdict by verdict,", () => {
    it.each([[[1]], [[4]], ["auto"]] as const)("with waves of %o, where candidates are rejected", async (waves) => {
        const {without, right} = await expectSame({agent, waves: waves as "auto"});
        expect(without.rejections).toBeGreaterThan(8);
        if (waves === "auto") return;
        expect(right.decodes).toBeLessThan(without.decodes * 0.7);
        expect(right.predictions.validated).toBeGreaterThan(length / 3);
        expect(right.predictions.used).toBe(right.predictions.validated);
        expect(right.predictions.refuted).toBeGreaterThan(0);
    });

    it("with an agent that accepts everything, which is a plain context's text", async () => {
        const everything = acceptAll(model.embeddingVectorSize);
        const {without, right} = await expectSame({agent: everything, waves: [1]});
        const greedy = await generate((await plain()).getSequence(), prompt(), length);
        expect(right.text).toEqual(greedy.slice(0, right.text.length));
        // Nine at a time: one candidate or certain token, and the eight that are expected.
        expect(right.decodes).toBeLessThan(without.decodes / 4);
    });

    it.each(["weighted", "all", "any"] as const)("with two agents of which %s decide", async (combine) => {
        const second = randomAgent(model.embeddingVectorSize, 43, {bias: 1});
        const agents = [{agent}, {agent: second, weight: 2, threshold: 0.4}];
        const {without, right} = await expectSame({agents, combine, waves: [1]});
        expect(without.rejections).toBeGreaterThan(2);
        expect(right.decodes).toBeLessThan(without.decodes);
        expect(right.predictions.validated).toBeGreaterThan(0);
    });

    it("with penalties, a bias, a grammar and a guide", async () => {
        const grammar = await (await testLlama()).createGrammar({grammar: 'root ::= ([a-m] [n-z] " "?)+'});
        const {LlamaGrammarEvaluationState} = await import("node-llama-cpp");
        const evaluations: Evaluation[] = [
            (emitted) => ({repeatPenalty: {penalty: 1.3, presencePenalty: 1, punishTokens: () => emitted.slice(-6)}}),
            () => ({dryRepeatPenalty: {strength: 4, allowedLength: 1, lastTokens: 32}}),
            () => ({tokenBias: TokenBias.for(model).set(model.tokenize("e")[0] as Token, {logit: 6})}),
            () => ({grammarEvaluationState: new LlamaGrammarEvaluationState({model, grammar})})
        ];
        for (const evaluation of evaluations) {
            const {without, right} = await expectSame({agent, waves: [1]}, evaluation);
            expect(right.decodes).toBeLessThan(without.decodes);
        }
        const told: unknown[] = [];
        const guide = {
            guide: (logits: Float32Array, {previous}: {previous: Token}) => {
                logits[previous] = Number.NEGATIVE_INFINITY;
            },
            emitted: (token: Token) => void told.push(token)
        };
        const {without} = await expectSame({agent, waves: [1], guides: [guide]});
        expect(told).toEqual([...without.text, ...without.text, ...without.text]);
    });

    it("with strategies and orders that need other candidates first, for which nothing is predicted", async () => {
        for (const options of [{strategy: "random"}, {strategy: "max-prob"}, {order: "reverse"}] as const) {
            const without = await run({agent, waves: [2], ...options});
            const predictor = oracle(without.text);
            const {text, decodes} = await run({agent, waves: [2], ...options}, {predictor});
            expect(text).toEqual(without.text);
            if (!("strategy" in options)) continue;
            expect(decodes).toBe(without.decodes);
            expect(predictor.asked).toBe(0);
        }
    });

    it("with a judge of one's own, which is asked the same questions", async () => {
        const heard: string[][] = [];
        const judgeInto = (asked: string[]) => ({
            judge({states, width, candidates, position}: JudgeBatch) {
                return candidates.map((token, i) => {
                    const state = states.subarray(i * width, (i + 1) * width);
                    asked.push(`${position} ${token} ${state.join()}`);
                    return state.reduce((sum, value) => sum + value, 0.5) > 0 ? 1 : 0;
                });
            }
        });
        const asking = async (predictor?: TokenPredictor) => {
            heard.push([]);
            const judge = judgeInto(heard.at(-1) as string[]);
            return await run({judge, waves: [1]}, {...(predictor && {predictor})});
        };
        const without = await asking();
        expect(without.rejections).toBeGreaterThan(8);
        const right = await asking(oracle(without.text));
        const wrong = await asking(oracle(without.text, 3));
        expect([right.text, wrong.text]).toEqual([without.text, without.text]);
        expect(right.decodes).toBeLessThan(without.decodes);
        expect([heard[1], heard[2]]).toEqual([heard[0], heard[0]]);
    });

    it("with a student that gives verdicts in the agent's place", async () => {
        const taught = MaraAgent.fromTensors(randomTensors(model.embeddingVectorSize, 7, {bias: 1}), {threads: 1});
        taught.student = randomStudent(model, 9, {bias: 1});
        const {without, right} = await expectSame({agent: taught, waves: [1], cascade: {agreement: 0.6}});
        expect(right.decodes).toBeLessThan(without.decodes);
        taught.dispose();
    });

    it("in serial mode, for which nothing is predicted", async () => {
        const without = await run({agent, mode: "serial"});
        const predictor = oracle(without.text);
        expect(await run({agent, mode: "serial"}, {predictor})).toEqual(without);
        expect(predictor.asked).toBe(0);
    });

    it("while the aligner is off", async () => {
        const {without, right} = await expectSame({agent, enabled: false, waves: [1]});
        expect(right.decodes).toBeLessThan(without.decodes / 3);
    });
});

it("Weights of other types give the same text, and those of four bits the same verdicts", async () => {
    for (const dtype of ["Q4_0", "Q4_1", "F32"] as const) {
        const other = await loadTinyModel({seed: 31, sharpness: 4, dtype});
        const verdictsOf = async (predictor?: TokenPredictor) => {
            const {context, aligner} = await align(
                {...lanes, ...(dtype === "F32" && precise), agent, waves: [1]},
                other
            );
            const verdicts: number[] = [];
            aligner.onDecision(({candidates}) => verdicts.push(candidates[0]?.acceptProbability as number));
            const sequence = context.getSequence({...(predictor && {tokenPredictor: predictor})});
            return {text: await generate(sequence, prompt(), length), verdicts};
        };
        const without = await verdictsOf();
        const right = await verdictsOf(oracle(without.text));
        expect(right.text, dtype).toEqual(without.text);
        // In F32 throughout, where llama.cpp sums in another order for batches, with differences of about 1e-6.
        const within = dtype === "F32" ? 1e-4 : 0;
        for (const [i, verdict] of right.verdicts.entries())
            expect(Math.abs(verdict - (without.verdicts[i] as number)), dtype).toBeLessThanOrEqual(within);
        await other.dispose();
    }
});
