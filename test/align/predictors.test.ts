/** Token predictors on aligned sequences: the text is that of the same sequence without one, token for token, by fewer decodes. */
import {
    DraftSequenceTokenPredictor,
    InputLookupTokenPredictor,
    type LlamaContextSequence,
    type LlamaModel,
    type SequenceEvaluateOptions,
    type Token,
    TokenBias,
    type TokenPredictor
} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it, onTestFinished} from "vitest";
import {
    type AlignedContextOptions,
    createAlignedContext,
    type DecisionEvent,
    type JudgeBatch,
    MaraAgent
} from "../../lib/index.js";
import {acceptAll, randomAgent, randomTensors} from "../support/agents.js";
import {generate, loadTinyModel, precise, small, testLlama} from "../support/models.js";
import {Oracle} from "../support/predictors.js";
import {randomStudent} from "../support/students.js";
import {loadZooModel} from "../zoo/model.js";
import {recurrentArchitectures} from "../zoo/recurrent.js";
import {expectCacheInStep, rejections} from "./harness.js";

const length = 40;
/** With flash attention, without which llama.cpp sums differently for batches. */
const lanes = {...small, mode: "lanes", lanes: 3, candidates: {topK: 6}} as const;

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel({seed: 31, sharpness: 4, dtype: "Q8_0"});
    agent = randomAgent(model.embeddingVectorSize, 42, {bias: 1});
});
afterAll(() => model?.dispose());

/** An aligned context that ends with the test. */
async function align(options: AlignedContextOptions, of = model) {
    const made = await createAlignedContext(of, options);
    onTestFinished(() => made.context.dispose());
    return made;
}

async function plain() {
    const context = await model.createContext(small);
    onTestFinished(() => context.dispose());
    return context;
}

const prompt = () => model.tokenize("once there was a hen and once there was");

/** Options of an evaluation whose emitted tokens are in `emitted`, which grows. */
type Evaluation = (emitted: readonly Token[]) => SequenceEvaluateOptions;

interface Run {
    text: Token[];
    /** The accept probabilities of first candidates. */
    verdicts: (number | null | undefined)[];
    decodes: number;
    rejections: number;
    predictions: LlamaContextSequence["tokenPredictions"];
}

async function run(
    options: AlignedContextOptions,
    {predictor, evaluation = () => ({})}: {predictor?: TokenPredictor; evaluation?: Evaluation} = {}
): Promise<Run> {
    const {context, aligner} = await align({...lanes, ...options});
    const verdicts: Run["verdicts"] = [];
    aligner.onDecision(({candidates}) => verdicts.push(candidates[0]?.acceptProbability));
    const sequence = context.getSequence({...(predictor && {tokenPredictor: predictor})});
    const text: Token[] = [];
    for await (const token of sequence.evaluate(prompt(), {...evaluation(text), yieldEogToken: true})) {
        text.push(token);
        if (text.length === length || model.isEogToken(token)) break;
    }
    expectCacheInStep(sequence, aligner);
    const {tokenPredictions: predictions} = sequence;
    const stats = aligner.stats();
    await context.dispose();
    return {text, verdicts, decodes: stats.decodes, rejections: rejections(stats), predictions};
}

const oracle = (text: readonly number[], wrongEvery?: number) =>
    new Oracle(text, {prompt: prompt().length, ...(wrongEvery && {wrongEvery})});

/** Runs without a predictor, with one that is right and with one that is often wrong. All must give the same. */
async function expectSame(
    options: AlignedContextOptions,
    evaluation?: Evaluation
): Promise<{without: Run; right: Run}> {
    const without = await run(options, {...(evaluation && {evaluation})});
    const runs: Run[] = [];
    for (const wrongEvery of [undefined, 3])
        runs.push(await run(options, {predictor: oracle(without.text, wrongEvery), ...(evaluation && {evaluation})}));
    for (const {text, verdicts} of runs) {
        expect(text).toEqual(without.text);
        expect(verdicts).toEqual(without.verdicts);
    }
    return {without, right: runs[0] as Run};
}

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

