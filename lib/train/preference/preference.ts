/**
 * Trains offline, from pairs. The hidden states of a chosen response's tokens are labelled accept, those of a rejected one's reject, from where
 * the two part, and the agent is fitted to tell them apart. Epochs end when the held-out pairs no longer gain. What is judged and kept is
 * the average of the weights over the steps.
 */
import type {LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../../agent/agent.js";
import {promptTokens} from "../../generation/prompt-tokens.js";
import {plural} from "../../plural.js";
import {Learner} from "../learner/learner.js";
import type {ResponseStates, RolloutSource} from "../rollout/rollouts.js";
import {unlessAborted} from "../run/interruption.js";
import {type ActorTensors, actorBytes, actorOf, type Job, type Outcome} from "../run/job.js";
import {learnerOptions, openRollouts, restoredOptions, rolloutOptions} from "../run/parts.js";
import {Phase} from "../run/progress.js";
import {derivedSeed, shuffled, use} from "../seeds.js";
import {AveragedActor} from "./averaged-actor.js";
import {
    balance,
    joinLabelled,
    judge,
    type Labelled,
    type LeftAlone,
    packLabelled,
    pick,
    unpackLabelled
} from "./labelled.js";
import {type AnnotatedPair, heldOutPairs, tokenWeights, tooFewToHoldOut} from "./pair-labels.js";

export interface StatesState {
    phase: "states";
    /** Pairs whose states are there. */
    done: number;
}

export interface FitState {
    phase: "fit";
    epochs: number;
    /** The epoch after which the average had the least held-out loss, which is the agent that is kept. */
    best: {epoch: number; loss: number};
}

/** A line of metrics.jsonl: an epoch. */
export interface FitMetrics {
    /** From 1. */
    epoch: number;
    /** Weighted cross-entropy of the labels learnt from, in nats. */
    loss: number;
    /** Share of these labels, by weight, that the agent has right. */
    accuracy: number;
    heldOutLoss: number;
    heldOutAccuracy: number;
    heldOutPairs: number;
    /** Share of the held-out pairs whose chosen response the agent accepts more of. */
    heldOutPairAccuracy: number;
    /** Wall clock of this epoch: the one field that differs between two runs with the same seed. */
    seconds: number;
}

/** Pairs of a segment, and as many times that are read together where workers read them. */
const pairsOfBlock = 16;
const remoteBlocks = 16;

/** Reads every pair with the model and keeps the labelled states as segments. @throws Interruption */
export async function collectStates(job: Job, pairs: readonly AnnotatedPair[], state: StatesState): Promise<void> {
    const {run, model, config, signal} = job;
    const phase = new Phase("states", {total: pairs.length, from: state.done, job});
    if (state.done === pairs.length) return;
    const blockSize = job.remote === undefined ? pairsOfBlock : remoteBlocks * pairsOfBlock;
    const longest = pairs.reduce((max, pair) => Math.max(max, pairLength(model, pair)), 0);
    const rollouts = await openRollouts(job, rolloutOptions(job, longest));
    try {
        for (let first = state.done; first < pairs.length; ) {
            const parts: Labelled[] = [];
            const block = pairs.slice(first, first + blockSize);
            const begun = first;
            // The last one of a block is told once it is kept.
            const onRead = (count: number) => count < block.length && phase.tell(begun + count);
            const read = await unlessAborted(readPairs(rollouts, block, {onRead, signal}), signal);
            for (const [i, {chosen, rejected}] of read.entries()) {
                const weights = tokenWeights(chosen.tokens, rejected.tokens, config);
                const {chosenCut, rejectedCut} = block[i] as AnnotatedPair;
                parts.push(label(chosen.states, 1, withoutEnd(weights.chosen, chosenCut), first + i));
                parts.push(label(rejected.states, 0, withoutEnd(weights.rejected, rejectedCut), first + i));
            }
            first = Math.min(first + blockSize, pairs.length);
            await run.addSegment(packLabelled(joinLabelled(parts)));
            await run.commit({phase: "states", done: first} satisfies StatesState);
            phase.tell(first);
        }
    } finally {
        await rollouts.close();
    }
}

interface PairStates {
    chosen: ResponseStates;
    rejected: ResponseStates;
}

/** Tokens of the longer response with its prompt and its end. */
function pairLength(model: LlamaModel, pair: AnnotatedPair): number {
    const responses = [pair.chosen, pair.rejected].map((response) => model.tokenize(response).length);
    return promptTokens(model, pair).length + Math.max(...responses) + 1;
}

/** `onRead` is told how many pairs have been read. */
async function readPairs(
    rollouts: RolloutSource,
    pairs: readonly AnnotatedPair[],
    {onRead, signal}: {onRead: (count: number) => void; signal: AbortSignal | undefined}
): Promise<PairStates[]> {
    const responses = pairs.flatMap((pair) => [
        {prompt: pair, response: pair.chosen},
        {prompt: pair, response: pair.rejected}
    ]);
    const read: ResponseStates[] = [];
    const enter = (states: ResponseStates, i: number) => {
        read[i] = states;
        if (i % 2 === 1) onRead((i + 1) / 2);
    };
    await rollouts.eachResponseStates(responses, enter, signal === undefined ? {} : {signal});
    return pairs.map((_, i) => ({chosen: read[2 * i] as ResponseStates, rejected: read[2 * i + 1] as ResponseStates}));
}

/** Drops the weight of the end where the length limit ended a response, because nobody chose that end. */
function withoutEnd(weights: Float32Array, cut = false): Float32Array {
    if (cut) weights[weights.length - 1] = 0;
    return weights;
}

/** Leaves out the tokens that weigh nothing. */
function label(states: Float32Array, value: 0 | 1, weights: Float32Array, pair: number): Labelled {
    const width = states.length / weights.length;
    const rows = Uint32Array.from([...weights.keys()].filter((i) => weights[i] !== 0));
    const all = {
        states,
        labels: new Uint8Array(weights.length).fill(value),
        weights,
        pairs: new Int32Array(weights.length).fill(pair)
    };
    return pick(all, rows, width);
}

/** Fits the agent to the labelled states. @throws MaraError PAIRS_TOO_FEW, LEARNER_DIVERGED, RUN_DAMAGED */
export async function fitPairs(job: Job, pairs: readonly AnnotatedPair[], begun?: FitState): Promise<Outcome> {
    const parts: Labelled[] = [];
    for await (const bytes of job.run.segments()) parts.push(unpackLabelled(bytes));
    const isHeldOut = heldOutPairs(pairs, job.config.heldOut, job.config.seed);
    return await fitAgent(job, joinLabelled(parts), {isHeldOut, what: plural(pairs.length, "pair")}, begun);
}

/**
 * Fits the agent to labelled tokens of pairs, or of prompts. `isHeldOut` has a 1 for each that is not learnt from; `what` names them all; tokens that are
 * `leftAlone` are told apart from nothing.
 * @throws MaraError PAIRS_TOO_FEW, LEARNER_DIVERGED
 */
export async function fitAgent(
    job: Job,
    labelled: Labelled,
    {isHeldOut, what, leftAlone}: {isHeldOut: Uint8Array; what: string; leftAlone?: LeftAlone},
    begun?: FitState
): Promise<Outcome> {
    const {run, config, model, signal} = job;
    const width = model.embeddingVectorSize;
    const {training, heldOut} = split(labelled, isHeldOut, width);
    if (Math.min(training.labels.length, heldOut.labels.length) === 0) throw tooFewToHoldOut(what);
    balance(training, config.acceptBias, leftAlone);
    balance(heldOut, config.acceptBias, leftAlone);

    const options = learnerOptions(job, config.fitLearningRate);
    const learner =
        begun === undefined
            ? new Learner(options)
            : Learner.restore(await run.readFile("learner"), restoredOptions(options));
    let state: FitState = begun ?? {phase: "fit", epochs: 0, best: {epoch: 0, loss: Number.MAX_VALUE}};
    let best = begun === undefined ? learner.actor() : actorOf(await run.readFile("best"));
    const stepsOfEpoch = Math.ceil(training.labels.length / config.fitBatchSize);
    const average = run.hasFile("average")
        ? new AveragedActor(actorOf(await run.readFile("average")), state.epochs * stepsOfEpoch)
        : new AveragedActor(learner.actor(), 0);
    const phase = new Phase("fit", {total: config.epochs, from: state.epochs, job});
    try {
        while (state.epochs < config.epochs && state.epochs - state.best.epoch < config.patience) {
            const start = performance.now();
            const epoch = state.epochs + 1;
            const mean = await fitEpoch(learner, training, {job, epoch, width, average});
            if (signal?.aborted || mean === undefined) return {completed: false, actor: best};
            const actor = average.actor();
            const {loss, accuracy, pairs, toldApart} = await judged(actor, heldOut, {
                threads: config.threads,
                leftAlone
            });
            const improved = loss < state.best.loss;
            if (improved) best = actor;
            state = {phase: "fit", epochs: epoch, best: improved ? {epoch, loss} : state.best};
            const row: FitMetrics = {
                epoch,
                ...mean,
                heldOutLoss: loss,
                heldOutAccuracy: accuracy,
                heldOutPairs: pairs,
                heldOutPairAccuracy: toldApart / pairs,
                seconds: Math.round(performance.now() - start) / 1000
            };
            await run.append("metrics", [row]);
            const files = {learner: learner.save(), best: actorBytes(best), average: actorBytes(actor)};
            await run.commit(state, files);
            phase.tell(epoch, {
                acceptanceRate: accuracy,
                heldOut: {pairs, toldApart, keptEpoch: state.best.epoch}
            });
        }
    } finally {
        learner.dispose();
    }
    return {completed: true, actor: best};
}

function split(all: Labelled, heldOut: Uint8Array, width: number): {training: Labelled; heldOut: Labelled} {
    // What weighs nothing cannot be balanced.
    const rows = [...all.pairs.keys()].filter((i) => all.weights[i] !== 0);
    const part = (wanted: number) =>
        pick(all, Uint32Array.from(rows.filter((i) => heldOut[all.pairs[i] as number] === wanted)), width);
    return {training: part(0), heldOut: part(1)};
}

/** Means over the minibatches; undefined if the signal ended it. */
async function fitEpoch(
    learner: Learner,
    training: Labelled,
    {job, epoch, width, average}: {job: Job; epoch: number; width: number; average: AveragedActor}
): Promise<{loss: number; accuracy: number} | undefined> {
    const {config, signal} = job;
    const order = shuffled(training.labels.length, derivedSeed(config.seed, use.fit, epoch));
    const sums = {loss: 0, accuracy: 0};
    for (let first = 0; first < order.length; first += config.fitBatchSize) {
        if (signal?.aborted) return undefined;
        const rows = order.subarray(first, first + config.fitBatchSize);
        const {loss, accuracy} = await learner.fit(pick(training, rows, width));
        average.add(learner.actor());
        sums.loss += (loss * rows.length) / order.length;
        sums.accuracy += (accuracy * rows.length) / order.length;
    }
    return sums;
}

async function judged(
    actor: ActorTensors,
    heldOut: Labelled,
    {threads, leftAlone}: {threads: number | null; leftAlone: LeftAlone | undefined}
) {
    const agent = MaraAgent.fromTensors(actor, {dtype: "f32", ...(threads === null ? {} : {threads})});
    try {
        return await judge(agent, heldOut, leftAlone);
    } finally {
        agent.dispose();
    }
}
