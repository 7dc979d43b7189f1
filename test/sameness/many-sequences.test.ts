/** Sequences of one context share batches, waves and lanes, and yet each has the text that it has alone. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {type AlignerSettings, createAlignedContext, type MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel, precise} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {firstWord, vocabularySize} from "../support/tiny-model.js";

const length = 24;
const modes = [{mode: "serial"}, {mode: "lanes", lanes: 3}, {mode: "lanes", lanes: 15}] as const;

let model: LlamaModel;
let agents: Record<"mild" | "strict" | "severe" | "never" | "always", MaraAgent>;

beforeAll(async () => {
    model = await loadTinyModel({seed: 31, sharpness: 4});
    agents = {
        mild: randomAgent(64, 41, {bias: 1}),
        strict: randomAgent(64, 42, {bias: -1}),
        severe: randomAgent(64, 43, {bias: -4}),
        never: rejectAll(64),
        always: acceptAll(64)
    };
});
afterAll(async () => model.dispose());

interface Part {
    prompt: ReturnType<LlamaModel["tokenize"]>;
    settings: Partial<AlignerSettings>;
    count: number;
}

/** Prompts of different lengths, so that no two sequences stand at the same position. */
function parts(seed: number, settings: readonly Partial<AlignerSettings>[]): Part[] {
    const random = seededRandom(seed);
    return settings.map((each) => ({
        prompt: Array.from({length: random.integer(1, 20)}, () =>
            random.integer(firstWord, vocabularySize - 1)
        ) as Part["prompt"],
        settings: each,
        count: length - random.integer(0, 8)
    }));
}

async function alone(part: Part, mode: (typeof modes)[number]): Promise<number[]> {
    const {context} = await createAlignedContext(model, {...precise, ...mode, agent: agents.always, ...part.settings});
    const tokens = await generate(context.getSequence(), part.prompt, part.count);
    await context.dispose();
    return tokens;
}

async function expectSameTogether(all: readonly Part[], mode: (typeof modes)[number]): Promise<void> {
    const {context, aligner} = await createAlignedContext(model, {
        ...precise,
        ...mode,
        agent: agents.always,
        sequences: all.length
    });
    const sequences = all.map(() => context.getSequence());
    for (const [i, {settings}] of all.entries()) aligner.configure(settings, sequences[i]);
    const together = await Promise.all(
        all.map(({prompt, count}, i) => generate(sequences[i] as (typeof sequences)[number], prompt, count))
    );
    const each = sequences.map((sequence) => aligner.stats(sequence));
    if (mode.mode === "lanes") {
        const apart = each.reduce((sum, {decodes}) => sum + decodes, 0);
        expect(aligner.stats().decodes).toBeLessThan(apart);
    }
    await context.dispose();
    for (const [i, part] of all.entries())
        expect(together[i], `sequence ${i} of ${all.length}`).toEqual(await alone(part, mode));
}

describe.each(modes)("Several sequences at once, %o", (mode) => {
    it.each([3, 5, 8])("%i sequences of one agent give what each gives alone", async (count) => {
        const settings = Array.from({length: count}, () => ({agent: agents.strict}));
        await expectSameTogether(parts(100 + count, settings), mode);
    });

    it("do not disturb each other with different agents, strategies and orders, on or off", async () => {
        const {mild, strict, severe, never, always} = agents;
        const settings: Partial<AlignerSettings>[] = [
            {agent: mild},
            {enabled: false},
            {agent: severe, fallbackIndex: 2},
            {agent: strict, strategy: "max-prob"},
            {agent: never},
            {agent: always},
            {agent: strict, order: "top-last", threshold: 0.7},
            {agent: severe, order: "reverse", candidates: {topK: 5, topP: 0.8}}
        ];
        await expectSameTogether(parts(200, settings), mode);
    });

    it("leave one sequence's text alone, whatever the others reject", async () => {
        const [watched, ...others] = parts(300, Array(5).fill({agent: agents.strict})) as [Part, ...Part[]];
        const expected = await alone(watched, mode);
        for (const agent of [agents.never, agents.always, agents.severe]) {
            const {context, aligner} = await createAlignedContext(model, {...precise, ...mode, agent, sequences: 5});
            const sequence = context.getSequence();
            aligner.configure(watched.settings, sequence);
            const [tokens] = await Promise.all([
                generate(sequence, watched.prompt, watched.count),
                ...others.map(({prompt, count}) => generate(context.getSequence(), prompt, count))
            ]);
            expect(tokens).toEqual(expected);
            await context.dispose();
        }
    });
});
