import type {LlamaContext, LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {AlignedContextOptions, MaraAgent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {align, expectCacheInStep, modes, plain, rejections} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel();
    agent = randomAgent(model.embeddingVectorSize, 5);
});
afterAll(() => model?.dispose());

const prompt = () => model.tokenize("once there was a hen and");

/** The token after each prefix, every one decided in an empty cache. */
async function tokensAfter(prefixes: readonly Token[][], options: AlignedContextOptions): Promise<number[]> {
    const {context} = await align(model, options);
    const sequence = context.getSequence();
    const tokens: number[] = [];
    for (const prefix of prefixes) {
        await sequence.clearHistory();
        tokens.push(...(await generate(sequence, prefix, 1)));
    }
    return tokens;
}

describe.each(modes)("sequence.evaluate (%s)", (mode) => {
    it("goes on from tokens pushed back by the caller", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        const sequence = context.getSequence();
        const [other, another] = model.tokenize("qz") as [Token, Token];
        // Every third step goes on from another token than the chosen one, and every fourth from two.
        const evaluation = sequence.evaluate(prompt(), {yieldEogToken: true});
        const text = prompt();
        const emitted: Token[] = [];
        const prefixes: Token[][] = [];
        let pushed: Token | Token[] | undefined;
        for (let step = 1; step <= 24; step++) {
            prefixes.push([...text]);
            const {value} = await evaluation.next(pushed as Token);
            const token = value as Token;
            emitted.push(token);
            pushed = step % 4 === 0 ? [other, another] : step % 3 === 0 ? other : undefined;
            text.push(...[pushed ?? token].flat());
        }
        await evaluation.return();
        expect(emitted).toEqual(await tokensAfter(prefixes, {agent, mode}));
        expect(rejections(aligner.stats())).toBeGreaterThan(5);
        expect(sequence.contextTokens).toEqual(text.slice(0, sequence.nextTokenIndex));
        expectCacheInStep(sequence, aligner);
    });

    it("goes on after the caller broke off and evaluates other text", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        const sequence = context.getSequence();
        const first = (await generate(sequence, prompt(), 9)) as Token[];
        const more = model.tokenize("but");
        const second = (await generate(sequence, more, 9)) as Token[];
        // The last token of the first run was never evaluated.
        const text = [...prompt(), ...first.slice(0, -1), ...more];
        expect(sequence.contextTokens).toEqual([...text, ...second.slice(0, -1)]);
        const prefixes = second.map((_, i) => [...text, ...second.slice(0, i)]);
        expect(second).toEqual(await tokensAfter(prefixes, {agent, mode}));
        expectCacheInStep(sequence, aligner);
    });

    it("gives the candidates' probabilities and the emitted token's as confidence", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        const decided: Map<number, number>[] = [];
        aligner.onDecision(({candidates}) => {
            decided.push(new Map(candidates.map(({token, probability}) => [token, probability])));
        });
        const sequence = context.getSequence();
        const metadata = {probabilities: true, confidence: true} as const;
        const reference = (await plain(model)).getSequence();
        const sampled = {temperature: 0.8, topK: 40, topP: 0.95};
        let compared = 0;
        let evaluated = prompt();
        for await (const {token, probabilities, confidence} of sequence.evaluateWithMetadata(prompt(), metadata)) {
            expect(confidence).toBe(probabilities.get(token));
            expect([...probabilities.values()].reduce((sum, value) => sum + value)).toBeCloseTo(1, 10);
            if (probabilities.size > 1) expect(decided.pop()).toEqual(probabilities);
            const {value} = await reference.evaluateWithMetadata(evaluated, metadata, sampled).next();
            expect([...probabilities.keys()]).toEqual([
                ...(value as {probabilities: Map<Token, number>}).probabilities.keys()
            ]);
            for (const [candidate, probability] of (value as {probabilities: Map<Token, number>}).probabilities)
                expect(probabilities.get(candidate)).toBeCloseTo(probability, 4);
            evaluated = [token];
            if (++compared === 12) break;
        }
        expect(compared).toBe(12);
    });

    it("decides for the first token after a prompt longer than a batch", async () => {
        const text = Array.from({length: 12}, prompt).flat();
        const {context, aligner} = await align(model, {agent, mode, batchSize: 32});
        const sequence = context.getSequence();
        expect(text.length).toBeGreaterThan(150);
        const tokens = await generate(sequence, text, 4);
        expect(tokens.slice(0, 1)).toEqual(await tokensAfter([text], {agent, mode}));
        expectCacheInStep(sequence, aligner);
    });

    it("does not decide while it only evaluates", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        const sequence = context.getSequence();
        await sequence.evaluateWithoutGeneratingNewTokens(prompt());
        expect(aligner.stats()).toMatchObject({generatedTokens: 0, decisions: 0, decodes: 0, waves: 0});
        expectCacheInStep(sequence, aligner);
        const rest = model.tokenize("so");
        expect(await generate(sequence, rest, 1)).toEqual(await tokensAfter([[...prompt(), ...rest]], {agent, mode}));
    });
});

describe.each(modes)("sequence.controlledEvaluate (%s)", (mode) => {
    const measure = async (sequence: LlamaContextSequence) => {
        const outputs = await sequence.controlledEvaluate(
            prompt().map((token) => [
                token,
                {
                    generateNext: {
                        token: true,
                        probabilities: true,
                        logits: true,
                        options: {temperature: 0.7, topK: 5, seed: 1}
                    }
                }
            ])
        );
        return outputs.map((output) => output?.next);
    };

    const expectSame = (found: Awaited<ReturnType<typeof measure>>, wanted: Awaited<ReturnType<typeof measure>>) => {
        expect(found.length).toBe(wanted.length);
        for (const [i, next] of wanted.entries()) {
            expect(found[i]?.token).toBe(next?.token);
            for (const name of ["probabilities", "logits"] as const) {
                const values = next?.[name] as Map<Token, number>;
                expect([...(found[i]?.[name]?.keys() ?? [])]).toEqual([...values.keys()]);
                for (const [token, value] of values) expect(found[i]?.[name]?.get(token)).toBeCloseTo(value, 3);
            }
        }
    };

    it("measures the model as a plain context does", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        const sequence = context.getSequence();
        expectSame(await measure(sequence), await measure((await plain(model)).getSequence()));
        expect(aligner.stats()).toMatchObject({generatedTokens: 0, decisions: 0, waves: 0});
        expectCacheInStep(sequence, aligner);
    });

    it("does so in one batch with a sequence that decides, which is not disturbed", async () => {
        const {context, aligner} = await align(model, {agent, mode, sequences: 2});
        const deciding = context.getSequence();
        const measured = context.getSequence();
        const wanted = await measure((await plain(model)).getSequence());
        const generation = generate(deciding, prompt(), 40);
        for (let round = 0; round < 5; round++) {
            expectSame(await measure(measured), wanted);
            await measured.clearHistory();
        }
        const tokens = await generation;
        expect(rejections(aligner.stats())).toBeGreaterThan(8);
        const alone: LlamaContext = (await align(model, {agent, mode})).context;
        expect(tokens).toEqual(await generate(alone.getSequence(), prompt(), 40));
        expectCacheInStep(deciding, aligner);
    });
});
