import {z} from "zod";
import {type AgentTensor, namedTensors} from "../../agent/options.js";
import {readStateDict, requireFinite, type TensorName} from "../../agent/state-dict.js";
import {invalidArgument, MaraError} from "../../errors.js";
import {fromNative, native} from "../../native.js";
import type {NativeLearner, NativeLearnerOptions} from "../../native-learners.js";
import {check} from "../../validation/check.js";
import {type LearnerOptions, resolveLearnerOptions, share} from "./options.js";
import {joinParameters, LearnerState, splitParameters, writeLearnerState} from "./state.js";

export type {LearnerOptions} from "./options.js";

/** Steps of decisions, for the replay. Copied: the arrays may be used again. */
export interface Transitions {
    /** [rows][width], each distinct state once. */
    states: Float32Array;
    /** Row of each transition's state. */
    state: Int32Array;
    /** 1 accept, 0 reject. */
    action: Uint8Array;
    reward: Float32Array;
    /** Row of the state that followed, or -1 where the episode ended. */
    nextState: Int32Array;
}

/** Means over the updates of a call, but for `alpha`. */
export interface UpdateMetrics {
    /** Mean squared error of both critics, averaged. */
    criticLoss: number;
    actorLoss: number;
    /** Temperature after the last update. */
    alpha: number;
    /** Entropy of the policy over the batch, in nats. */
    entropy: number;
    /** Mean value of both critics at the actions taken. */
    q: number;
    /** Norm before clipping. */
    actorGradientNorm: number;
    /** Norm before clipping, of both critics, averaged. */
    criticGradientNorm: number;
}

export interface FitStep {
    /** Weighted cross-entropy before the step, in nats. */
    loss: number;
    /** Weighted share of labels that the actor agreed with before the step. */
    accuracy: number;
    /** Norm before clipping. */
    gradientNorm: number;
}

/**
 * Trains the accept/reject network: discrete soft actor-critic (Christodoulou 2019, arXiv:1910.07207) from a replay, and supervised
 * steps from labels. docs/training.md has the losses.
 *
 * Updates run on a thread of their own, one call after the other in the order of the calls. The same calls with the same seed give the same
 * bits on the same kind of processor, whatever the number of threads.
 */
export class Learner {
    /** Embedding size D of the states. */
    readonly width: number;
    /** Sizes of the two hidden layers. */
    readonly hiddenSizes: readonly [number, number];

    readonly #options: NativeLearnerOptions;
    readonly #native: NativeLearner;

    /**
     * @throws MaraError INVALID_ARGUMENT; AGENT_TENSORS if `actor` is no agent; AGENT_WIDTH if it is of another width; NATIVE_ADDON
     */
    constructor(options: LearnerOptions) {
        const given = options.actor === undefined ? undefined : readStateDict(namedTensors(options.actor));
        if (given !== undefined) requireFinite(given.dict);
        const actor = given?.dict;
        const resolved = resolveLearnerOptions(options, actor);
        this.#options = resolved;
        this.width = resolved.width;
        this.hiddenSizes = Object.freeze([resolved.hidden1, resolved.hidden2] as const);
        if (actor !== undefined) {
            if (actor.width !== this.width) {
                throw new MaraError(
                    "AGENT_WIDTH",
                    `The actor's width ${actor.width} differs from the learner's width ${this.width}`
                );
            }
            for (const name of ["hidden1", "hidden2"] as const) {
                if (resolved[name] !== actor[name])
                    throw invalidArgument(`options.${name}`, `${actor[name]}, the actor's,`, resolved[name]);
            }
        }
        this.#native = guarded(() => new (native().Learner)(resolved));
        if (actor !== undefined) {
            const values = joinParameters(resolved, (name) => {
                const {bytes} = actor.tensors.get(name) as {bytes: Uint8Array};
                return new Float32Array(new Uint8Array(bytes).buffer);
            });
            this.#native.setArray(0, values);
        }
    }

