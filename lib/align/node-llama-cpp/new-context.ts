import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {MaraError, reasonOf} from "../../errors.js";

/**
 * `model.createContext`, with failures as MaraErrors.
 * @throws MaraError CONTEXT_FAILED; the reason of `createSignal`
 */
export async function newContext(model: LlamaModel, options: LlamaContextOptions): Promise<LlamaContext> {
    try {
        return await model.createContext(options);
    } catch (error) {
        if (error instanceof MaraError || options.createSignal?.aborted) throw error;
        const fix = "Check the options, free memory, or ask for a smaller `contextSize`.";
        throw new MaraError("CONTEXT_FAILED", `Could not create a context: ${reasonOf(error)}. ${fix}`, {cause: error});
    }
}
