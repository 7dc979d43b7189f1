/** One sequence never changes another's text: several at once give what each gives alone, verdict by verdict. */
import {rmSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {isRoundedAlike} from "../../lib/align/backend/rounded-alike.js";
import {type AlignedContextOptions, createAlignedContext, type DecisionEvent, type MaraAgent} from "../../lib/index.js";
import {native} from "../../lib/native.js";
import {randomAgent} from "../support/agents.js";
import {writeLora} from "../support/lora.js";
import {describeWithTestModel, generate, loadTestModel, loadTinyModel, small} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {statesOfPrompts} from "../support/states.js";
import {firstWord, modelFolder, vocabularySize} from "../support/tiny-model.js";
import {rejections} from "./harness.js";

interface Heard {
    tokens: number[];
    decisions: Decision[];
}

interface Decision {
    chosen: number;
    /** The candidates, their probabilities and accept probabilities, by rank. */
    candidates: number[];
    probabilities: number[];
    verdicts: (number | null)[];
}

const threshold = 0.5;

type Options = Omit<AlignedContextOptions, "agent"> & {agent: MaraAgent};

async function hear(model: LlamaModel, options: Options, prompts: readonly Token[][], length: number) {
    const {context, aligner} = await createAlignedContext(model, {...options, sequences: prompts.length});
    const sequences = prompts.map(() => context.getSequence());
    const heard = prompts.map((): Heard => ({tokens: [], decisions: []}));
    aligner.onDecision(({sequence, candidates, chosenRank}: DecisionEvent) => {
        heard[sequences.indexOf(sequence)]?.decisions.push({
            chosen: chosenRank,
            candidates: candidates.map(({token}) => token),
            probabilities: candidates.map(({probability}) => probability),
            verdicts: candidates.map(({acceptProbability}) => acceptProbability)
        });
    });
    await Promise.all(
        prompts.map(async (prompt, i) => {
            const tokens = await generate(sequences[i] as (typeof sequences)[number], prompt, length);
            (heard[i] as Heard).tokens = tokens;
        })
    );
    const stats = aligner.stats();
    await context.dispose();
    return {heard, stats};
}

/**
 * Largest difference of two accept probabilities; infinite where the texts part, unless what they part at differs by at most `within`. The number of
 * candidates that a wave tries depends on time, so only verdicts that both runs asked for can be compared.
 */
function apart(one: Heard, other: Heard, within: number): number {
    let largest = 0;
    for (const [i, mine] of one.decisions.entries()) {
        const theirs = other.decisions[i];
        if (theirs === undefined) break;
        const place = mine.candidates.findIndex((token, rank) => token !== theirs.candidates[rank]);
        // Candidates that are as good as equally probable may change places.
        if (place >= 0 && within > 0)
            return Math.max(largest, difference(mine.probabilities[place], theirs.probabilities[place]));
        for (const [rank, verdict] of mine.verdicts.entries())
            largest = Math.max(largest, difference(verdict, theirs.verdicts[rank]));
        // A verdict that is as good as the threshold may fall on either side of it.
        if (mine.chosen !== theirs.chosen && within > 0)
            return Math.max(largest, toThreshold([...mine.verdicts, ...theirs.verdicts]));
    }
    return one.tokens.join() === other.tokens.join() ? largest : Number.POSITIVE_INFINITY;
}

function difference(a: number | null | undefined, b: number | null | undefined): number {
    return a == null || b == null ? 0 : Math.abs(a - b);
}

function toThreshold(verdicts: readonly (number | null)[]): number {
    return Math.min(...verdicts.map((verdict) => (verdict === null ? 1 : Math.abs(verdict - threshold))));
}

async function expectIndependent(
    model: LlamaModel,
    options: Options,
    {prompts, length, within}: {prompts: readonly Token[][]; length: number; within: number}
): Promise<void> {
    const together = await hear(model, options, prompts, length);
    expect(rejections(together.stats)).toBeGreaterThan(together.stats.decisions / 4);
    for (const [i, prompt] of prompts.entries()) {
        const {heard} = await hear(model, options, [prompt], length);
        expect(apart(together.heard[i] as Heard, heard[0] as Heard, within), `sequence ${i}`).toBeLessThanOrEqual(
            within
        );
    }
}

function randomPrompts(seed: number, count: number, shortest: number, longest: number): Token[][] {
    const random = seededRandom(seed);
    return Array.from({length: count}, () =>
        Array.from(
            {length: random.integer(shortest, longest)},
            () => random.integer(firstWord, vocabularySize - 1) as Token
        )
    );
}

// llama.cpp computes a token of a model with F16 or F32 weights differently by its company (docs/design.md).
const types = [
    {dtype: "Q4_0", within: 0},
    {dtype: "Q4_1", within: 0},
    {dtype: "Q8_0", within: 0},
    {dtype: "Q5_K", within: 0},
    {dtype: "Q6_K", within: 0},
    {dtype: "Q4_K", within: 0.1},
    {dtype: "F16", within: 2e-3},
    {dtype: "F32", within: 2e-3}
] as const;

describe.each(types)("Sequences of a model with $dtype weights", ({dtype, within}) => {
    let model: LlamaModel;
    const width = dtype.endsWith("_K") ? 256 : 64;
    const agent = randomAgent(width, 42, {bias: -1});
    beforeAll(async () => {
        model = await loadTinyModel({seed: 31, sharpness: 4, dtype, width});
    });
    afterAll(async () => model.dispose());

    it.each([4, 8, 16])("%i at once give what each gives alone", async (count) => {
        await expectIndependent(
            model,
            {...small, agent},
            {
                prompts: randomPrompts(count, count, 1, 20),
                length: 24,
                within
            }
        );
    });

    it.each([[[1]], [[4]]])("do so with waves of %o", async (waves) => {
        await expectIndependent(
            model,
            {...small, agent, waves},
            {
                prompts: randomPrompts(7, 4, 1, 20),
                length: 24,
                within
            }
        );
    });

    it("do so whether short batches are decoded as a whole or token by token", async () => {
        const prompts = randomPrompts(13, 5, 1, 20);
        const hearIn = async (batches: "whole" | "alone") =>
            (await hear(model, {...small, agent, waves: [2], batches}, prompts, 24)).heard;
        const [whole, alone] = [await hearIn("whole"), await hearIn("alone")];
        const difference = Math.max(...whole.map((one, i) => apart(one, alone[i] as Heard, within)));
        expect(difference).toBeLessThanOrEqual(within);
        // Where llama.cpp rounds a batch otherwise, the comparison shows it.
        if (dtype === "F32" && native().kernels().includes("avx2")) expect(difference).toBeGreaterThan(0);
    });

    it("do so after long prompts, which are computed in tiles", async () => {
        await expectIndependent(
            model,
            {...small, agent},
            {
                prompts: randomPrompts(11, 4, 60, 140),
                length: 16,
                within
            }
        );
    });
});

describe.each(["F32", "F16", "Q4_K"] as const)("Decoded alone, sequences of a model with %s weights", (dtype) => {
    it("give what each gives alone, to the bit", async () => {
        const width = dtype === "Q4_K" ? 256 : 64;
        const model = await loadTinyModel({seed: 31, sharpness: 4, dtype, width});
        const options = {...small, agent: randomAgent(width, 42, {bias: -1}), batches: "alone"} as const;
        for (const prompts of [randomPrompts(5, 5, 1, 20), randomPrompts(16, 16, 1, 20), randomPrompts(11, 4, 60, 140)])
            await expectIndependent(model, options, {prompts, length: 24, within: 0});
        await model.dispose();
    });
});

it("Only weights of the types above, without an adapter, are taken for rounded alike", async () => {
    const adapter = join(modelFolder, `independence-${process.pid}.gguf`);
    writeLora(adapter, 64);
    for (const {dtype, within} of types.filter(({dtype}) => !dtype.endsWith("_K"))) {
        const model = await loadTinyModel({seed: 31, sharpness: 4, dtype});
        const isAlike = async (options: object) => {
            const context = await model.createContext({...small, ...options});
            const alike = isRoundedAlike(context);
            await context.dispose();
            return alike;
        };
        const can = within === 0 && native().kernels().includes("avx2");
        expect([await isAlike({}), await isAlike({lora: adapter}), await isAlike({flashAttention: false})]).toEqual([
            can,
            false,
            false
        ]);
        await model.dispose();
    }
    rmSync(adapter);
});

it("Batches are not decoded alone in serial mode, and there is no other way", async () => {
    const model = await loadTinyModel();
    const agent = randomAgent(64, 42);
    const refused = (options: object) =>
        expect(createAlignedContext(model, {agent, ...small, ...options})).rejects.toMatchObject({
            code: "INVALID_ARGUMENT",
            message: expect.stringContaining("for batches but received")
        });
    await refused({mode: "serial", batches: "alone"});
    await refused({batches: "halves"});
    await model.dispose();
});

describeWithTestModel("Sequences of a real model", () => {
    let model: LlamaModel;
    beforeAll(async () => {
        model = await loadTestModel();
    });
    afterAll(async () => model.dispose());

    it("4 at once give what each gives alone", async () => {
        const texts = [
            "Once upon a time, in a land far away,",
            "The best way to learn a language is",
            "Dear Sir or Madam, I am writing to",
            "In the year 1969, people"
        ];
        const prompts = texts.map((text) => model.tokenize(text, true));
        const states = await statesOfPrompts(model, prompts);
        const agent = randomAgent(model.embeddingVectorSize, 5, {bias: -1, states});
        await expectIndependent(model, {...small, agent}, {prompts, length: 40, within: 0});
    });
});
