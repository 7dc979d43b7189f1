/**
 * Attacks by JavaScript on memory that native code works on. They run in a process of their own, which a mistake would end. Run with `--expose-gc`;
 * the argument names the attack; prints one JSON value.
 */
import {Worker} from "node:worker_threads";
import {MaraError} from "../../lib/errors.js";
import {Learner} from "../../lib/train/learner/learner.js";
import {randomAgent} from "../support/agents.js";
import {randomStates} from "./helpers.js";

const width = 512;
const rows = 10_000;
const learnerOptions = {width, hidden1: 64, hidden2: 16, batchSize: 8, replayCapacity: 1000, seed: 3, threads: 1};

/** An array over a buffer that `resize` can take away. TypeScript's ES2023 does not know resizable buffers. */
function resizable<T extends Float32Array | Int32Array | Uint8Array>(values: T): {array: T; shrink(): void} {
    const bytes = values.byteLength;
    const buffer = Reflect.construct(ArrayBuffer, [bytes, {maxByteLength: bytes}]) as ArrayBuffer & {
        resize(bytes: number): void;
    };
    const array = new (values.constructor as new (buffer: ArrayBuffer) => T)(buffer);
    array.set(values);
    return {array, shrink: () => buffer.resize(0)};
}

/** Detaches the array and lets its memory go. */
function takeAway({buffer}: {buffer: ArrayBufferLike}): void {
    structuredClone(buffer, {transfer: [buffer as ArrayBuffer]});
    for (let i = 0; i < 3; i++) (globalThis as {gc?: () => void}).gc?.();
}

function transitions() {
    return {
        states: randomStates(20, width),
        state: Int32Array.from({length: 20}, (_, i) => i),
        action: new Uint8Array(20).fill(1),
        reward: new Float32Array(20).fill(1),
        nextState: new Int32Array(20).fill(-1)
    };
}

/** True if the probabilities are those of the states at the time of the call. */
async function scoresWhile(disturb: (states: Float32Array, shrink: () => void) => void): Promise<boolean> {
    using agent = randomAgent(width, 1, {hidden: [256, 64]});
    const {array, shrink} = resizable(randomStates(rows, width));
    const expected = agent.score(array);
    const probabilities = agent.scoreAsync(array);
    disturb(array, shrink);
    return Buffer.from((await probabilities).buffer).equals(Buffer.from(expected.buffer));
}

const attacks: Record<string, () => Promise<unknown>> = {
    "score, resized": () => scoresWhile((_, shrink) => shrink()),
    "score, transferred": () => scoresWhile(takeAway),
    "score, overwritten": () => scoresWhile((states) => states.fill(0)),

    async "fit, resized"() {
        using learner = new Learner(learnerOptions);
        using same = new Learner(learnerOptions);
        const states = randomStates(rows, width);
        const labels = Uint8Array.from({length: rows}, (_, i) => i % 2);
        const weights = new Float32Array(rows).fill(1);
        const expected = await same.fit({states, labels, weights});
        const lent = [resizable(states), resizable(labels), resizable(weights)] as const;
        const fit = learner.fit({states: lent[0].array, labels: lent[1].array, weights: lent[2].array});
        for (const {shrink} of lent) shrink();
        const {loss} = await fit;
        return loss === expected.loss;
    },

    async "transitions, transferred while the replay is learnt from"() {
        using learner = new Learner(learnerOptions);
        const given = transitions();
        learner.addTransitions(given);
        const update = learner.update(20);
        for (const array of Object.values(given)) takeAway(array);
        return Number.isFinite((await update).criticLoss);
    },

    async "transitions, whose getters take the others away"() {
        using learner = new Learner(learnerOptions);
        const given = transitions();
        const hostile = {
            ...given,
            get state() {
                takeAway(given.states);
                return given.state;
            }
        };
        return codeOf(() => learner.addTransitions(hostile));
    },

    async "transitions, whose getters dispose the learner"() {
        const learner = new Learner(learnerOptions);
        const hostile = {
            ...transitions(),
            get reward() {
                learner.dispose();
                return new Float32Array(20);
            }
        };
        return codeOf(() => learner.addTransitions(hostile));
    },

    async "transitions, overwritten from another thread"() {
        using learner = new Learner(learnerOptions);
        const shared = new Int32Array(new SharedArrayBuffer(80));
        const code = `const {workerData: rows} = require("node:worker_threads");
            for (;;) { rows.fill(3); rows.fill(2 ** 30); }`;
        const worker = new Worker(code, {eval: true, workerData: shared});
        await new Promise((resolve) => worker.once("online", resolve));
        const codes = new Set<string>();
        for (let i = 0; i < 5000; i++)
            codes.add(codeOf(() => learner.addTransitions({...transitions(), state: shared})));
        await worker.terminate();
        if (learner.replaySize > 0) await learner.update(5);
        return [...codes].every((found) => found === "none" || found === "INVALID_ARGUMENT");
    }
};

function codeOf(action: () => void): string {
    try {
        action();
        return "none";
    } catch (error) {
        if (error instanceof MaraError) return error.code;
        throw error;
    }
}

console.log(JSON.stringify(await attacks[process.argv[2] as string]?.()));
