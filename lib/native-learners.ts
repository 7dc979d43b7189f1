/** The addon's learners (bindings/learner.cpp, bindings/student_learner.cpp); lib/native.ts loads it. */

/** Every field checked by lib/train/learner/options.ts. */
export interface NativeLearnerOptions {
    width: number;
    hidden1: number;
    hidden2: number;
    seed: number;
    gamma: number;
    tau: number;
    actorLearningRate: number;
    criticLearningRate: number;
    alphaLearningRate: number;
    initialAlpha: number;
    targetEntropy: number;
    automaticAlpha: boolean;
    gradientClip: number;
    batchSize: number;
    replayCapacity: number;
    sharedCritics: boolean;
    criticLossScale: number;
    targetEvery: number;
    linearAlphaLoss: boolean;
    replacement: boolean;
    threads: number;
}

export interface NativeUpdateMetrics {
    criticLoss: number;
    actorLoss: number;
    alpha: number;
    entropy: number;
    q: number;
    actorGradientNorm: number;
    criticGradientNorm: number;
}

/** Jobs (`update`, `updateOn`, `fit`) run one after the other on a thread of their own, in the order of the calls. */
export interface NativeLearner {
    /** Copies the transitions; they are in the replay of every job queued afterwards. */
    add(transitions: {
        states: Float32Array;
        state: Int32Array;
        action: Uint8Array;
        reward: Float32Array;
        nextState: Int32Array;
    }): void;
    update(count: number): Promise<NativeUpdateMetrics>;
    /** One update on given transitions by age, 0 being the oldest in the replay. */
    updateOn(ages: Int32Array): Promise<NativeUpdateMetrics>;
    fit(
        states: Float32Array,
        labels: Uint8Array,
        weights: Float32Array,
        learningRate: number
    ): Promise<{loss: number; accuracy: number; gradientNorm: number}>;
    /**
     * A copy of an array of all parameters, in the order of an agent file: 0 actor, 1 and 2 critics, 3 and 4 their targets, 5 to 7 and 8 to 10
     * Adam's first and second moments of the first three. This method and those below throw LEARNER_BUSY while a job is queued or running.
     */
    array(index: number): Float32Array;
    setArray(index: number, values: Float32Array): void;
    /** Adam's steps of actor and critics and of α; log α, its moments. */
    scalars(): Float64Array;
    setScalars(values: Float64Array): void;
    random(): BigUint64Array;
    setRandom(values: BigUint64Array): void;
    readonly replaySize: number;
    readonly operations: string;
    /** The running job ends after its current update, and the waiting ones do not begin: all reject with LEARNER_DISPOSED. */
    dispose(): void;
}

/** Every field checked by lib/train/student. */
export interface NativeStudentOptions {
    width: number;
    projected: number;
    hidden: number;
    seed: number;
    weightDecay: number;
    /** Bounds of log σ, in the units of `wanted`. */
    logSigmaMin: number;
    logSigmaMax: number;
    batchSize: number;
    threads: number;
    /** Labels stand in decisions of so many candidates, for a value network. Left out: they are verdicts, for a student. */
    decision?: number;
}

/** Verdicts that a student learns from. Copied. */
export interface NativeStudentLabels {
    /** [rows][width], each distinct state once. */
    states: Float32Array;
    /** [rows][width], each distinct token once. */
    embeddings: Float32Array;
    /** Row of each label's state, and of its candidate's embedding. */
    state: Int32Array;
    embedding: Int32Array;
    /** [labels][2]: log-probability and rank, scaled as the caller likes. */
    given: Float32Array;
    /** What the mean is to be; in decisions 1 for the demonstrated token, else 0. */
    wanted: Float32Array;
    /** In decisions only: each candidate's log-probability over the vocabulary, by the model alone. */
    modelLog?: Float32Array;
}

/** The network that a student is (native/train/student.h). Jobs run one after the other on a thread of their own, in the order of the calls. */
export interface NativeStudentLearner {
    /** An AdamW step for each batch of these labels, in this order. Rejects with LEARNER_DIVERGED, LEARNER_DISPOSED. */
    epoch(labels: Int32Array, learningRate: number): Promise<{squaredError: number; loss: number}>;
    /** [labels][2]: mean and log σ of each. */
    predict(labels: Int32Array): Promise<Float32Array>;
    /** A copy of the parameters: weight and bias of both projections (hidden, embedding) and both layers (fc1, fc2). Throws LEARNER_BUSY. */
    parameters(): Float32Array;
    dispose(): void;
}
