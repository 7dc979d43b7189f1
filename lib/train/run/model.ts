import type {Llama, LlamaModel} from "node-llama-cpp";
import {MaraError} from "../../errors.js";
import {loadModelFile} from "../../model-file.js";

/** A file's model, freed by `close`; or a model that was given, which stays the caller's. @throws MaraError MODEL_UNSUPPORTED */
export async function openModel(
    source: string | LlamaModel,
    llama: Llama | undefined
): Promise<{model: LlamaModel; close: () => Promise<void>}> {
    return typeof source === "string" ? await openModelFile(source, llama) : {model: source, close: async () => {}};
}

/**
 * Loads a model's file, with a node-llama-cpp instance of its own where none is given.
 * @returns the model, and what frees all that was opened
 * @throws MaraError MODEL_UNSUPPORTED
 */
export async function openModelFile(
    modelPath: string,
    given: Llama | undefined
): Promise<{model: LlamaModel; close: () => Promise<void>}> {
    // node-llama-cpp is loaded here, because the command line does without it where it can.
    const {getLlama, LlamaLogLevel} = await import("node-llama-cpp");
    const llama = given ?? (await getLlama({build: "never", logLevel: LlamaLogLevel.error}));
    try {
        const model = await loadModelFile(llama, modelPath);
        return {model, close: () => (given === undefined ? llama.dispose() : model.dispose())};
    } catch (error) {
        if (given === undefined) await llama.dispose();
        throw new MaraError("MODEL_UNSUPPORTED", `Could not load the model ${modelPath}: ${(error as Error).message}`, {
            cause: error
        });
    }
}
