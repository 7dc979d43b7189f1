/**
 * Random cases: lanes and serial against a decoder that shares nothing with lib/align. Each case comes from its own seed,
 * printed on failure with everything that it stands for.
 */
import type {LlamaContext, LlamaContextOptions, LlamaModel, Token} from "node-llama-cpp";
import {describe, expect, it} from "vitest";
import {type Aligner, createAlignedContext, type DecisionEvent, MaraAgent} from "../../lib/index.js";
import {acceptAll, randomTensors} from "../support/agents.js";
import {generate, loadTinyModel, multipliesAlike, precise, small} from "../support/models.js";
import {type Random, seededRandom} from "../support/random.js";
import {ReferenceDecoder, type ReferenceRun, type ReferenceSettings} from "../support/reference-decoder.js";
import {bos, firstWord, type TinyModelOptions, vocabularySize} from "../support/tiny-model.js";

/** Single precision throughout; and half precision with a context's defaults, where the CPU's products allow it. */
const models: {model: TinyModelOptions & {seed: number}; context: LlamaContextOptions}[] = [
    {model: {seed: 11}, context: precise},
    {model: {seed: 12, kvHeads: 2, sharpness: 4}, context: precise},
    {model: {seed: 13, width: 32, layers: 3, sharpness: 5}, context: precise},
    {model: {seed: 14, width: 96, heads: 6, layers: 1, sharpness: 2.5}, context: precise},
    {model: {seed: 15, dtype: "F16"}, context: small},
    {model: {seed: 16, dtype: "F16", kvHeads: 2, sharpness: 4}, context: small}
];
const casesPerModel = 50;
const laneCounts = [1, 2, 5, 15];

interface Case {
    seed: number;
    prompt: number[];
    settings: ReferenceSettings;
    temperature: number;
    agent: {seed: number; bias: number};
    count: number;
}

const totals = {
    cases: 0,
    ties: 0,
    tokens: 0,
    decisions: 0,
    withRejections: 0,
    rejections: 0,
    fallbacks: 0,
    single: 0,
    blurred: 0
};

describe.each(models)("The reference decoder, model $model", ({model: options, context}) => {
    it(`emits the tokens of lanes and of serial, ${casesPerModel} cases`, {timeout: 300_000}, async ({skip}) => {
        const model = await loadTinyModel(options);
        if (context === small && !(await multipliesAlike(model))) {
            await model.dispose();
            skip("llama.cpp's half-precision products depend on the batch on this CPU");
        }
        const reference = await ReferenceDecoder.create(model, context, context === small);
        const subjects = await Promise.all(
            [undefined, ...laneCounts].map((lanes) => createSubject(model, context, lanes))
        );
        for (let i = 0; i < casesPerModel; i++) {
            const testCase = randomCase(options.seed * 1000 + i);
            const tensors = randomTensors(model.embeddingVectorSize, testCase.agent.seed, testCase.agent);
            const expected = await reference.run(testCase.prompt, tensors, testCase.settings, testCase.count);
            count(expected, testCase.settings.threshold);
            const agent = MaraAgent.fromTensors(tensors, {dtype: "f32", threads: 1});
            for (const subject of subjects) await compare(subject, testCase, agent, expected);
            agent.dispose();
        }
        await reference.dispose();
        await model.dispose();
    });
});

it("covers what it claims to: many cases, rejections in most steps, hardly any ties", () => {
    const {cases, ties, tokens, decisions, withRejections, rejections, fallbacks, single, blurred} = totals;
    expect(cases).toBeGreaterThanOrEqual(200);
    expect(ties / cases).toBeLessThan(0.02);
    expect(withRejections / decisions).toBeGreaterThan(0.5);
    expect(rejections / decisions).toBeGreaterThan(2);
    expect(blurred / tokens).toBeLessThan(0.02);
    expect(fallbacks / decisions).toBeGreaterThan(0.05);
    expect(single).toBeGreaterThan(20);
});

interface Subject {
    name: string;
    context: LlamaContext;
    aligner: Aligner;
}

