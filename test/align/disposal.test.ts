import {setTimeout as sleep} from "node:timers/promises";
import {DisposedError, type LlamaContextSequence, type LlamaModel, type Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {createAlignedContext, type MaraAgent, MaraError} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, loadTinyModel, precise} from "../support/models.js";
import {align, expectCacheInStep, modes} from "./harness.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await loadTinyModel();
    agent = randomAgent(model.embeddingVectorSize, 5);
});
afterAll(() => model?.dispose());

const prompt = () => model.tokenize("once there was a hen and");
const limit = 10_000;

/** Generates until an error ends it. @returns the error, and the tokens until then */
async function untilEnded(sequence: LlamaContextSequence, tokens: Token[] = []) {
    const text = prompt();
    const run = async () => {
        for await (const token of sequence.evaluate(text, {yieldEogToken: true})) tokens.push(token);
    };
    const hang = AbortSignal.timeout(limit);
    const error = await Promise.race([
        run().catch((reason: unknown) => reason),
        new Promise((resolve) => hang.addEventListener("abort", () => resolve("hangs")))
    ]);
    return {error, tokens};
}

/** Moments in a generation at which something is disposed: within all phases of a step, which takes a few milliseconds. */
const moments = Array.from({length: 14}, (_, i) => i * 0.9);

async function at(moment: number): Promise<void> {
    const start = performance.now();
    await sleep(Math.floor(moment));
    while (performance.now() - start < moment) await new Promise(setImmediate);
}

describe.each(modes)("While an aligned sequence generates (%s)", (mode) => {
    const options = {...precise, mode, strategy: "max-prob", sequences: 2} as const;

    it("its context can be disposed", async () => {
        for (const moment of moments) {
            const {context, aligner} = await createAlignedContext(model, {...options, agent});
            const runs = [untilEnded(context.getSequence()), untilEnded(context.getSequence())];
            await at(moment);
            await context.dispose();
            for (const {error} of await Promise.all(runs)) expect(error).toBeInstanceOf(DisposedError);
            expect(aligner.disposed).toBe(true);
        }
    });

    it("it can be disposed, and the other goes on", async () => {
        const {context: fresh} = await align(model, {...options, agent});
        const wanted = await generate(fresh.getSequence(), prompt(), 20);
        const {context, aligner} = await align(model, {...options, agent});
        const other = context.getSequence();
        for (const moment of moments) {
            const sequence = context.getSequence();
            const ended = untilEnded(sequence);
            const text = generate(other, prompt(), 20);
            await at(moment);
            await sequence.dispose();
            await ended;
            expect(await text).toEqual(wanted);
            expectCacheInStep(other, aligner);
            await other.clearHistory();
        }
        // Its number is free, and its remains disturb no other sequence.
        expect(await generate(context.getSequence(), prompt(), 20)).toEqual(wanted);
    });

    it("its model can be disposed", async () => {
        for (const moment of moments.slice(0, 5)) {
            const own = await loadTinyModel();
            const {context} = await createAlignedContext(own, {...options, agent});
            const ended = untilEnded(context.getSequence());
            await at(moment);
            await own.dispose();
            expect((await ended).error).toBeInstanceOf(DisposedError);
            expect(context.disposed).toBe(true);
        }
    });

    it("its agent can be disposed: an error says so, and another agent takes over where it was", async () => {
        const {context, aligner} = await align(model, {...options, agent});
        const sequence = context.getSequence();
        const {context: fresh} = await align(model, {...options, agent});
        const reference = fresh.getSequence();
        for (const [i, moment] of moments.entries()) {
            const own = randomAgent(model.embeddingVectorSize, 5);
            aligner.configure({agent: own});
            const tokens: Token[] = [];
            const ended = untilEnded(sequence, tokens);
            while (tokens.length < i % 3) await new Promise(setImmediate);
            await at(moment / 4);
            own.dispose();
            const {error} = await ended;
            expect(error).toBeInstanceOf(MaraError);
            const {code, message} = error as MaraError;
            expect(code).toBe("AGENT_DISPOSED");
            expect(message).toMatch(/^The agent (was|is) disposed/);
            // The cache holds the emitted tokens only: the decision that failed left nothing.
            expectCacheInStep(sequence, aligner);
            expect(sequence.contextTokens).toEqual([...prompt(), ...tokens].slice(0, sequence.nextTokenIndex));

            aligner.configure({agent});
            const text = [...sequence.contextTokens];
            const more = model.tokenize("so");
            await reference.clearHistory();
            expect(await generate(sequence, more, 5)).toEqual(await generate(reference, [...text, ...more], 5));
            await sequence.clearHistory();
        }
    });

    it("an agent disposed by a listener fails the next decision only", async () => {
        const own = randomAgent(model.embeddingVectorSize, 5);
        const {context, aligner} = await align(model, {...options, agent: own});
        const sequence = context.getSequence();
        aligner.onDecision(() => own.dispose());
        const {error, tokens} = await untilEnded(sequence);
        expect(error).toMatchObject({code: "AGENT_DISPOSED", message: "The agent was disposed"});
        expect(tokens.length).toBeGreaterThan(0);
        aligner.enabled = false;
        expect(await generate(sequence, model.tokenize("so"), 3)).toHaveLength(3);
    });
});
