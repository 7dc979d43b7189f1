import {setTimeout as sleep} from "node:timers/promises";
import {type LlamaContextSequence, type LlamaModel, type Token, TokenBias} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import type {MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel} from "../support/models.js";
import {seededRandom} from "../support/random.js";
import {align, expectCacheInStep, modes, plain, rejections, watchChain} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel();
    agent = randomAgent(model.embeddingVectorSize, 5);
});
afterAll(() => model?.dispose());

const texts = ["once there was a hen and", "but", "the rain is on the", "so it came to me that"];
const prompts = () => texts.map((text) => model.tokenize(text));

/** Takes the tokens at its own pace, so that sequences meet in ever other batches. */
async function atOwnPace(sequence: LlamaContextSequence, prompt: Token[], count: number, seed: number) {
    const random = seededRandom(seed);
    const tokens: Token[] = [];
    for await (const token of sequence.evaluate(prompt, {yieldEogToken: true})) {
        tokens.push(token);
        if (tokens.length === count || model.isEogToken(token)) break;
        const pause = random.integer(0, 5);
        if (pause > 2) await sleep(pause - 3);
        else for (let i = 0; i < pause; i++) await new Promise(setImmediate);
    }
    return tokens;
}

describe.each(modes)("Sequences side by side (%s)", (mode) => {
    const alone = async (someAgent: MaraAgent, count: number) => {
        const {context} = await align(model, {agent: someAgent, mode});
        const sequence = context.getSequence();
        const found: number[][] = [];
        for (const prompt of prompts()) {
            await sequence.clearHistory();
            found.push(await generate(sequence, prompt, count));
        }
        await context.dispose();
        return found;
    };

    it("write what each writes alone", async () => {
        const wanted = await alone(agent, 25);
        const {context, aligner} = await align(model, {agent, mode, sequences: 4});
        const sequences = prompts().map(() => context.getSequence());
        const found = await Promise.all(
            prompts().map((prompt, i) => generate(sequences[i] as LlamaContextSequence, prompt, 25))
        );
        expect(found).toEqual(wanted);
        expect(rejections(aligner.stats())).toBeGreaterThan(10);
        for (const sequence of sequences) expectCacheInStep(sequence, aligner);
    });

    it("do so at any pace, on few lanes, and with other sequences that only read", async () => {
        for (const someAgent of [agent, acceptAll(model.embeddingVectorSize), rejectAll(model.embeddingVectorSize)]) {
            const wanted = await alone(someAgent, 20);
            const {context, aligner} = await align(model, {
                agent: someAgent,
                mode,
                sequences: 5,
                ...(mode === "lanes" && {lanes: 3})
            });
            const sequences = prompts().map(() => context.getSequence());
            const reader = context.getSequence();
            let reading = true;
            const read = async () => {
                while (reading) {
                    await reader.evaluateWithoutGeneratingNewTokens(prompts()[0] as Token[]);
                    await reader.clearHistory();
                    await sleep(3);
                }
            };
            const done = read();
            const found = await Promise.all(
                prompts().map((prompt, i) => atOwnPace(sequences[i] as LlamaContextSequence, prompt, 20, i))
            );
            reading = false;
            await done;
            expect(found).toEqual(wanted);
            for (const sequence of sequences) expectCacheInStep(sequence, aligner);
        }
    });

    it("have their rows read side by side where the chain is asked", async () => {
        // A bias of zero changes nothing, and the chain is needed for it.
        const bias = {tokenBias: TokenBias.for(model).set(model.tokenize("hen")[0] as Token, {logit: 0})};
        const wanted = await alone(agent, 20);
        const {context, aligner} = await align(model, {agent, mode, sequences: 4, waves: [1]});
        const sequences = prompts().map(() => context.getSequence());
        const chain = watchChain(context);
        const found = await Promise.all(
            prompts().map((prompt, i) => generate(sequences[i] as LlamaContextSequence, prompt, 20, bias))
        );
        expect(found).toEqual(wanted);
        expect(chain.atATime).toBe(4);
        expect(rejections(aligner.stats())).toBeGreaterThan(10);
        for (const sequence of sequences) expectCacheInStep(sequence, aligner);
    });

    it("can be aligned and not aligned in one context", async () => {
        const {context, aligner} = await align(model, {agent, mode, sequences: 2});
        const [on, off] = [context.getSequence(), context.getSequence()];
        aligner.configure({enabled: false}, off);
        const prompt = prompts()[0] as Token[];
        const [aligned, greedy] = await Promise.all([generate(on, prompt, 25), generate(off, prompt, 25)]);
        expect(aligned).toEqual((await alone(agent, 25))[0]);
        expect(greedy).toEqual(await generate((await plain(model)).getSequence(), prompt, 25));
        expect(aligned).not.toEqual(greedy);
        expect(aligner.stats(off).decisions).toBe(0);
    });
});

describe("Contexts side by side on one model", () => {
    it("have agents of their own, in either mode, beside a plain one", async () => {
        const agents = [agent, randomAgent(model.embeddingVectorSize, 6), rejectAll(model.embeddingVectorSize)];
        const prompt = prompts()[0] as Token[];
        const made = await Promise.all(
            agents.flatMap((own) => modes.map((mode) => align(model, {agent: own, mode, fallbackIndex: 1})))
        );
        const stock = await plain(model);
        const sequences = [...made.map(({context}) => context.getSequence()), stock.getSequence()];
        const apart: number[][] = [];
        for (const sequence of sequences) {
            apart.push(await generate(sequence, prompt, 25));
            await sequence.clearHistory();
        }
        const together = await Promise.all(sequences.map((sequence) => generate(sequence, prompt, 25)));
        expect(together).toEqual(apart);
        // One text per agent, the same in both modes, and the plain one.
        expect(together[0]).toEqual(together[1]);
        expect(together[2]).toEqual(together[3]);
        expect(together[4]).toEqual(together[5]);
        expect(new Set(together.map(String)).size).toBe(4);
        made.forEach(({aligner}, i) => {
            expectCacheInStep(sequences[i] as LlamaContextSequence, aligner);
        });
    });
});
