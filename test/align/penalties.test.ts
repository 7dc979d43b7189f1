import {
    type LlamaContextSequence,
    type LlamaModel,
    type SequenceEvaluateOptions,
    type Token,
    TokenBias
} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {DecisionEvent, MaraAgent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {align, modes, plain, rejections} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    // Flat enough that there are always candidates to reject.
    model = await loadTinyModel({sharpness: 2});
    agent = randomAgent(model.embeddingVectorSize, 5);
});
afterAll(() => model?.dispose());

const prompt = () => model.tokenize("once there was a hen and");
const steps = 24;

/** Options of an evaluation whose emitted tokens are in `emitted`, which grows. */
type Options = (emitted: readonly Token[]) => SequenceEvaluateOptions;

/** `generate` with the emitted tokens at hand while it runs. */
async function generateWith(sequence: LlamaContextSequence, options: Options, forced?: readonly Token[]) {
    const emitted: Token[] = [];
    // Forcing makes the sampler itself take the tokens, so that its history is theirs.
    const tokenBias = () => TokenBias.for(sequence.model).set(forced?.[emitted.length] as Token, {logit: 1000});
    const given = {...options(emitted), ...(forced && {temperature: 1, topK: 12, topP: 1})};
    let last: Map<Token, number> | undefined;
    const count = forced ? forced.length + 1 : steps;
    for await (const {token, probabilities} of sequence.evaluateWithMetadata(
        prompt(),
        {probabilities: true},
        {
            ...given,
            ...(forced && {tokenBias: () => (emitted.length < forced.length ? tokenBias() : biasOf(given))}),
            yieldEogToken: true
        }
    )) {
        emitted.push(token);
        last = probabilities;
        if (emitted.length === count) break;
    }
    return {emitted, last: last as Map<Token, number>};
}

function biasOf({tokenBias}: SequenceEvaluateOptions): TokenBias {
    return (typeof tokenBias === "function" ? tokenBias() : tokenBias) ?? TokenBias.for(model);
}

/**
 * Generates with an agent that rejects. Then, for every step, a sampler of a plain context takes exactly the tokens emitted so far: it
 * must offer the same candidates. @returns the emitted tokens
 */
async function expectSameCandidates(mode: (typeof modes)[number], options: Options) {
    const {context, aligner} = await align(model, {agent, mode, candidates: {topK: 12, topP: 1, temperature: 1}});
    const decisions = new Map<number, DecisionEvent>();
    aligner.onDecision((event) => decisions.set(event.position - prompt().length, event));
    const {emitted} = await generateWith(context.getSequence(), options);
    expect(rejections(aligner.stats())).toBeGreaterThan(6);
    expect(decisions.size).toBe(steps);

    const reference = (await plain(model)).getSequence();
    for (const [step, {candidates}] of decisions) {
        await reference.clearHistory();
        const {emitted: taken, last} = await generateWith(reference, options, emitted.slice(0, step));
        expect(taken.slice(0, -1)).toEqual(emitted.slice(0, step));
        expect(candidates.map(({token}) => token)).toEqual([...last.keys()]);
        for (const {token, probability} of candidates)
            expect(probability, `step ${step}`).toBeCloseTo(last.get(token) as number, 4);
    }
    return emitted;
}

/** The longest run of tokens that occurs twice. */
function longestRepeat(tokens: readonly Token[]): number {
    const text = tokens.map((token) => `,${token},`).join("");
    for (let length = tokens.length; length > 0; length--)
        for (let from = 0; from + length <= tokens.length; from++) {
            const run = tokens
                .slice(from, from + length)
                .map((token) => `,${token},`)
                .join("");
            if (text.indexOf(run) !== text.lastIndexOf(run)) return length;
        }
    return 0;
}

describe.each(modes)("The sampler's state follows the emitted tokens (%s)", (mode) => {
    it.each([64, 6])("repeat penalty over the last %i tokens", async (reach) => {
        const emitted = await expectSameCandidates(mode, (tokens) => ({
            repeatPenalty: {punishTokens: () => tokens.slice(-reach), penalty: 30, presencePenalty: 20}
        }));
        for (const [i, token] of emitted.entries())
            expect(emitted.slice(Math.max(0, i - reach), i)).not.toContain(token);
    });

    it.each([
        ["with a long memory", {lastTokens: 64}],
        ["with a short memory", {lastTokens: 5}],
        ["with its own breakers", {lastTokens: 64, sequenceBreakers: ["q"]}]
    ])("DRY penalty %s", async (_, more) => {
        const free = await expectSameCandidates(mode, () => ({}));
        const dry = await expectSameCandidates(mode, () => ({
            dryRepeatPenalty: {strength: 4, allowedLength: 1, ...more}
        }));
        expect(dry).not.toEqual(free);
    });

    it("DRY penalty breaks loops that are there without it", async () => {
        const {context} = await align(model, {agent, mode, enabled: true, candidates: {topK: 6}});
        const sequence = context.getSequence();
        const free = (await generate(sequence, prompt(), 60)) as Token[];
        await sequence.clearHistory();
        const dry = (await generate(sequence, prompt(), 60, {
            dryRepeatPenalty: {strength: 20, allowedLength: 1, lastTokens: 64, sequenceBreakers: []}
        })) as Token[];
        expect(longestRepeat(dry)).toBeLessThan(longestRepeat(free));
    });

    it("token bias", async () => {
        const biased = model.tokenize("z")[0] as Token;
        const unwanted = model.tokenize("e")[0] as Token;
        const tokens = await expectSameCandidates(mode, () => ({
            tokenBias: TokenBias.for(model).set(biased, {logit: 9}).set(unwanted, "never")
        }));
        expect(tokens.filter((token) => token === biased).length).toBeGreaterThan(2);
        expect(tokens).not.toContain(unwanted);
    });

    it("leaves the session's temperature, top-k and seed without effect on the candidates", async () => {
        const run = async (options: SequenceEvaluateOptions) => {
            const {context} = await align(model, {agent, mode});
            return await generate(context.getSequence(), prompt(), 20, options);
        };
        const wanted = await run({});
        expect(await run({temperature: 5, topK: 2, topP: 0.1, minP: 0.9, seed: 7})).toEqual(wanted);
        expect(await run({temperature: 1, xtc: {probability: 1, threshold: 0.01}, seed: 1})).toEqual(wanted);
    });
});
