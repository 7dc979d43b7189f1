import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {
    type AlignedContextOptions,
    type AlignerSettings,
    createAlignedContext,
    type MaraAgent
} from "../../lib/index.js";
import {acceptAll, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel, small} from "../support/models.js";
import {align, refusal} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel();
    agent = acceptAll(model.embeddingVectorSize);
});
afterAll(() => model?.dispose());

const create = (options: object) => () =>
    createAlignedContext(model, {...small, agent, ...options} as AlignedContextOptions);

const badSettings: [object, string][] = [
    [{candidates: {topK: 0}}, "Expected an integer from 1 to 256 for candidates.topK but received 0"],
    [{candidates: {topK: 257}}, "Expected an integer from 1 to 256 for candidates.topK but received 257"],
    [{candidates: {topK: 2.5}}, "Expected an integer from 1 to 256 for candidates.topK but received 2.5"],
    [{candidates: {topK: "4"}}, 'Expected an integer from 1 to 256 for candidates.topK but received "4"'],
    [{candidates: {topP: 0}}, "Expected a number in (0, 1] for candidates.topP but received 0"],
    [{candidates: {topP: 1.01}}, "Expected a number in (0, 1] for candidates.topP but received 1.01"],
    [{candidates: {topP: -1}}, "Expected a number in (0, 1] for candidates.topP but received -1"],
    [{candidates: {topP: Number.NaN}}, "Expected a number in (0, 1] for candidates.topP but received NaN"],
    [{candidates: {topP: "0.5"}}, 'Expected a number in (0, 1] for candidates.topP but received "0.5"'],
    [{candidates: {minP: -0.1}}, "Expected a number in [0, 1] for candidates.minP but received -0.1"],
    [{candidates: {minP: 2}}, "Expected a number in [0, 1] for candidates.minP but received 2"],
    [{candidates: {temperature: 0}}, "Expected a finite number above 0 for candidates.temperature but received 0"],
    [{candidates: {temperature: -1}}, "Expected a finite number above 0 for candidates.temperature but received -1"],
    [
        {candidates: {temperature: Number.POSITIVE_INFINITY}},
        "Expected a finite number above 0 for candidates.temperature but received Infinity"
    ],
    [
        {candidates: {topk: 4}},
        'Expected only topK, topP, minP, temperature for candidates but received "topk". Did you mean "topK"?'
    ],
    [{candidates: 4}, "Expected an object for candidates but received 4"],
    [{candidates: null}, "Expected an object for candidates but received null"],
    [{threshold: -0.01}, "Expected a number in [0, 1] for threshold but received -0.01"],
    [{threshold: 1.5}, "Expected a number in [0, 1] for threshold but received 1.5"],
    [{threshold: Number.NaN}, "Expected a number in [0, 1] for threshold but received NaN"],
    [{threshold: "0.5"}, 'Expected a number in [0, 1] for threshold but received "0.5"'],
    [{fallbackIndex: -1}, "Expected an integer of at least 0 for fallbackIndex but received -1"],
    [{fallbackIndex: 1.5}, "Expected an integer of at least 0 for fallbackIndex but received 1.5"],
    [{strategy: "best"}, 'Expected one of "first", "random", "max-prob" for strategy but received "best"'],
    [{order: "v1"}, 'Expected one of "best-first", "top-last", "reverse" for order but received "v1"'],
    [{seed: -1}, "Expected an integer from 0 to 4294967295 for seed but received -1"],
    [{seed: 0.5}, "Expected an integer from 0 to 4294967295 for seed but received 0.5"],
    [{enabled: 1}, "Expected a boolean for enabled but received 1"],
    [{agent: {}}, "Expected a MaraAgent for agent but received Object"],
    [{agent: "agent.safetensors"}, 'Expected a MaraAgent for agent but received "agent.safetensors"'],
    [{agent: undefined}, "Expected a MaraAgent for agent but received undefined"]
];

