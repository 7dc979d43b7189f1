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
    const {fileInfo} = model;
    const {architecture} = fileInfo.metadata.general;
    const refuse = (reason: string): never => {
        throw new MaraError("MODEL_UNSUPPORTED", `The model (${architecture}) cannot be aligned: ${reason}`);
    };
    const reason = withoutStates[architecture];
    if (reason !== undefined) refuse(`llama.cpp ${reason}, which agents judge. Use another model.`);
    const details = fileInfo.architectureMetadata as {pooling_type?: number; attention?: {causal?: boolean}};
    if (diffusion.test(architecture))
        refuse(
            "it writes by diffusion, where every token depends on those after it, so none can be accepted or rejected alone. " +
                "Use a model that generates from left to right."
        );
    if (architecture === "t5")
        refuse("its encoder reads the prompt, and node-llama-cpp runs decoders only. Use a model without an encoder.");
    if (details.attention?.causal === false || (details.pooling_type ?? 0) > 0 || encoders.test(architecture))
        refuse("it makes embeddings or scores, not text. Use a generative model.");
}

/** True for recurrent and hybrid models, whose sequences hold a state that a token changes for good. */
export function hasRecurrentState({fileInsights}: LlamaModel): boolean {
    return fileInsights.isRecurrent || fileInsights.isHybrid;
}

/** What llama.cpp does where hidden states are asked for. */
const withoutStates: Readonly<Record<string, string>> = {
    lfm2: "gives no logits together with hidden states",
    lfm2moe: "gives no logits together with hidden states",
    qwen4exp: "ends the process when it is asked for hidden states",
    deepseek4: "ends the process when it is asked for hidden states"
};

/** llama.cpp lets these attend to later tokens whatever `attention.causal` says, which their files often leave out. */
const diffusion = /^(dream|llada|llada-moe|rnd1)$|diffusion/;
const encoders = /bert|t5encoder|wavtokenizer|-embed(ding)?$/;
