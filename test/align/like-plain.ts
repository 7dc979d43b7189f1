import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {expect, onTestFinished} from "vitest";
import type {Aligner, Mode} from "../../lib/index.js";
import {acceptAll} from "../support/agents.js";
import {align} from "./harness.js";

const base = {contextSize: 256, threads: 1} as const;

/**
 * Runs the same calls on a plain context and on one whose agent accepts everything. Both must give the same.
 * @returns what they gave, and the aligner
 */
export async function likePlain<T>(
    model: LlamaModel,
    mode: Mode,
    run: (context: LlamaContext) => Promise<T> | T,
    options: LlamaContextOptions = {}
): Promise<{wanted: T; aligner: Aligner}> {
    const plain = await model.createContext({...base, ...options});
    onTestFinished(() => plain.dispose());
    const agent = acceptAll(model.embeddingVectorSize);
    const {context, aligner} = await align(model, {...base, ...options, agent, mode});
    const wanted = await run(plain);
    expect(await run(context)).toEqual(wanted);
    return {wanted, aligner};
}