describe("Bad settings", () => {
    it.each(badSettings)("are refused when a context is created: %o", async (settings, message) => {
        expect(await refusal(create(settings))).toEqual({code: "INVALID_ARGUMENT", message});
    });

    it("are refused by configure, for all sequences and for one, and change nothing", async () => {
        const {context, aligner} = await align(model, {agent});
        const sequence = context.getSequence();
        const prompt = model.tokenize("once there was");
        const wanted = await generate(sequence, prompt, 6);
        for (const [settings, message] of badSettings) {
            const change = settings as Partial<AlignerSettings>;
            expect(await refusal(() => aligner.configure(change))).toEqual({code: "INVALID_ARGUMENT", message});
            expect(await refusal(() => aligner.configure(change, sequence))).toEqual({
                code: "INVALID_ARGUMENT",
                message
            });
        }
        expect(aligner.enabled).toBe(true);
        await sequence.clearHistory();
        expect(await generate(sequence, prompt, 6)).toEqual(wanted);
    });

    it("are refused by configure when they are not settings at all", async () => {
        const {context, aligner} = await align(model, {agent});
        const known =
            "agent, agents, combine, judge, guides, candidates, strategy, order, threshold, fallbackIndex, seed, enabled, cascade";
        for (const [settings, message] of [
            [
                {treshold: 0.5},
                `Expected only ${known} for the aligner's settings but received "treshold". Did you mean "threshold"?`
            ],
            [
                {topK: 5},
                `Expected only ${known} for the aligner's settings but received "topK". Did you mean "candidates.topK"?`
            ],
            [{lanes: 4}, `Expected only ${known} for the aligner's settings but received "lanes"`],
            [null, "Expected an object for the aligner's settings but received null"],
            [7, "Expected an object for the aligner's settings but received 7"]
        ] as [object, string][])
            expect(await refusal(() => aligner.configure(settings))).toEqual({code: "INVALID_ARGUMENT", message});
        expect(await refusal(() => Object.assign(aligner, {enabled: "yes"}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected a boolean for enabled but received "yes"'
        });
        expect(await refusal(() => aligner.onDecision({} as never))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected a function for listener but received Object"
        });
        expect(context.disposed).toBe(false);
    });

    it("name another context's sequence", async () => {
        const {aligner} = await align(model, {agent});
        const {context} = await align(model, {agent});
        const sequence = context.getSequence();
        const wanted = {
            code: "INVALID_ARGUMENT",
            message: "Expected a sequence of this aligner's context for sequence but received LlamaContextSequence"
        };
        expect(await refusal(() => aligner.configure({threshold: 0.1}, sequence))).toEqual(wanted);
        expect(await refusal(() => aligner.stats(sequence))).toEqual(wanted);
        expect(await refusal(() => aligner.configure({threshold: 0.1}, {} as never))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected a sequence of this aligner's context for sequence but received Object"
        });
    });
});

describe("Bad context options", () => {
    it.each([
        [{mode: "fast"}, 'Expected one of "auto", "lanes", "serial" for mode but received "fast"'],
        [{lanes: 0}, "Expected an integer of at least 1 for lanes but received 0"],
        [{lanes: -3}, "Expected an integer of at least 1 for lanes but received -3"],
        [{lanes: 1.5}, "Expected an integer of at least 1 for lanes but received 1.5"],
        [{lanes: "8"}, 'Expected an integer of at least 1 for lanes but received "8"'],
        [
            {treshold: 0.5},
            'Expected only documented ones for options but received "treshold". Did you mean "threshold"?'
        ],
        [{topK: 5}, 'Expected only documented ones for options but received "topK". Did you mean "candidates.topK"?'],
        [{contextSize: {mni: 5}}, 'Expected only min, max for contextSize but received "mni". Did you mean "min"?'],
        [
            {contextSize: "large"},
            'Expected "auto", a number of tokens, or {min, max} for contextSize but received "large"'
        ],
        [{sequences: 2.5}, "Expected an integer from 1 to 256 for sequences but received 2.5"]
    ] as [object, string][])("are refused: %o", async (options, message) => {
        expect(await refusal(create(options))).toEqual({code: "INVALID_ARGUMENT", message});
    });

    it.each([
        [undefined, "undefined"],
        [null, "null"],
        ["agent.safetensors", '"agent.safetensors"']
    ])("are refused where they are no object: %s", async (options, received) => {
        expect(await refusal(() => createAlignedContext(model, options as never))).toEqual({
            code: "INVALID_ARGUMENT",
            message: `Expected an object for options but received ${received}`
        });
    });

    it.each(["auto", "lanes"] as const)("are refused when the lanes do not fit (%s)", async (mode) => {
        const fix = "Ask for fewer lanes, or raise `batchSize`.";
        const limit = "(llama.cpp allows 256 sequences and one per place of a batch)";
        expect(await refusal(create({mode, lanes: 255, sequences: 2, batchSize: 512}))).toEqual({
            code: "LANES_LIMIT",
            message: `255 lanes do not fit beside 2 sequences: at most 253 are possible with a batch size of 512 ${limit}. ${fix}`
        });
        expect(await refusal(create({mode, lanes: 32, batchSize: 32}))).toEqual({
            code: "LANES_LIMIT",
            message: `32 lanes do not fit beside 1 sequences: at most 30 are possible with a batch size of 32 ${limit}. ${fix}`
        });
    });

    it("are not bad at the limits", async () => {
        for (const options of [
            {lanes: 253, sequences: 2, batchSize: 256, mode: "lanes"},
            {lanes: 1, mode: "lanes"},
            {candidates: {topK: 256, topP: 1, minP: 1, temperature: 1e-3}, threshold: 1, seed: 2 ** 32 - 1},
            {candidates: {topK: 1}, threshold: 0, lanes: undefined, mode: undefined}
        ] as object[]) {
            const {context} = await align(model, {agent, ...options});
            expect((await generate(context.getSequence(), model.tokenize("once"), 4)).length).toBeGreaterThan(0);
        }
    });
});

it("A fallbackIndex beyond the candidates is the last of them", async () => {
    const reject = rejectAll(model.embeddingVectorSize);
    const {context, aligner} = await align(model, {agent: reject, candidates: {topK: 6}, fallbackIndex: 1000});
    const counts = new Set<number>();
    aligner.onDecision(({candidates, chosenRank, fallback}) => {
        expect(fallback).toBe(true);
        expect(chosenRank).toBe(candidates.length - 1);
        counts.add(candidates.length);
    });
    await generate(context.getSequence(), model.tokenize("once there was"), 20);
    expect(counts.size).toBeGreaterThan(1);
});
