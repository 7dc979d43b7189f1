/** Tokens that wait for a batch when their sequence is disposed, cleared or cut, while others generate. */
import {
    type CustomBatchingPrioritizationStrategy,
    DisposedError,
    type LlamaContext,
    type LlamaContextOptions,
    type LlamaContextSequence,
    type LlamaModel,
    type Token
} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {MaraAgent} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {align, expectCacheInStep, modes, numberOf} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
let prompt: Token[];
beforeAll(async () => {
    model = await loadTinyModel();
    agent = randomAgent(model.embeddingVectorSize, 5);
    prompt = model.tokenize("once there was a hen and");
});
afterAll(() => model?.dispose());

const length = 4;

/** The next tokens of a generation that has begun. */
async function rest(generation: AsyncGenerator<Token>, first: Promise<IteratorResult<Token>>): Promise<Token[]> {
    const tokens: Token[] = [];
    for (let next = await first; !next.done; next = await generation.next())
        if (tokens.push(next.value) === length) break;
    await generation.return(undefined);
    return tokens;
}

describe.each(modes)("A token that waits for its batch (%s)", (mode) => {
    async function open(options: LlamaContextOptions = {}) {
        // With a third sequence node-llama-cpp does not begin a batch as soon as these two wait.
        const {context, aligner} = await align(model, {...options, agent, mode, lanes: 3, sequences: 3});
        const [one, two] = [context.getSequence(), context.getSequence()];
        const generations = [one, two].map((sequence) => sequence.evaluate(prompt, {yieldEogToken: true}));
        await Promise.all(generations.map((generation) => generation.next()));
        // The batch has ended when the context's lock is free again.
        await one.eraseContextTokenRanges([]);
        const [ofOne, ofTwo] = generations as [AsyncGenerator<Token>, AsyncGenerator<Token>];
        return {context, aligner, one, two, ofOne, ofTwo};
    }

    const alone = async (tokens: Token[], count: number) => {
        const {context} = await align(model, {agent, mode, lanes: 3, sequences: 2});
        return await generate(context.getSequence(), tokens, count);
    };

    /** The generation's next token, which waits for its batch. */
    async function begin(context: LlamaContext, generation: AsyncGenerator<Token>) {
        const {_queuedDecodes: queue} = context as unknown as {_queuedDecodes: unknown[]};
        const {length: before} = queue;
        const next = generation.next();
        next.catch(() => {});
        while (queue.length === before) await Promise.resolve();
        return {next};
    }

    /** Disposes `sequence`, and takes the next, which has its number. */
    async function replace(context: LlamaContext, sequence: LlamaContextSequence): Promise<LlamaContextSequence> {
        const {sequencesLeft: before} = context;
        await sequence.dispose();
        // node-llama-cpp 3.18 frees the number a moment later.
        while (context.sequencesLeft === before) await Promise.resolve();
        const next = context.getSequence();
        expect(numberOf(next)).toBe(numberOf(sequence));
        return next;
    }

    it.each(["asked for", "queued"])(
        "ends with its sequence, once %s; the next of that number and the others go on",
        async (when) => {
            const {context, aligner, one, two, ofOne, ofTwo} = await open();
            const waiting = when === "queued" ? (await begin(context, ofOne)).next : ofOne.next();
            const beside = rest(ofTwo, ofTwo.next());
            const next = await replace(context, one);
            const text = generate(next, prompt, length);
            await expect(waiting).rejects.toBeInstanceOf(DisposedError);
            const wanted = await alone(prompt, length + 1);
            expect(await text).toEqual(wanted.slice(0, -1));
            expect(await beside).toEqual(wanted.slice(1));
            for (const sequence of [next, two]) expectCacheInStep(sequence, aligner);
        }
    );

    it("is not taken for the next text's, which ends just before it", async () => {
        const itemPrioritizationStrategy: CustomBatchingPrioritizationStrategy = ({items, size}) =>
            [...items].reverse().map((item) => ({item, processAmount: size}));
        const {context, one, ofOne} = await open({batching: {itemPrioritizationStrategy}});
        const other = model.tokenize("the cat sat on a mat and saw").slice(0, one.nextTokenIndex);
        expect(other).toHaveLength(one.nextTokenIndex);
        const {next: waiting} = await begin(context, ofOne);
        const next = await replace(context, one);
        const text = generate(next, other, length);
        await expect(waiting).rejects.toBeInstanceOf(DisposedError);
        expect(await text).toEqual(await alone(other, length));
    });

    it.each([
        ["cleared", (sequence: LlamaContextSequence) => sequence.clearHistory()],
        ["cut", (sequence: LlamaContextSequence) => sequence.eraseContextTokenRanges([{start: 2, end: 4}])]
    ])("fails alone where its sequence is %s, which can be used again", async (_, change) => {
        const {context, aligner, one, two, ofOne, ofTwo} = await open();
        const {next: waiting} = await begin(context, ofOne);
        const beside = rest(ofTwo, ofTwo.next());
        await change(one);
        const left = one.nextTokenIndex;
        await expect(waiting).rejects.toMatchObject({code: "SEQUENCE_CHANGED"});
        expect(one.nextTokenIndex).toBe(left);
        expect(await beside).toEqual((await alone(prompt, length + 1)).slice(1));
        for (const sequence of [one, two]) expectCacheInStep(sequence, aligner);
        await one.clearHistory();
        expect(await generate(one, prompt, length)).toEqual(await alone(prompt, length));
    });
});
