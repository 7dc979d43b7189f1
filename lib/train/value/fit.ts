/** Fits a value network to demonstrations by cross-entropy through the model's own logits. */

import type {AgentTensor} from "../../agent/options.js";
import {type NetworkTensorName, studentSizes} from "../../agent/student.js";
import {toldLog} from "../../align/guides/value-network.js";
import {fromNative, native} from "../../native.js";
import {derivedSeed, shuffled, use} from "../seeds.js";
import {fitEpochs} from "../student/epochs.js";
import {momentsOf, type Scaling, scaled, unscaled} from "../student/scaling.js";
import type {DemonstratedToken} from "./read.js";

export interface ValueFitOptions {
    seed: number;
    /** Most passes over the tokens. */
    epochs: number;
    threads: number;
    onEpoch: (done: number) => void;
    signal: AbortSignal | undefined;
}

export interface ValueFit {
    tensors: Record<NetworkTensorName, AgentTensor>;
    /** Nats per held-out token. */
    raw: number;
    guided: number;
    /** The epoch whose network it is; 0 if none was better than the model alone. */
    epoch: number;
    /** False if the signal ended it. The network is the best until then. */
    completed: boolean;
}

/** Steps whose candidates share a batch. */
const batchDecisions = 16;
const learningRate = 1e-3;
const weightDecay = 0.05;
/** Epochs without improvement on the held-out tokens after which it stops. */
const patience = 3;
/** Keeps the logarithm of a probability of 0 finite. */
const leastLog = -100;

/**
 * @param training tokens to fit to, and `heldOut` to stop by; neither is empty, and all have as many candidates
 * @param embeddings of `tokens`, [tokens][width]
 * @throws MaraError LEARNER_DIVERGED
 */
export async function fitValue(
    training: readonly DemonstratedToken[],
    heldOut: readonly DemonstratedToken[],
    {tokens, embeddings}: {tokens: Int32Array; embeddings: Float32Array},
    {seed, epochs, threads, onEpoch, signal}: ValueFitOptions
): Promise<ValueFit> {
    const [{state, tokens: candidates}] = training as [DemonstratedToken];
    const size = candidates.length;
    const scaling = scalingOf(training, embeddings);
    const learner = new (native().StudentLearner)(
        {
            width: state.length,
            projected: studentSizes.projected,
            hidden: studentSizes.hidden,
            seed: derivedSeed(seed, use.value, 1),
            weightDecay,
            logSigmaMin: 0,
            logSigmaMax: 0,
            batchSize: batchDecisions * size,
            threads,
            decision: size
        },
        labelsOf([...training, ...heldOut], tokens, embeddings, scaling)
    );
    const held = Int32Array.from({length: heldOut.length * size}, (_, i) => training.length * size + i);
    const lossOf = (predicted: Float32Array) =>
        heldOut.reduce((sum, token, i) => sum + guidedSurprise(token, predicted.subarray(2 * i * size)), 0) /
        heldOut.length;
    try {
        const raw = lossOf(await learner.predict(held));
        const {best, completed} = await fitEpochs(learner, {
            epochs,
            patience,
            learningRate,
            order: (epoch) => inOrder(shuffled(training.length, derivedSeed(seed, use.value, 2, epoch)), size),
            look: async () => ({loss: lossOf(await learner.predict(held))}),
            onEpoch,
            signal
        });
        onEpoch(epochs);
        const {parameters, loss: guided, epoch} = best;
        return {tensors: unscaled(parameters, state.length, scaling), raw, guided, epoch, completed};
    } catch (error) {
        throw fromNative(error);
    } finally {
        learner.dispose();
    }
}

/** −ln of the token's probability where the candidates' logits change by `values` (every second number) and all others stay. */
function guidedSurprise({logs, rank, surprise}: DemonstratedToken, values: Float32Array): number {
    let total = 1;
    for (const [i, log] of logs.entries()) total += Math.exp(log) * Math.expm1(values[2 * i] as number);
    return surprise + Math.log(total) - (rank < 0 ? 0 : (values[2 * rank] as number));
}

/** The labels of whole steps. */
function inOrder(steps: Uint32Array, size: number): Int32Array {
    return Int32Array.from({length: steps.length * size}, (_, i) => {
        const step = steps[Math.floor(i / size)] as number;
        return step * size + (i % size);
    });
}

function scalingOf(training: readonly DemonstratedToken[], embeddings: Float32Array): Scaling {
    const {length} = (training[0] as DemonstratedToken).logs;
    const logs = new Float32Array(training.length * length);
    for (const [i, token] of training.entries()) logs.set(token.logs.map(toldLog), i * length);
    const ranks = Float32Array.from({length}, (_, rank) => Math.log1p(rank));
    return {
        logit: {mean: 0, deviation: 1},
        given: [momentsOf(logs), momentsOf(ranks)],
        embedding: momentsOf(embeddings).deviation
    };
}

function labelsOf(
    steps: readonly DemonstratedToken[],
    tokens: Int32Array,
    embeddings: Float32Array,
    {given: [log, rank], embedding}: Scaling
): ConstructorParameters<ReturnType<typeof native>["StudentLearner"]>[1] {
    const [first] = steps as [DemonstratedToken];
    const [width, size] = [first.state.length, first.tokens.length];
    const rowOf = new Map(Array.from(tokens, (token, row) => [token, row]));
    const count = steps.length * size;
    const labels = {
        states: new Float32Array(steps.length * width),
        embeddings: embeddings.map((value) => value / embedding),
        state: Int32Array.from({length: count}, (_, i) => Math.floor(i / size)),
        embedding: new Int32Array(count),
        given: new Float32Array(2 * count),
        wanted: new Float32Array(count),
        modelLog: new Float32Array(count)
    };
    for (const [step, {state, tokens: own, logs, rank: demonstrated}] of steps.entries()) {
        labels.states.set(state, step * width);
        for (let i = 0; i < size; i++) {
            const at = step * size + i;
            const modelLog = Math.max(leastLog, logs[i] as number);
            labels.embedding[at] = rowOf.get(own[i] as number) as number;
            labels.given[2 * at] = scaled(toldLog(modelLog), log);
            labels.given[2 * at + 1] = scaled(Math.log1p(i), rank);
            labels.wanted[at] = Number(i === demonstrated);
            labels.modelLog[at] = modelLog;
        }
    }
    return labels;
}