describe("node-llama-cpp's own predictors", () => {
    /** Prompts whose text the predictor at hand can foretell, or not. */
    const texts = ["the hen and the hen and the", "once there was a hen, and", "on the sea"];

    async function together(predictorFor: (sequence: number) => TokenPredictor | undefined, alone?: number) {
        const {context} = await align({...lanes, agent: acceptMost(), sequences: texts.length, waves: [2]});
        const sequences = texts.map((_, i) => {
            const tokenPredictor = predictorFor(i);
            return context.getSequence({...(tokenPredictor && {tokenPredictor})});
        });
        const answers = await Promise.all(
            sequences.map(async (sequence, i) => {
                if (alone !== undefined && alone !== i) return [];
                const tokens = model.tokenize(texts[i] as string);
                sequence.tokenPredictor?.updateInputTokens?.(tokens);
                return await generate(sequence, tokens, length);
            })
        );
        const validated = sequences.map(({tokenPredictions}) => tokenPredictions.validated);
        await context.dispose();
        return {answers, validated};
    }

    const acceptMost = () => randomAgent(model.embeddingVectorSize, 42, {bias: 4});

    it("look up the prompt and let a draft model write, for some of several sequences at once", async () => {
        const draft = (await plain()).getSequence();
        const predictors = [
            new InputLookupTokenPredictor(),
            new DraftSequenceTokenPredictor(draft, {minTokens: 4, minConfidence: 0}),
            undefined
        ];
        const without = await together(() => undefined);
        const {answers, validated} = await together((i) => predictors[i]);
        expect(answers).toEqual(without.answers);
        // The draft model is the model itself, so it is mostly right.
        expect(validated[1]).toBeGreaterThan(length / 4);
        expect(validated[2]).toBe(0);
        for (const i of texts.keys()) expect((await together(() => undefined, i)).answers[i]).toEqual(answers[i]);
    });

    it("is given the text anew when it changes, and none when another evaluation begins", async () => {
        const asking = async (predictor?: TokenPredictor) => {
            const {context, aligner} = await align({...lanes, agent: acceptMost(), waves: [1]});
            const sequence = context.getSequence({...(predictor && {tokenPredictor: predictor})});
            const first = await generate(sequence, prompt(), 20);
            expectCacheInStep(sequence, aligner);
            await sequence.eraseContextTokenRanges([{start: prompt().length + 4, end: prompt().length + 9}]);
            const second = await generate(sequence, [first.at(-1) as Token], 20);
            const state = await sequence.controlledEvaluate([
                [second.at(-1) as Token, {generateNext: {confidence: true}}]
            ]);
            const third = await generate(sequence, model.tokenize("the hen"), 20);
            expectCacheInStep(sequence, aligner);
            return [first, second, state, third];
        };
        const without = await asking();
        const [first = []] = without as number[][];
        expect(await asking(oracle(first as number[]))).toEqual(without);
        const lookup = new InputLookupTokenPredictor();
        lookup.updateInputTokens([...prompt(), ...(first as Token[])]);
        expect(await asking(lookup)).toEqual(without);
    });
});

it("A full context shifts as without a predictor", async () => {
    const shifting = async (predictor?: TokenPredictor) => {
        const {context} = await align({...lanes, agent, waves: [1], contextSize: 256});
        const sequence = context.getSequence({contextShift: {size: 40}, ...(predictor && {tokenPredictor: predictor})});
        const long = Array.from({length: 230}, (_, i) => prompt()[i % prompt().length] as Token);
        return await generate(sequence, long, 60);
    };
    const without = await shifting();
    expect(without.length).toBe(60);
    expect(await shifting(new Oracle(without, {prompt: 230}))).toEqual(without);
});

it("An agent that comes or goes in the middle of a run decides from the next token on", async () => {
    const other = randomAgent(model.embeddingVectorSize, 5);
    const changing = async (predictor?: TokenPredictor) => {
        const {context, aligner} = await align({...lanes, agent, waves: [1]});
        const changes = [{agent: other}, {enabled: false}, {enabled: true}, {agent}, {threshold: 0.9}];
        const text: number[] = [];
        const events: DecisionEvent["candidates"][] = [];
        aligner.onDecision(({candidates}) => events.push(candidates));
        const sequence = context.getSequence({...(predictor && {tokenPredictor: predictor})});
        for await (const token of sequence.evaluate(prompt(), {yieldEogToken: true})) {
            text.push(token);
            if (text.length === length) break;
            const change = changes[text.length / 5 - 1];
            if (change !== undefined) aligner.configure(change);
        }
        return {text, first: events.map(([candidate]) => candidate)};
    };
    const without = await changing();
    expect(await changing(oracle(without.text))).toEqual(without);
});

it("Recurrent models, whose states cannot be taken back by several tokens, go without predictions", async () => {
    const mamba = await loadZooModel(recurrentArchitectures.mamba2 as (typeof recurrentArchitectures)[string], "F32");
    const judge = randomAgent(mamba.embeddingVectorSize, 42);
    const asking = async (predictor?: TokenPredictor) => {
        const {context} = await align({...small, agent: judge}, mamba);
        const sequence = context.getSequence({...(predictor && {tokenPredictor: predictor})});
        return await generate(sequence, mamba.tokenize("once there was"), 20);
    };
    const without = await asking();
    const predictor = new Oracle(without, {prompt: mamba.tokenize("once there was").length});
    expect(await asking(predictor)).toEqual(without);
    expect(predictor.asked).toBe(0);
    await mamba.dispose();
});

it("A context can be disposed in the middle of a run", async () => {
    const text = (await run({agent, waves: [1]})).text;
    const {context} = await align({...lanes, agent, waves: [1]});
    const sequence = context.getSequence({tokenPredictor: oracle(text)});
    const evaluation = sequence.evaluate(prompt());
    for (let i = 0; i < 6; i++) await evaluation.next();
    const next = evaluation.next().catch(() => {});
    await context.dispose();
    await next;
    expect(sequence.disposed).toBe(true);
});
