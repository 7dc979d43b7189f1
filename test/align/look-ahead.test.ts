import {type LlamaModel, type SequenceEvaluateOptions, type Token, TokenBias} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {CandidateOptions, DecisionEvent, MaraAgent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {loadTinyModel} from "../support/models.js";
import {align, watchChain} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel({sharpness: 2});
    agent = randomAgent(model.embeddingVectorSize, 5);
});
afterAll(() => model?.dispose());

const steps = 24;

async function decide(candidates: CandidateOptions, options: (text: readonly Token[]) => SequenceEvaluateOptions) {
    const {context, aligner} = await align(model, {agent, candidates, mode: "lanes", waves: [1, 4]});
    const chain = watchChain(context);
    const events: Omit<DecisionEvent, "sequence">[] = [];
    aligner.onDecision(({sequence: _, ...decided}) => events.push(decided));
    const text: Token[] = [];
    const prompt = model.tokenize("once there was a hen and");
    for await (const token of context.getSequence().evaluate(prompt, {...options(text), yieldEogToken: true})) {
        text.push(token);
        if (text.length === steps) break;
    }
    return {events, text, chainCalls: chain.calls};
}

/** Changes nothing, and makes the whole chain necessary. */
const noBias = () => ({tokenBias: TokenBias.for(model).set(model.tokenize("hen")[0] as Token, {logit: 0})});

const draws: CandidateOptions[] = [
    {},
    {topK: 3, topP: 1},
    {topK: 12, topP: 0.7},
    {topK: 20, topP: 1, minP: 0.05},
    {topK: 2}
];
const penalties: Record<string, (text: readonly Token[]) => SequenceEvaluateOptions> = {
    "no penalty": () => ({}),
    "a repeat penalty": (text) => ({repeatPenalty: {penalty: 1.3, punishTokens: () => text.slice(-8)}}),
    "frequency and presence penalties": (text) => ({
        repeatPenalty: {penalty: 1, frequencyPenalty: 0.4, presencePenalty: 0.7, punishTokens: () => [...text]}
    })
};

describe.each(Object.entries(penalties))("with %s, the logits of the last wave give", (_, penalty) => {
    it.each(draws)("the candidates that node-llama-cpp's chain gives, for %j", async (candidates) => {
        const ahead = await decide(candidates, penalty);
        const chain = await decide(candidates, (text) => ({...penalty(text), ...noBias()}));
        expect(chain.chainCalls).toBeGreaterThanOrEqual(steps);
        expect(ahead.text).toEqual(chain.text);
        expect(ahead.events).toEqual(chain.events);
        // At the first token the penalties are not known yet; where nothing was accepted, no row was looked at.
        const without = steps - 1 - chain.events.filter(({fallback}) => fallback).length;
        expect(chain.chainCalls - ahead.chainCalls).toBeGreaterThanOrEqual(without);
    });
});

it("a penalty that lifts logits leaves it to the chain", async () => {
    const lifting = (text: readonly Token[]) => ({repeatPenalty: {penalty: 0.8, punishTokens: () => [...text]}});
    const {chainCalls, events} = await decide({topK: 8}, lifting);
    const chain = await decide({topK: 8}, (text) => ({...lifting(text), ...noBias()}));
    // Nothing can be penalised until a token has been emitted.
    expect(chainCalls).toBeGreaterThanOrEqual(steps - 1);
    expect(events).toEqual(chain.events);
});
