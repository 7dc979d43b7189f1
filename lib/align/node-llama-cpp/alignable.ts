import type {LlamaModel} from "node-llama-cpp";
import {MaraError} from "../../errors.js";
import {check} from "../../validation/check.js";
import {loadedModel} from "../../validation/schemas.js";

/**
 * Refuses models that cannot be aligned.
 * @throws MaraError MODEL_UNSUPPORTED, INVALID_ARGUMENT
 */
export function requireAlignable(model: LlamaModel): void {
    check(loadedModel, model, "model");
    if (model.disposed) throw new MaraError("MODEL_UNSUPPORTED", "The model is disposed. Load it again.");
    const {fileInsights, fileInfo} = model;
    const {architecture} = fileInfo.metadata.general;
    const refuse = (reason: string): never => {
        throw new MaraError("MODEL_UNSUPPORTED", `The model (${architecture}) cannot be aligned: ${reason}`);
    };
    if (fileInsights.isRecurrent || fileInsights.isHybrid)
        refuse("its state is recurrent, so a rejected token cannot be taken back. Use a transformer model.");
    const details = fileInfo.architectureMetadata as {pooling_type?: number; attention?: {causal?: boolean}};
    if (details.attention?.causal === false || (details.pooling_type ?? 0) > 0 || encoders.test(architecture))
        refuse("it makes embeddings or scores, not text. Use a generative model.");
}

const encoders = /bert|t5encoder|^t5$|wavtokenizer/;
