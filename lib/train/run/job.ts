import type {LlamaModel} from "node-llama-cpp";
import type {AgentTensor} from "../../agent/agent.js";
import {readSafetensors, writeSafetensors} from "../../agent/safetensors.js";
import {type FloatDtype, type Tensor, tensorOf, toFloat32} from "../../agent/tensor.js";
import type {PreferencePair, Prompt} from "../../prompts/prompts.js";
import type {RemoteModel} from "../../queue/remote-model.js";
import {scoreGuarded} from "../../rewards/guard.js";
import type {Reward, ScoredResponse} from "../../rewards/reward.js";
import type {TrainConfig} from "../options.js";
import type {TrainProgress} from "./progress.js";
import type {RunDirectory} from "./run-directory.js";

export type ActorTensors = Record<string, AgentTensor>;

/** A run with everything opened. */
export interface Job {
    config: TrainConfig;
    run: RunDirectory;
    model: LlamaModel;
    /** Empty where pairs are given. */
    prompts: readonly Prompt[];
    reward: Reward | undefined;
    pairs: readonly PreferencePair[] | undefined;
    /** The tensors that the agent starts from. Undefined if they are drawn from the seed. */
    warmStart: ActorTensors | undefined;
    listener: ((progress: TrainProgress) => void) | undefined;
    /** Workers that run the model in place of this process. */
    remote: RemoteModel | undefined;
    signal: AbortSignal | undefined;
}

/** A method's result. `completed` is false if the signal ended it. */
export interface Outcome {
    completed: boolean;
    actor: ActorTensors;
}

/** The score, or why there is none. */
export async function scoreOrReason(
    job: Pick<Job, "config" | "reward">,
    prompt: Prompt,
    response: string
): Promise<ScoredResponse | string> {
    const {rewardTimeout, rewardRetries} = job.config;
    try {
        return await scoreGuarded(job.reward as Reward, prompt, response, {
            timeoutMs: rewardTimeout * 1000,
            retries: rewardRetries
        });
    } catch (error) {
        return (error as Error).message;
    }
}

export function actorBytes(actor: ActorTensors): Uint8Array {
    const tensors = Object.entries(actor).map(([name, {shape, data}]) => [name, tensorOf(shape, data)] as const);
    return writeSafetensors(new Map(tensors), {});
}

export function actorOf(bytes: Uint8Array): ActorTensors {
    const {tensors} = readSafetensors(bytes);
    const read = (tensor: Tensor) => ({shape: tensor.shape, data: toFloat32(tensor as Tensor & {dtype: FloatDtype})});
    return Object.fromEntries([...tensors].map(([name, tensor]) => [name, read(tensor)]));
}
