/** Fits a student to labels and calibrates it on held-out ones. */
import {type AgentStudent, logSigmaBounds, maxCalibration, studentSizes} from "../../agent/student.js";
import {fromNative, native} from "../../native.js";
import {derivedSeed, shuffled, use} from "../seeds.js";
import {fitEpochs} from "./epochs.js";
import type {Labels} from "./labels.js";
import {momentsOf, type Scaling, scaled, unscaled} from "./scaling.js";

export interface StudentFitOptions {
    seed: number;
    /** Most passes over the labels. */
    epochs: number;
    threads: number;
    /** The logit of the threshold at which student and agent are compared. */
    thresholdLogit: number;
    onEpoch: (done: number) => void;
    signal: AbortSignal | undefined;
}

export interface StudentFit extends Pick<AgentStudent, "tensors" | "heldOutAgreement" | "heldOutR2"> {
    /** False if the signal ended it. The student is the best until then. */
    completed: boolean;
}

const batchSize = 256;
const learningRate = 1e-3;
const weightDecay = 0.05;
/** Epochs without improvement on the held-out labels after which it stops. */
const patience = 5;

/**
 * @param training labels to fit to; not empty
 * @param heldOut labels to stop early by and to calibrate with; not empty
 * @param embeddings of `tokens`, [tokens][width]
 * @throws MaraError LEARNER_DIVERGED
 */
export async function fitStudent(
    training: Labels,
    heldOut: Labels,
    {tokens, embeddings}: {tokens: Int32Array; embeddings: Float32Array},
    options: StudentFitOptions
): Promise<StudentFit> {
    const scaling = scalingOf(training, embeddings);
    const all = joined(training, heldOut, tokens, embeddings, scaling);
    const learner = new (native().StudentLearner)(
        {
            width: training.width,
            projected: studentSizes.projected,
            hidden: studentSizes.hidden,
            seed: derivedSeed(options.seed, use.student, 1),
            weightDecay,
            logSigmaMin: logSigmaBounds.min - Math.log(scaling.logit.deviation),
            logSigmaMax: logSigmaBounds.max - Math.log(scaling.logit.deviation),
            batchSize,
            threads: options.threads
        },
        all
    );
    try {
        const count = training.logit.length;
        const held = Int32Array.from(heldOut.logit, (_, i) => count + i);
        const {seed, epochs, onEpoch, signal} = options;
        const {best, completed} = await fitEpochs(learner, {
            epochs,
            patience,
            learningRate,
            order: (epoch) => Int32Array.from(shuffled(count, derivedSeed(seed, use.student, 2, epoch))),
            look: async () => {
                const predicted = await learner.predict(held);
                return {loss: squaredError(predicted, held, all.wanted), predicted};
            },
            onEpoch,
            signal
        });
        if (completed) onEpoch(epochs);
        const {parameters, predicted} = best;
        const calibration = calibrationOf(predicted, heldOut.logit, scaling, options.seed);
        return {
            completed,
            tensors: {
                ...unscaled(parameters, training.width, scaling),
                calibration: {shape: [calibration.length / 3, 3], data: calibration}
            },
            ...compare(predicted, heldOut.logit, scaling, options.thresholdLogit)
        };
    } catch (error) {
        throw fromNative(error);
    } finally {
        learner.dispose();
    }
}

function squaredError(predicted: Float32Array, labels: Int32Array, wanted: Float32Array): number {
    return labels.reduce((sum, label, i) => sum + ((predicted[2 * i] as number) - (wanted[label] as number)) ** 2, 0);
}

function scalingOf({logit, logProbability, rank}: Labels, embeddings: Float32Array): Scaling {
    return {
        logit: momentsOf(logit),
        given: [momentsOf(logProbability), momentsOf(rank)],
        embedding: momentsOf(embeddings).deviation
    };
}

function joined(
    training: Labels,
    heldOut: Labels,
    tokens: Int32Array,
    embeddings: Float32Array,
    scaling: Scaling
): ConstructorParameters<ReturnType<typeof native>["StudentLearner"]>[1] {
    const parts = [training, heldOut];
    const rowOf = new Map(Array.from(tokens, (token, row) => [token, row]));
    const states = new Float32Array(training.states.length + heldOut.states.length);
    states.set(training.states);
    states.set(heldOut.states, training.states.length);
    const count = training.logit.length + heldOut.logit.length;
    const all = {
        states,
        embeddings: embeddings.map((value) => value / scaling.embedding),
        state: new Int32Array(count),
        embedding: new Int32Array(count),
        given: new Float32Array(2 * count),
        wanted: new Float32Array(count)
    };
    let at = 0;
    for (const part of parts) {
        const firstRow = part === training ? 0 : training.states.length / training.width;
        for (let i = 0; i < part.logit.length; i++, at++) {
            all.state[at] = firstRow + (part.state[i] as number);
            all.embedding[at] = rowOf.get(part.token[i] as number) as number;
            all.given[2 * at] = scaled(part.logProbability[i] as number, scaling.given[0]);
            all.given[2 * at + 1] = scaled(part.rank[i] as number, scaling.given[1]);
            all.wanted[at] = scaled(part.logit[i] as number, scaling.logit);
        }
    }
    return all;
}

const meanOf = (predicted: Float32Array, i: number, {logit: {mean, deviation}}: Scaling) =>
    (predicted[2 * i] as number) * deviation + mean;

/** Rows of mean, standard deviation and the agent's logit; of many labels some, drawn by the seed. */
function calibrationOf(predicted: Float32Array, logits: Float32Array, scaling: Scaling, seed: number): Float32Array {
    const chosen = shuffled(logits.length, derivedSeed(seed, use.student, 3))
        .subarray(0, maxCalibration)
        .sort();
    const rows = new Float32Array(3 * chosen.length);
    for (const [row, i] of chosen.entries()) {
        const sigma = Math.exp(predicted[2 * i + 1] as number) * scaling.logit.deviation;
        rows.set([meanOf(predicted, i, scaling), sigma, logits[i] as number], 3 * row);
    }
    return rows;
}

function compare(predicted: Float32Array, logits: Float32Array, scaling: Scaling, threshold: number) {
    const mean = momentsOf(logits).mean;
    let [agreed, error, variance] = [0, 0, 0];
    for (const [i, logit] of logits.entries()) {
        const own = meanOf(predicted, i, scaling);
        if (own > threshold === logit > threshold) agreed++;
        error += (own - logit) ** 2;
        variance += (logit - mean) ** 2;
    }
    // Where all verdicts are alike there is nothing to explain.
    return {heldOutAgreement: agreed / logits.length, heldOutR2: variance === 0 ? 0 : 1 - error / variance};
}
