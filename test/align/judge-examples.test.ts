/** The judges of examples/, against what they say they do. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {encodeAgent, onnxRuntime} from "../../bench/kernel/onnx.js";
import {type DecisionEvent, type JudgeBatch, MaraAgent} from "../../lib/index.js";
import {randomTensors} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {align} from "./harness.js";

let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 3});
});
afterAll(() => model.dispose());

const example = async (name: string) => await import(new URL(`../../examples/${name}.js`, import.meta.url).href);

it("No answer holds a forbidden word, and nothing is decoded for that", async () => {
    const {withoutWords} = await example("word-rule-judge");
    const candidates = {topK: 40, topP: 1};
    const prompt = model.tokenize("once there was");
    const {context: free} = await align(model, {judge: {judge: ({candidates}) => candidates.map(() => 1)}, candidates});
    const words =
        model.detokenize((await generate(free.getSequence(), prompt, 40)) as never).match(/[a-z]{3,}/gi) ?? [];
    expect(words.length).toBeGreaterThan(1);
    const {context, aligner} = await align(model, {judge: withoutWords(words), candidates});
    const text = model.detokenize((await generate(context.getSequence(), prompt, 40)) as never);
    for (const word of words) expect(text).not.toMatch(new RegExp(`\\b${word}`, "i"));
    expect(aligner.stats()).toMatchObject({waves: 0, decodes: 39, fallbacks: 0});
});

it("The classifier's verdicts are its pipeline's", async () => {
    const {classifierJudge} = await example("classifier-judge");
    const {normal} = seededRandom(5);
    const width = model.embeddingVectorSize;
    const numbers = (scale: number, mean = 0) => Array.from({length: width}, () => mean + scale * normal());
    const classifier = {mean: numbers(0.3), scale: numbers(0.05, 1), coef: numbers(0.5), intercept: 0.2};
    const judge = classifierJudge(classifier);
    const events: DecisionEvent[] = [];
    const expected: number[] = [];
    const {context, aligner} = await align(model, {
        judge(batch: JudgeBatch) {
            for (let i = 0; i < batch.candidates.length; i++) {
                const scaled = Array.from(
                    batch.states.slice(i * width, (i + 1) * width),
                    (x, j) => (x - (classifier.mean[j] as number)) / (classifier.scale[j] as number)
                );
                const logit = scaled.reduce((sum, x, j) => sum + x * (classifier.coef[j] as number), 0.2);
                expected.push(1 / (1 + Math.exp(-logit)));
            }
            return judge(batch);
        },
        waves: [1],
        candidates: {topK: 5, topP: 1}
    });
    aligner.onDecision((event) => events.push(event));
    await generate(context.getSequence(), model.tokenize("once there was"), 8);
    const given = events.flatMap(({candidates}) => candidates.flatMap(({acceptProbability: p}) => p ?? []));
    expect(given).toHaveLength(expected.length);
    for (const [i, value] of given.entries()) expect(value).toBeCloseTo(expected[i] as number, 5);
    expect(judge).toThrow();
    expect(() => judge({states: new Float32Array(3), width: 3, candidates: [1]})).toThrow(
        /reads 64 numbers, a state has 3/
    );
});

const onnx = onnxRuntime();

it.skipIf(onnx === undefined)("An agent's network as an ONNX model judges as the agent does", async () => {
    const {onnxJudge} = await example("onnx-judge");
    const {InferenceSession, Tensor} = onnx as NonNullable<typeof onnx>;
    const tensors = randomTensors(model.embeddingVectorSize, 7, {bias: 0.5});
    const session = await InferenceSession.create(encodeAgent(tensors), {intraOpNumThreads: 1});
    const agent = MaraAgent.fromTensors(tensors, {dtype: "f32", threads: 1});
    const settings = {waves: [2], candidates: {topK: 5, topP: 1}};
    const [decided, expected] = await Promise.all(
        [{judge: onnxJudge(session, Tensor)}, {agent}].map(async (by) => {
            const {context, aligner} = await align(model, {...settings, ...by});
            const events: DecisionEvent[] = [];
            aligner.onDecision((event) => events.push(event));
            await generate(context.getSequence(), model.tokenize("once there was"), 8);
            return events.map(({chosenRank, candidates}) => ({
                chosenRank,
                verdicts: candidates.map(({acceptProbability}) => acceptProbability)
            }));
        })
    );
    expect(decided).toHaveLength(8);
    for (const [i, {chosenRank, verdicts}] of (expected as NonNullable<typeof expected>).entries()) {
        expect(decided?.[i]?.chosenRank).toBe(chosenRank);
        for (const [rank, verdict] of verdicts.entries()) {
            if (verdict === null) expect(decided?.[i]?.verdicts[rank]).toBeNull();
            else expect(decided?.[i]?.verdicts[rank]).toBeCloseTo(verdict, 4);
        }
    }
    agent.dispose();
});
