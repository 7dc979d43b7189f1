/** A side's answers by workers: the blocks that this process would answer one after the other, many at a time. */
import {resolve} from "node:path";
import type {LlamaModel, Token} from "node-llama-cpp";
import {hashOfModel} from "../align/cascade/student-table.js";
import {guideFiles, renameFiles} from "../align/guides/spec.js";
import {fileHash} from "../file-hash.js";
import type {Coordinator} from "../queue/coordinator.js";
import type {PayloadOf} from "../queue/payloads.js";
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

/** @throws MaraError QUEUE_JOB, MODEL_NOT_FOUND; the signal's reason */
export async function answerRemotely(
    plan: RemotePlan & Pick<Plan, "sampling">,
    coordinator: Coordinator,
    {settings, signal, shape, tokensOf, blocks, onBlock}: RemoteAnswers
): Promise<void> {
    // The model is opened here for its vocabulary: workers are given tokens.
    const {model, close} = await plan.openModel();
    try {
        const guide =
            plan.guide && (await renameFiles(plan.guide, (file) => fileHash(resolve(file), "MODEL_NOT_FOUND")));
        const remote = new RemoteModel(coordinator, {
            model,
            sha256: await hashOfModel(model),
            others: guide === undefined ? [] : Object.values(guideFiles(guide)),
            states: "f32"
        });
        const steering = {
            ...(plan.aligned && {aligned: await described(plan.aligned, coordinator)}),
            ...(guide && {guide: guide as NonNullable<PayloadOf<"answer">["guide"]>})
        };
        const context = shape(model);
        const {maxTokens, seed} = settings;
        let kept: Promise<void> = Promise.resolve();
        await Promise.all(
            blocks.map(async ({first, count}) => {
                const texts = Array.from({length: count}, (_, i) => tokensOf(model, first + i));
                const {sampling} = plan;
                const asked = {context, maxTokens, firstIndex: first, seed, sampling, texts};
                const block = await remote.answer({...asked, ...steering}, signal);
                kept = kept.then(() => onBlock(block));
                await kept;
            })
        );
    } finally {
        await close?.();
    }
}

/** Agents by their hashes. */
async function described(
    {agents, combine, settings}: NonNullable<RemotePlan["aligned"]>,
    coordinator: Coordinator
): Promise<NonNullable<PayloadOf<"answer">["aligned"]>> {
    const judging = [];
    for (const {agent, weight, threshold} of agents)
        judging.push({
            agent: await coordinator.putAgent(agentBytes(agent)),
            dtype: agent.dtype,
            weight,
            threshold
        });
    return {...settings, waves: [...(settings.waves as readonly number[])], agents: judging, combine};
}
