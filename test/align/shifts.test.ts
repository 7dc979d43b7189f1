/** llama.cpp turns the keys of shifted cells at its next decode. No text depends on which sequence that decode serves. */
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {createAlignedContext} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, loadTinyModel, small} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {firstWord, vocabularySize} from "../support/tiny-model.js";

let model: LlamaModel;
let folder: string;
const agent = randomAgent(64, 42, {bias: -1});
beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "mara-shifts-"));
    model = await loadTinyModel({seed: 31, sharpness: 4, dtype: "Q8_0"});
});
afterAll(async () => {
    await model?.dispose();
    rmSync(folder, {recursive: true});
});

type PromptOf = (length: number) => Token[];
/** What a sequence does; `meanwhile` is the moment at which another one acts. Gives the text to be compared. */
type Act = (sequence: LlamaContextSequence, promptOf: PromptOf, meanwhile: () => Promise<unknown>) => Promise<number[]>;
/** What the other one does. */
type Other = (sequence: LlamaContextSequence, promptOf: PromptOf) => Promise<unknown>;

const promptsOf = (seed: number): PromptOf => {
    const random = seededRandom(seed);
    return (length) => Array.from({length}, () => random.integer(firstWord, vocabularySize - 1) as Token);
};

/** Everything decided in a sequence that acts beside another one. */
async function hear(seed: number, act: Act, other: Other) {
    // The sizes of waves are fixed, since they say which candidates get a verdict.
    const {context, aligner} = await createAlignedContext(model, {...small, agent, sequences: 2, waves: [4]});
    const [sequence, companion] = [context.getSequence(), context.getSequence()];
    const verdicts: (number | null)[][] = [];
    aligner.onDecision((event) => {
        if (event.sequence === sequence)
            verdicts.push(event.candidates.map(({acceptProbability}) => acceptProbability));
    });
    const text = await act(sequence, promptsOf(seed), () => other(companion, promptsOf(seed + 1000)));
    await context.dispose();
    return {text, verdicts};
}

const write: Other = (sequence, promptOf) => generate(sequence, promptOf(30), 16);
const writeAndErase: Other = async (sequence, promptOf) => {
    await write(sequence, promptOf);
    await sequence.eraseContextTokenRanges([{start: 5, end: 12}]);
};

const longPrompt: Act = async (sequence, promptOf, meanwhile) => {
    await meanwhile();
    return await generate(sequence, promptOf(200), 16);
};
const twoShifts: Act = async (sequence, promptOf, meanwhile) => {
    await generate(sequence, promptOf(100), 4);
    await sequence.eraseContextTokenRanges([{start: 5, end: 12}]);
    await meanwhile();
    await sequence.eraseContextTokenRanges([{start: 20, end: 31}]);
    return await generate(sequence, promptOf(2), 16);
};
const savedState: Act = async (sequence, promptOf, meanwhile) => {
    await generate(sequence, promptOf(60), 4);
    await sequence.eraseContextTokenRanges([{start: 5, end: 12}]);
    await meanwhile();
    const file = join(folder, "text.state");
    await sequence.saveStateToFile(file);
    await sequence.loadStateFromFile(file, {acceptRisk: true});
    return await generate(sequence, promptOf(2), 16);
};

it.each([
    // With few seeds the place of a long prompt in the cache shows in a verdict.
    {what: "A long prompt after another sequence was shifted", act: longPrompt, other: writeAndErase, seeds: [24, 27]},
    {what: "Two shifts with another's decodes in between", act: twoShifts, other: write, seeds: [1, 2]},
    {what: "A state saved after a shift and another's decodes", act: savedState, other: write, seeds: [1, 2]}
])("$what: every verdict is what it is alone", async ({act, other, seeds}) => {
    for (const seed of seeds) {
        const beside = await hear(seed, act, other);
        const alone = await hear(seed, act, async () => {});
        expect(beside, `seed ${seed}`).toEqual(alone);
    }
});
