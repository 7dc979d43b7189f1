/** Runs of one tiny model with and without a token predictor, for the tests of predictors. */
import type {LlamaContextSequence, LlamaModel, SequenceEvaluateOptions, Token, TokenPredictor} from "node-llama-cpp";
import {afterAll, beforeAll, expect, onTestFinished} from "vitest";
import {type AlignedContextOptions, createAlignedContext, type MaraAgent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {loadTinyModel, small} from "../support/models.js";
import {Oracle} from "../support/predictors.js";
import {expectCacheInStep, rejections} from "./harness.js";

export const length = 40;
/** With flash attention, without which llama.cpp sums differently for batches. */
export const lanes = {...small, mode: "lanes", lanes: 3, candidates: {topK: 6}} as const;

/** The model of a file's tests, and an agent that rejects some of its candidates. They are there while tests run. */
export const tiny = {} as {model: LlamaModel; agent: MaraAgent};
beforeAll(async () => {
    tiny.model = await loadTinyModel({seed: 31, sharpness: 4, dtype: "Q8_0"});
    tiny.agent = randomAgent(tiny.model.embeddingVectorSize, 42, {bias: 1});
});
afterAll(() => tiny.model?.dispose());

/** An aligned context that ends with the test. */
export async function align(options: AlignedContextOptions, of = tiny.model) {
    const made = await createAlignedContext(of, options);
    onTestFinished(() => made.context.dispose());
    return made;
}

export async function plain() {
    const context = await tiny.model.createContext(small);
    onTestFinished(() => context.dispose());
    return context;
}

export const prompt = () => tiny.model.tokenize("once there was a hen and once there was");

/** Options of an evaluation whose emitted tokens are in `emitted`, which grows. */
export type Evaluation = (emitted: readonly Token[]) => SequenceEvaluateOptions;

export interface Run {
    text: Token[];
    /** The accept probabilities of first candidates. */
    verdicts: (number | null | undefined)[];
    decodes: number;
    rejections: number;
    predictions: LlamaContextSequence["tokenPredictions"];
}

export async function run(
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
        if (text.length === length || tiny.model.isEogToken(token)) break;
    }
    expectCacheInStep(sequence, aligner);
    const {tokenPredictions: predictions} = sequence;
    const stats = aligner.stats();
    await context.dispose();
    return {text, verdicts, decodes: stats.decodes, rejections: rejections(stats), predictions};
}

export const oracle = (text: readonly number[], wrongEvery?: number) =>
    new Oracle(text, {prompt: prompt().length, ...(wrongEvery && {wrongEvery})});

/** Runs without a predictor, with one that is right and with one that is often wrong. All must give the same. */
export async function expectSame(
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
