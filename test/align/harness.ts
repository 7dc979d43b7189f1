import type {LlamaContext, LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {expect, onTestFinished} from "vitest";
import {
    type AlignedContextOptions,
    type Aligner,
    type AlignerStats,
    createAlignedContext,
    type MaraAgent,
    type Mode
} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {lastCell} from "../support/cells.js";
import {precise, small} from "../support/models.js";

export const modes = ["lanes", "serial"] as const;

const defaultsFor = (model: LlamaModel) => (model.fileInfo.metadata.general.name === "tiny" ? precise : small);

/** An aligned context that ends with the test. */
export async function align(
    model: LlamaModel,
    options: AlignedContextOptions
): Promise<{context: LlamaContext; aligner: Aligner}> {
    const made = await createAlignedContext(model, {...defaultsFor(model), ...options});
    onTestFinished(() => made.context.dispose());
    return made;
}

/** A plain context that ends with the test. */
export async function plain(model: LlamaModel, options: {contextSize?: number; sequences?: number} = {}) {
    const context = await model.createContext({...defaultsFor(model), ...options});
    onTestFinished(() => context.dispose());
    return context;
}

const texts = "The sky is|Hello! I am|Once upon a time|1, 2, 3,|Why not|My name|The cat sat on the|Please".split("|");

/** An agent that accepts about half of what the model thinks of, and is never in doubt. */
export async function agentFor(model: LlamaModel, seed: number): Promise<MaraAgent> {
    const context = await model.createEmbeddingContext({contextSize: 64, threads: 1});
    const states: number[] = [];
    for (const text of texts) states.push(...(await context.getEmbeddingFor(text)).vector);
    await context.dispose();
    return randomAgent(model.embeddingVectorSize, seed, {states: Float32Array.from(states)});
}

/** Counts the calls of node-llama-cpp's own chain, and how many of them ran at a time. */
export function watchChain(context: LlamaContext): {calls: number; atATime: number} {
    const native = (context as unknown as {_ctx: object})._ctx;
    const stock = Object.getPrototypeOf(native) as {sampleToken(...args: unknown[]): Promise<unknown>};
    const seen = {calls: 0, atATime: 0};
    let running = 0;
    const watching = Object.create(stock, {
        sampleToken: {
            async value(...args: unknown[]) {
                seen.calls++;
                seen.atATime = Math.max(seen.atATime, ++running);
                try {
                    return await stock.sampleToken.apply(this, args);
                } finally {
                    running--;
                }
            }
        }
    });
    Object.setPrototypeOf(native, watching);
    return seen;
}

interface StockContext {
    getSequenceKvCacheMaxPosition(sequence: number): number;
}

/** The last position as node-llama-cpp is told. */
export function lastVisibleCell(sequence: LlamaContextSequence): number {
    const {_ctx} = sequence.context as unknown as {_ctx: StockContext};
    return _ctx.getSequenceKvCacheMaxPosition(numberOf(sequence));
}

export function numberOf(sequence: LlamaContextSequence): number {
    return (sequence as unknown as {_sequenceId: number})._sequenceId;
}

/** node-llama-cpp sees its own tokens only, and every lane (of the three that every test has) is empty (docs/design.md). */
export function expectCacheInStep(sequence: LlamaContextSequence, {mode}: {mode: Mode}): void {
    const {context} = sequence;
    expect(lastVisibleCell(sequence)).toBe(sequence.nextTokenIndex - 1);
    expect(lastCell(context, numberOf(sequence))).toBeLessThanOrEqual(sequence.nextTokenIndex);
    // llama.cpp ends the process when asked for a sequence that it does not have.
    if (mode === "serial") return;
    for (let lane = context.totalSequences; lane < context.totalSequences + 3; lane++)
        expect(lastCell(context, lane)).toBe(-1);
}

/** Decisions whose top candidate was not emitted by acceptance. Without any, a test of alignment shows nothing. */
export function rejections({decisions, acceptedRanks}: AlignerStats): number {
    return decisions - (acceptedRanks[0] ?? 0);
}

export {lastCell} from "../support/cells.js";
export {failure as refusal} from "../support/failure.js";