async function createSubject(
    model: LlamaModel,
    options: LlamaContextOptions,
    lanes: number | undefined
): Promise<Subject> {
    const mode = lanes === undefined ? {mode: "serial" as const} : {mode: "lanes" as const, lanes};
    const agent = acceptAll(model.embeddingVectorSize);
    const {context, aligner} = await createAlignedContext(model, {...options, ...mode, agent});
    return {name: lanes === undefined ? "serial" : `lanes ${lanes}`, context, aligner};
}

function randomCase(seed: number): Case {
    const random = seededRandom(seed);
    const prompt = Array.from({length: random.integer(1, 24)}, () => random.integer(firstWord, vocabularySize - 1));
    return {
        seed,
        prompt: random.uniform() < 0.5 ? [bos, ...prompt] : prompt,
        settings: randomSettings(random),
        temperature: random.pick([0.3, 0.8, 1.5]),
        agent: {seed: random.integer(1, 2 ** 30), bias: random.pick([0, -1, -2.5, -5])},
        count: random.integer(10, 20)
    };
}

function randomSettings(random: Random): ReferenceSettings {
    return {
        topK: random.pick([1, 2, 3, 8, 40, 40, 40, 100]),
        topP: random.pick([0.3, 0.8, 0.95, 0.95, 1]),
        minP: random.pick([0, 0, 0.02, 0.2]),
        strategy: random.pick(["first", "first", "random", "max-prob"]),
        order: random.pick(["best-first", "best-first", "top-last", "reverse"]),
        threshold: random.pick([0, 0.2, 0.5, 0.5, 0.5, 0.8, 1]),
        fallbackIndex: random.pick([0, 0, 1, 3, 200]),
        seed: random.integer(0, 2 ** 31)
    };
}

async function compare(subject: Subject, testCase: Case, agent: MaraAgent, expected: ReferenceRun): Promise<void> {
    const {context, aligner, name} = subject;
    const {settings, prompt, temperature} = testCase;
    const {topK, topP, minP, ...rest} = settings;
    aligner.configure({...rest, agent, candidates: {topK, topP, minP, temperature}});
    const events: DecisionEvent[] = [];
    const end = aligner.onDecision((event) => events.push(event));
    const sequence = context.getSequence();
    const tokens = await generate(sequence, prompt as Token[], testCase.count);
    sequence.dispose();
    end();
    const shown = `${name}, ${JSON.stringify(testCase)}`;
    const comparable = expected.tie === undefined ? tokens : tokens.slice(0, expected.tokens.length);
    expect(comparable, shown).toEqual(expected.tokens);
    compareDecisions(events, expected, prompt.length, shown);
}

/** Beyond the tokens: the same candidates, judged alike, and the same way of choosing. */
function compareDecisions(events: DecisionEvent[], expected: ReferenceRun, promptLength: number, shown: string): void {
    const byPosition = new Map(events.map((event) => [event.position, event]));
    for (const [i, step] of expected.steps.entries()) {
        const event = byPosition.get(promptLength + i);
        if (step.blurred) continue;
        if (step.candidates.length === 1) {
            expect(event, shown).toBeUndefined();
            continue;
        }
        expect(
            event?.candidates.map(({token}) => token),
            shown
        ).toEqual(step.candidates);
        expect({rank: event?.chosenRank, fallback: event?.fallback}, shown).toEqual({
            rank: step.chosenRank,
            fallback: step.fallback
        });
        for (const [rank, probability] of step.verdicts) {
            const actual = event?.candidates[rank]?.acceptProbability as number;
            expect(actual, `${shown}, step ${i}, rank ${rank}`).toBeCloseTo(probability, 4);
        }
    }
}

function count({steps, tie}: ReferenceRun, threshold: number): void {
    totals.cases++;
    if (tie !== undefined) totals.ties++;
    for (const {candidates, verdicts, fallback, blurred} of steps) {
        const rejections = [...verdicts.values()].filter((probability) => !(probability > threshold)).length;
        totals.tokens++;
        if (candidates.length === 1) totals.single++;
        else totals.decisions++;
        if (fallback) totals.fallbacks++;
        if (rejections > 0) totals.withRejections++;
        if (blurred) totals.blurred++;
        totals.rejections += rejections;
    }
}