    /**
     * Restores a learner that goes on where `save` was called, bit for bit once its replay is filled anew in the same order. Sizes come from the
     * saved state; all other options are those given, which should be the same as before.
     *
     * @throws MaraError LEARNER_STATE if `bytes` is no saved learner or one of other sizes than the options ask for; INVALID_ARGUMENT
     */
    static restore(bytes: Uint8Array, options: Omit<LearnerOptions, "actor">): Learner {
        check(z.instanceof(Uint8Array, {error: "a Uint8Array"}), bytes, "bytes");
        const state = new LearnerState(bytes);
        for (const name of ["width", "hidden1", "hidden2"] as const) {
            const asked = options[name];
            if (asked !== undefined && asked !== state.sizes[name]) {
                throw new MaraError(
                    "LEARNER_STATE",
                    `Could not restore the learner: its ${name} is ${state.sizes[name]}, but ${asked} was asked for`
                );
            }
        }
        const learner = new Learner({...options, ...state.sizes});
        try {
            state.apply(learner.#native);
        } catch (error) {
            learner.dispose();
            throw fromNative(error);
        }
        return learner;
    }

    /** Transitions that the next update can draw from. */
    get replaySize(): number {
        return this.#native.replaySize;
    }

    /** Instruction set in use, such as `"avx512"`. */
    get operations(): string {
        return this.#native.operations;
    }

    /**
     * Adds transitions to the replay; the oldest are forgotten beyond its capacity. It may be called while an update runs. That update does
     * not see them; later ones do.
     *
     * @throws MaraError INVALID_ARGUMENT naming the first bad item; AGENT_WIDTH; LEARNER_DISPOSED
     */
    addTransitions(transitions: Transitions): void {
        guarded(() => this.#native.add(transitions));
    }

    /**
     * `count` updates of critics, targets, actor and α, each on a batch drawn uniformly, with replacement, from the replay.
     *
     * @throws MaraError (rejects) LEARNER_EMPTY, LEARNER_DIVERGED, LEARNER_DISPOSED, INVALID_ARGUMENT
     */
    async update(count: number): Promise<UpdateMetrics> {
        return await guardedAsync(() => this.#native.update(count));
    }

    /**
     * One update on given transitions, by age: 0 is the oldest in the replay. For tests and measurements.
     * @internal
     */
    async _updateOn(ages: Int32Array): Promise<UpdateMetrics> {
        return await guardedAsync(() => this.#native.updateOn(ages));
    }

    /**
     * One Adam step of the actor on the weighted cross-entropy Σ w·CE(label) / Σ w. It shares the optimiser's state with `update`.
     *
     * @param batch states [rows][width], labels (1 accept, 0 reject) and weights (≥ 0, at least one above) of each row; copied
     * @param options `learningRate`, default the actor's
     * @throws MaraError (rejects) INVALID_ARGUMENT, LEARNER_DIVERGED, LEARNER_DISPOSED
     */
    async fit(
        batch: {states: Float32Array; labels: Uint8Array; weights: Float32Array},
        options: {learningRate?: number} = {}
    ): Promise<FitStep> {
        const {learningRate = this.#options.actorLearningRate} = options;
        check(share, learningRate, "options.learningRate");
        return await guardedAsync(() => this.#native.fit(batch.states, batch.labels, batch.weights, learningRate));
    }

    /**
     * Copies of the actor's tensors, for `MaraAgent.fromTensors`.
     * @throws MaraError LEARNER_BUSY while a call of `update` or `fit` has not settled; LEARNER_DISPOSED
     */
    actor(): Record<TensorName, AgentTensor> {
        return splitParameters(
            guarded(() => this.#native.array(0)),
            this.#options
        );
    }

    /**
     * Everything but options and replay: parameters, targets, Adam's moments and steps, α, the random state. The bytes are a .safetensors file.
     * @throws MaraError LEARNER_BUSY while a call of `update` or `fit` has not settled; LEARNER_DISPOSED
     */
    save(): Uint8Array {
        return guarded(() => writeLearnerState(this.#native, this.#options));
    }

    /**
     * Frees the learner. A running `update` ends after the update at hand; it and the calls that wait reject with LEARNER_DISPOSED. Further
     * calls of `dispose` do nothing.
     */
    dispose(): void {
        this.#native.dispose();
    }

    [Symbol.dispose](): void {
        this.dispose();
    }
}

function guarded<T>(call: () => T): T {
    try {
        return call();
    } catch (error) {
        throw fromNative(error);
    }
}

async function guardedAsync<T>(call: () => Promise<T>): Promise<T> {
    try {
        return await call();
    } catch (error) {
        throw fromNative(error);
    }
}
