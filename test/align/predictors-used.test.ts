/** Token predictors in use: node-llama-cpp's own, and what happens to a sequence or its settings while it follows one. */
import {
    DraftSequenceTokenPredictor,
    InputLookupTokenPredictor,
    type LlamaModel,
    type Token,
    type TokenPredictor
} from "node-llama-cpp";
import {beforeAll, describe, expect, it, onTestFinished} from "vitest";
import {LanesBackend} from "../../lib/align/backend/lanes-backend.js";
import type {DecisionEvent, MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent} from "../support/agents.js";
import {generate, small} from "../support/models.js";
import {Oracle} from "../support/predictors.js";
import {loadZooModel} from "../zoo/model.js";
import {recurrentArchitectures} from "../zoo/recurrent.js";
import {expectCacheInStep} from "./harness.js";
import {align, lanes, length, oracle, plain, prompt, run, tiny} from "./predicting.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(() => {
    ({model, agent} = tiny);
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

describe("Where a batch of two takes 2.6 times as long as one token, and each further token little", () => {
    const cost = (tokens: number) => (tokens === 1 ? 1 : 2.6 + 0.2 * (tokens - 2));

    /** Lets decodes seem to take that long. Gives the time of all of them, and the text. */
    async function priced(predictor?: TokenPredictor) {
        const {prototype} = LanesBackend;
        const stock = prototype.wave;
        onTestFinished(() => {
            prototype.wave = stock;
        });
        let time = 0;
        prototype.wave = async function (tokens, threads) {
            const outcome = await stock.call(this, tokens, threads);
            time += cost(tokens.length);
            return {...outcome, decodeMs: cost(tokens.length), kernelMs: 0};
        };
        const everything = acceptAll(model.embeddingVectorSize);
        const {context} = await align({...lanes, agent: everything, waves: "auto"});
        const sequence = context.getSequence({...(predictor && {tokenPredictor: predictor})});
        return {text: await generate(sequence, prompt(), 160), time};
    }

    it("what mostly comes true is decoded along, and saves time", async () => {
        const without = await priced();
        const right = await priced(oracle(without.text));
        expect(right.text).toEqual(without.text);
        expect(right.time).toBeLessThan(without.time * 0.7);
    });

    it("what does not is given up after a try, which shows what it costs", async () => {
        const without = await priced();
        const wrong = await priced(oracle(without.text, 2));
        expect(wrong.text).toEqual(without.text);
        expect(wrong.time).toBeLessThan(without.time + 2);
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
