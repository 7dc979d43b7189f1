/** Decoder reward models: a language model with a linear score head in the place of its output layer. */
import type {LlamaModel} from "node-llama-cpp";
import {readAgentBytes} from "../agent/agent-file.js";
import {readSafetensors} from "../agent/safetensors.js";
import {isFloatDtype, quoteAll, type Tensor, toFloat32} from "../agent/tensor.js";
import {MaraError} from "../errors.js";
import {conversationTokens, type Message} from "./conversation.js";
import type {Resources} from "./resources.js";
import {type Reward, rewardOf} from "./reward.js";

interface Head {
    weight: Float32Array;
    bias: number;
}

/**
 * `weight · h + bias`, where `h` is the last layer's hidden state after the final norm at the last token of the conversation (system prompt,
 * prompt and response, by the chat template in the model file): what transformers' `…ForSequenceClassification` with one label computes.
 * @throws MaraError REWARD_LOAD
 */
export async function headReward(
    name: string,
    modelFile: string,
    headFile: string,
    resources: Resources
): Promise<Reward> {
    const model = await resources.model(modelFile);
    const head = await readHead(resources.path(headFile), model.embeddingVectorSize);
    const tokensOf = conversationTokens(model, modelFile);
    requireLastToken(model, modelFile);
    const context = await resources.context(`${modelFile} gives no hidden states`, () =>
        model.createEmbeddingContext(resources.contextOptions(model))
    );
    return rewardOf(name, async (prompt, response, {system}) => {
        const conversation: Message[] = [
            ...(system === undefined ? [] : [{role: "system" as const, content: system}]),
            {role: "user", content: prompt},
            {role: "assistant", content: response}
        ];
        const {vector} = await context.getEmbeddingFor(tokensOf(conversation, false));
        return vector.reduce((sum, value, i) => sum + value * (head.weight[i] as number), head.bias);
    });
}

/** Checks the pooling, because any other would give an embedding of something else than the conversation's last token. */
function requireLastToken(model: LlamaModel, file: string): void {
    const {pooling_type: pooling = poolings.none} = model.fileInfo.architectureMetadata as {pooling_type?: number};
    if (pooling !== poolings.none && pooling !== poolings.last)
        throw new MaraError("REWARD_LOAD", `${file} pools its hidden states: a score head needs the last token's.`);
    if (model.tokens.shouldAppendEosToken)
        throw new MaraError(
            "REWARD_LOAD",
            `${file} ends every text with an end token: a score head needs the template's last token.`
        );
}

/** `enum llama_pooling_type` of llama.h */
const poolings = {none: 0, last: 3};

async function readHead(path: string, width: number): Promise<Head> {
    let tensors: Map<string, Tensor>;
    try {
        ({tensors} = readSafetensors(await readAgentBytes(path)));
    } catch (error) {
        throw new MaraError("REWARD_LOAD", `Could not read the score head ${path}: ${(error as Error).message}`, {
            cause: error
        });
    }
    const named = (suffix: string) => [...tensors].filter(([name]) => name === suffix || name.endsWith(`.${suffix}`));
    const [[, weight] = [], ...otherWeights] = named("weight");
    const [[, bias] = [], ...otherBiases] = named("bias");
    const holds = `It holds ${quoteAll([...tensors.keys()])}.`;
    const unfit = (reason: string) => new MaraError("REWARD_LOAD", `The score head ${path} ${reason} ${holds}`);
    if (weight === undefined || otherWeights.length > 0 || otherBiases.length > 0)
        throw unfit('should hold one tensor "weight" or "….weight", and at most one "bias".');
    const values = floats(weight);
    if (values === undefined || values.length !== width)
        throw unfit(`should have one row of ${width} weights for this model, not ${weight.dtype} [${weight.shape}].`);
    const [offset, ...more] = bias === undefined ? [0] : (floats(bias) ?? []);
    if (offset === undefined || more.length > 0) throw unfit(`should have a bias of one number.`);
    return {weight: values, bias: offset};
}

function floats({dtype, shape, bytes}: Tensor): Float32Array | undefined {
    return isFloatDtype(dtype) ? toFloat32({dtype, shape, bytes}) : undefined;
}
