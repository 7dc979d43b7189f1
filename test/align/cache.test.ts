import {existsSync, mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaContextSequence, LlamaModel, SequenceEvaluateOptions, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {align, expectCacheInStep, lastCell, modes, numberOf, plain, rejections} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
const folder = mkdtempSync(join(tmpdir(), "mara-state-"));
beforeAll(async () => {
    model = await loadTinyModel();
    agent = randomAgent(model.embeddingVectorSize, 5);
});
afterAll(async () => {
    await model?.dispose();
    rmSync(folder, {recursive: true});
});

const prompt = () => model.tokenize("once there was a hen and");
const few = {candidates: {topK: 4}} as const;

/** Runs the same calls on an aligned sequence and on a plain one; all candidates are rejected, so both are greedy. */
async function likePlain(
    mode: (typeof modes)[number],
    run: (sequence: LlamaContextSequence) => Promise<unknown>
): Promise<void> {
    const {context, aligner} = await align(model, {agent: rejectAll(model.embeddingVectorSize), mode, ...few});
    const sequence = context.getSequence();
    const reference = (await plain(model)).getSequence();
    const wanted = await run(reference);
    expect(await run(sequence)).toEqual(wanted);
    expect(sequence.contextTokens).toEqual(reference.contextTokens);
    expect(aligner.stats().fallbacks).toBeGreaterThan(10);
    expectCacheInStep(sequence, aligner);
}

/** `generate` that never stops early: the tiny model's end of text is a token like others. */
async function goOn(sequence: LlamaContextSequence, tokens: Token[], count: number, options?: SequenceEvaluateOptions) {
    const emitted: Token[] = [];
    for await (const token of sequence.evaluate(tokens, {...options, yieldEogToken: true})) {
        emitted.push(token);
        if (emitted.length === count) break;
    }
    return emitted;
}

describe.each(modes)("The cache of an aligned sequence (%s)", (mode) => {
    it("shifts when the context is full, as a plain one does", () =>
        likePlain(mode, (sequence) => goOn(sequence, prompt(), 330)));

    it("shifts by the caller's strategy", () =>
        likePlain(mode, (sequence) => {
            const strategy = ({size}: {size: number}) => [{start: 10, end: 10 + size}];
            return goOn(sequence, prompt(), 290, {contextShift: {size: 40, strategy}});
        }));

    it("erases ranges in the middle and at the end", () =>
        likePlain(mode, async (sequence) => {
            const first = await goOn(sequence, prompt(), 20);
            await sequence.eraseContextTokenRanges([
                {start: 3, end: 6},
                {start: 12, end: 14}
            ]);
            const second = await goOn(sequence, first.slice(-1), 12);
            await sequence.eraseContextTokenRanges([
                {start: sequence.nextTokenIndex - 5, end: sequence.nextTokenIndex}
            ]);
            const third = await goOn(sequence, model.tokenize("so"), 12);
            await sequence.clearHistory();
            return [first, second, third, await goOn(sequence, prompt(), 5)];
        }));

    it("adapts to other tokens, as chat sessions do between turns", () =>
        likePlain(mode, async (sequence) => {
            const first = await goOn(sequence, prompt(), 12);
            const kept = [...prompt().slice(0, 4), ...prompt().slice(6), ...first.slice(0, 6)];
            await sequence.adaptStateToTokens(kept);
            const rest = kept.slice(sequence.nextTokenIndex);
            return [first, sequence.nextTokenIndex, await goOn(sequence, [...rest, ...model.tokenize("so")], 10)];
        }));

    it("holds no more than the text after an answer, whatever the agent does", async () => {
        for (const someAgent of [agent, acceptAll(model.embeddingVectorSize), rejectAll(model.embeddingVectorSize)]) {
            const {context, aligner} = await align(model, {agent: someAgent, mode, ...few});
            const sequence = context.getSequence();
            for (const count of [1, 2, 7]) {
                await generate(sequence, prompt(), count);
                expectCacheInStep(sequence, aligner);
            }
            await sequence.eraseContextTokenRanges([{start: 4, end: 5}]);
            expect(lastCell(context, numberOf(sequence))).toBe(sequence.nextTokenIndex - 1);
            await sequence.dispose();
            expect(lastCell(context, 0)).toBe(-1);
        }
    });

    it("is saved without the token that was decided but not asked for", async () => {
        const {context} = await align(model, {agent: acceptAll(model.embeddingVectorSize), mode});
        const sequence = context.getSequence();
        const tokens = (await generate(sequence, prompt(), 8)) as Token[];
        const file = join(folder, `${mode}.state`);
        await sequence.saveStateToFile(file);
        expect(existsSync(file)).toBe(true);
        expect(lastCell(context, numberOf(sequence))).toBe(sequence.nextTokenIndex - 1);

        const loaded = (await plain(model)).getSequence();
        await loaded.loadStateFromFile(file, {acceptRisk: true});
        expect(loaded.contextTokens).toEqual([...prompt(), ...tokens.slice(0, -1)]);
        expect(lastCell(loaded.context, numberOf(loaded))).toBe(loaded.nextTokenIndex - 1);
        // Everything was accepted, so the plain context goes on with the same text.
        const last = tokens.slice(-1);
        expect(await generate(loaded, last, 8)).toEqual(await generate(sequence, last, 8));
    });

    it.each(["plain", "aligned"])("is loaded from a state that a %s context saved", async (kind) => {
        const saving =
            kind === "plain"
                ? (await plain(model)).getSequence()
                : (await align(model, {agent, mode})).context.getSequence();
        await saving.evaluateWithoutGeneratingNewTokens(prompt());
        const file = join(folder, `${kind}-${mode}.state`);
        await saving.saveStateToFile(file);

        const {context, aligner} = await align(model, {agent, mode});
        const sequence = context.getSequence();
        await sequence.loadStateFromFile(file, {acceptRisk: true});
        expect(sequence.contextTokens).toEqual(prompt());
        const rest = model.tokenize("so");
        const found = await generate(sequence, rest, 12);
        const fresh = (await align(model, {agent, mode})).context.getSequence();
        expect(found).toEqual(await generate(fresh, [...prompt(), ...rest], 12));
        expect(rejections(aligner.stats())).toBeGreaterThan(0);
        expectCacheInStep(sequence, aligner);
    });

    it("forgets a decided token when another state is loaded under it", async () => {
        const {context, aligner} = await align(model, {agent: acceptAll(model.embeddingVectorSize), mode});
        const sequence = context.getSequence();
        const text = prompt();
        const [token] = (await generate(sequence, text, 1)) as [Token];
        // A state of the same length, so that the decided token would seem to be in place.
        const other = (await plain(model)).getSequence();
        await other.evaluateWithoutGeneratingNewTokens([...text].reverse());
        const file = join(folder, `other-${mode}.state`);
        await other.saveStateToFile(file);
        await sequence.loadStateFromFile(file, {acceptRisk: true});
        expect(await generate(sequence, [token], 6)).toEqual(await generate(other, [token], 6));
        expectCacheInStep(sequence, aligner);
    });

    it("gives a new sequence with an old number an empty cache", async () => {
        const {context, aligner} = await align(model, {agent, mode});
        const first = context.getSequence();
        const wanted = await generate(first, prompt(), 10);
        await first.dispose();
        const second = context.getSequence();
        expect(numberOf(second)).toBe(numberOf(first));
        expect(lastCell(context, numberOf(second))).toBe(-1);
        expect(await generate(second, prompt(), 10)).toEqual(wanted);
        expectCacheInStep(second, aligner);
    });
});
