/** Contenders of the kernel suite that run in Node: ours, plain TypeScript, ONNX Runtime. */

import {type AgentTensor, MaraAgent} from "../../lib/agent/agent.js";
import {tensorNames} from "../../lib/agent/state-dict.js";
import type {NativeWeightType} from "../../lib/native.js";
import {medianOf} from "../harness/statistics.js";
import {
    type KernelResult,
    type KernelTime,
    type KernelWork,
    largestError,
    readExpected,
    readFloats,
    shapesOf
} from "./cases.js";
import {onnxScorer} from "./onnx.js";
import {scorePlainly} from "./plain.js";

interface Scorer {
    score(states: Float32Array, count: number): ArrayLike<number> | Promise<ArrayLike<number>>;
    detail: string;
}

const work = JSON.parse(process.argv[2] as string) as KernelWork;

function readTensors(width: number): Record<string, AgentTensor> {
    const weights = readFloats(work.folder, `${width}.weights`);
    let at = 0;
    return Object.fromEntries(
        shapesOf(width).map((shape, i) => {
            const length = shape.reduce((a, b) => a * b);
            at += length;
            return [tensorNames[i] as string, {shape, data: weights.slice(at - length, at)}];
        })
    );
}

async function scorerOf(width: number): Promise<Scorer> {
    const tensors = readTensors(width);
    if (work.contender === "typescript") return {score: scorePlainly(tensors), detail: `Node ${process.version}`};
    if (work.contender === "onnxruntime") return await onnxScorer(tensors, work.threads);
    const agent = MaraAgent.fromTensors(tensors, {dtype: work.dtype as NativeWeightType, threads: work.threads});
    return {score: (states) => agent.score(states), detail: agent.kernel};
}

async function measure(scorer: Scorer, states: Float32Array, count: number): Promise<number> {
    const once = async (calls: number) => {
        const start = performance.now();
        for (let i = 0; i < calls; i++) {
            const result = scorer.score(states, count);
            if (result instanceof Promise) await result;
        }
        return (performance.now() - start) / 1000 / calls;
    };
    // Warm up for a third of the time, then samples of about half a millisecond.
    const warmUntil = performance.now() + (work.sampleSeconds * 1000) / 3;
    let estimate = await once(1);
    while (performance.now() < warmUntil) estimate = await once(Math.max(1, Math.floor(1e-4 / estimate)));
    const calls = Math.max(1, Math.floor(5e-4 / estimate));
    const until = performance.now() + work.sampleSeconds * 1000;
    const samples: number[] = [];
    while (performance.now() < until || samples.length < 3) samples.push(await once(calls));
    return medianOf(samples);
}

const times: KernelTime[] = [];
let detail = "";
for (const width of work.widths) {
    const scorer = await scorerOf(width);
    detail = scorer.detail;
    const expected = readExpected(work.folder, width);
    const all = readFloats(work.folder, `${width}.states`);
    for (const count of work.counts) {
        const states = all.slice(0, count * width);
        const error = largestError(await scorer.score(states, count), expected);
        times.push({width, count, seconds: await measure(scorer, states, count), error});
    }
}
console.log(JSON.stringify({times, detail} satisfies KernelResult));
