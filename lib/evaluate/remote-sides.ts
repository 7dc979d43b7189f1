/** A side's answers by workers: the blocks that this process would answer one after the other, many at a time. */
import type {LlamaModel, Token} from "node-llama-cpp";
import {hashOfModel} from "../align/cascade/student-table.js";
import type {Coordinator} from "../queue/coordinator.js";
import {agentBytes, RemoteModel} from "../queue/remote-model.js";
import type {EvaluationSettings} from "./options.js";
import type {ContextShape, Plan, RemotePlan} from "./plans.js";
import type {StoredBlock} from "./side-store.js";

export interface RemoteAnswers {
    settings: EvaluationSettings;
    signal: AbortSignal | undefined;
    shape: ContextShape;
    /** The tokens read before the answer of this index. */
    tokensOf: (model: LlamaModel, index: number) => Token[];
    blocks: readonly {first: number; count: number}[];
    /** Called for one block at a time, in any order. */
    onBlock: (block: StoredBlock) => Promise<void>;
}

/** @throws MaraError QUEUE_JOB; the signal's reason */
export async function answerRemotely(
    plan: RemotePlan & Pick<Plan, "sampling">,
    coordinator: Coordinator,
    {settings, signal, shape, tokensOf, blocks, onBlock}: RemoteAnswers
): Promise<void> {
    // The model is opened here for its vocabulary: workers are given tokens.
    const {model, close} = await plan.openModel();
    try {
        const remote = new RemoteModel(coordinator, {model, sha256: await hashOfModel(model), states: "f32"});
        const {agent, settings: steering, threshold = 0} = plan.aligned ?? {};
        const aligned =
            agent === undefined || steering === undefined
                ? undefined
                : {
                      agent: await coordinator.putAgent(agentBytes(agent)),
                      dtype: agent.dtype,
                      ...steering,
                      waves: [...(steering.waves as readonly number[])],
                      threshold
                  };
        const context = shape(model);
        const {maxTokens, seed} = settings;
        let kept: Promise<void> = Promise.resolve();
        await Promise.all(
            blocks.map(async ({first, count}) => {
                const texts = Array.from({length: count}, (_, i) => tokensOf(model, first + i));
                const {sampling} = plan;
                const asked = {context, maxTokens, firstIndex: first, seed, sampling, texts};
                const block = await remote.answer({...asked, ...(aligned === undefined ? {} : {aligned})}, signal);
                kept = kept.then(() => onBlock(block));
                await kept;
            })
        );
    } finally {
        await close?.();
    }
}
