/** A model that workers run: rollouts, reading and answers, each as the local ones give them, bit for bit. */
import type {LlamaModel, Token} from "node-llama-cpp";
import type {MaraAgent} from "../agent/agent.js";
import {writeSafetensors} from "../agent/safetensors.js";
import {studentEntries} from "../agent/student.js";
import {tensorOf} from "../agent/tensor.js";
import type {StoredBlock} from "../evaluate/side-store.js";
import type {Prompt} from "../prompts/prompts.js";
import type {RolloutOptions, RolloutSource, Rollouts, RunOptions} from "../train/rollout/rollouts.js";
import {evenParts} from "../train/rollout/rows.js";
import type {Coordinator} from "./coordinator.js";
import type {JobQueue} from "./job-queue.js";
import type {PayloadOf} from "./payloads.js";
import {asBlock, asResponseStates, asTrajectories} from "./results.js";

/** Bytes of states that one job should give at most, so that a result fits into Redis. */
const statesOfJob = 2 ** 27;

/** The bytes of an agent with all that belongs to it, in float32. */
export function agentBytes(agent: MaraAgent): Uint8Array {
    const student = studentEntries(agent.student);
    const own = Object.entries(agent.tensors()).map(([name, {shape, data}]) => [name, tensorOf(shape, data)] as const);
    return writeSafetensors(new Map([...own, ...student.tensors]), {...agent.metadata, ...student.metadata});
}

export class RemoteModel {
    readonly coordinator: Coordinator;
    readonly queue: JobQueue;
    readonly #model: LlamaModel;
    readonly #sha256: string;
    readonly #states: "f16" | "f32";

    /** @param options `others`: SHA-256 of the files of a guide that its jobs need; `states`: how hidden states travel */
    constructor(
        coordinator: Coordinator,
        {
            model,
            sha256,
            others = [],
            states
        }: {model: LlamaModel; sha256: string; others?: readonly string[]; states: "f16" | "f32"}
    ) {
        this.coordinator = coordinator;
        this.queue = coordinator.queue({
            label: (model.filename ?? "the model") + (others.length === 0 ? "" : " and the files of its guide"),
            files: [...new Set([sha256, ...others])],
            modules: []
        });
        this.#model = model;
        this.#sha256 = sha256;
        this.#states = states;
    }

    get sha256(): string {
        return this.#sha256;
    }

    /** Workers that have the model, as of the last sign of life. */
    get workers(): number {
        return this.queue.workers;
    }

    /** `options` with all that decides about a response. */
    rollouts(options: RolloutOptions): RolloutSource {
        const given = options as PayloadOf<"rollout">["options"];
        return {
            run: (agent, prompts, seeds, onTrajectory, run = {}) =>
                this.#run(given, agent, {prompts, seeds, onTrajectory, run}),
            eachResponseStates: (responses, onStates, {signal} = {}) =>
                this.#read(given, responses, {onStates, signal}),
            close: async () => undefined
        };
    }

    /** One block of answers, as an `AnswerPool` of these sequences gives it. */
    async answer(
        block: Omit<PayloadOf<"answer">, "kind" | "model" | "texts"> & {texts: readonly (readonly Token[])[]},
        signal: AbortSignal | undefined
    ): Promise<StoredBlock> {
        const {firstIndex, texts} = block;
        const payload = {...block, texts: texts.map((each) => [...each]), kind: "answer", model: this.#sha256} as const;
        return asBlock(await this.queue.run(payload, signal), firstIndex, texts.length);
    }

    async #run(
        options: PayloadOf<"rollout">["options"],
        agent: MaraAgent | undefined,
        {
            prompts,
            seeds,
            onTrajectory,
            run
        }: {
            prompts: readonly Prompt[];
            seeds: readonly number[];
            onTrajectory: Parameters<Rollouts["run"]>[3];
            run: RunOptions;
        }
    ): Promise<void> {
        const {signal, threshold, onTokens} = run;
        const hash = agent === undefined ? null : await this.coordinator.putAgent(agentBytes(agent));
        // With a threshold nothing is learnt from the states.
        const withStates = threshold === undefined;
        const width = this.#model.embeddingVectorSize;
        const most = options.maxTokens * options.candidates.topK * width * 4;
        const each = Math.max(1, Math.min(options.sequences, Math.floor(statesOfJob / most)));
        const parts = evenParts([...prompts.keys()], withStates ? each : options.sequences);
        await Promise.all(
            parts.map(async (indexes) => {
                const asked = indexes.map((i) => prompts[i] as Prompt);
                const result = await this.queue.run(
                    {
                        kind: "rollout",
                        model: this.#sha256,
                        agent: hash,
                        options,
                        prompts: asked.map(plain),
                        seeds: indexes.map((i) => seeds[i] as number),
                        ...(threshold === undefined ? {} : {threshold}),
                        states: withStates ? this.#states : "none"
                    },
                    signal
                );
                const trajectories = asTrajectories(result, {prompts: asked, width, withStates});
                onTokens?.(trajectories.reduce((sum, {tokens}) => sum + tokens.length, 0));
                for (const [i, trajectory] of trajectories.entries()) onTrajectory(trajectory, indexes[i] as number);
            })
        );
    }

    async #read(
        options: PayloadOf<"rollout">["options"],
        responses: readonly {prompt: Prompt; response: string}[],
        {onStates, signal}: {onStates: Parameters<Rollouts["eachResponseStates"]>[1]; signal: AbortSignal | undefined}
    ): Promise<void> {
        const width = this.#model.embeddingVectorSize;
        const parts = evenParts([...responses.keys()], 2 * options.sequences);
        const read = await Promise.all(
            parts.map(async (indexes) => {
                const texts = indexes.map((i) => responses[i] as {prompt: Prompt; response: string});
                const result = await this.queue.run(
                    {
                        kind: "read",
                        model: this.#sha256,
                        options,
                        texts: texts.map(({prompt, response}) => ({prompt: plain(prompt), response})),
                        states: this.#states
                    },
                    signal
                );
                return asResponseStates(result, texts.length, width);
            })
        );
        for (const [i, states] of read.flat().entries()) onStates(states, i);
    }
}

/** A prompt's record without what the caller's file holds besides. */
export function plain({prompt, system, reference, format}: Prompt): PayloadOf<"rollout">["prompts"][number] {
    return {
        prompt,
        ...(system === undefined ? {} : {system}),
        ...(reference === undefined ? {} : {reference}),
        ...(format === undefined ? {} : {format})
    };
}
