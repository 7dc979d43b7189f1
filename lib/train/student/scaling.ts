/** The scale at which a student or a value network is learnt, and its tensors at the scale at which it is used. */
import type {AgentTensor} from "../../agent/options.js";
import {type NetworkTensorName, studentSizes} from "../../agent/student.js";

export interface Moments {
    mean: number;
    deviation: number;
}

/** Numbers are learnt from at a scale of about 1; the file's tensors take them as they are. */
export interface Scaling {
    logit: Moments;
    given: [logProbability: Moments, rank: Moments];
    embedding: number;
}

export function momentsOf(values: Float32Array): Moments {
    const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
    // An agent that gives one verdict only leaves nothing to scale.
    return {mean, deviation: Math.max(1e-3, Math.sqrt(variance))};
}

export const scaled = (value: number, {mean, deviation}: Moments) => (value - mean) / deviation;

/** Cuts the learner's parameters into tensors that take embeddings, log-probability and rank as they are and give logits. */
export function unscaled(
    parameters: Float32Array,
    width: number,
    {logit, given, embedding}: Scaling
): Record<NetworkTensorName, AgentTensor> {
    const {projected, hidden, features} = studentSizes;
    let at = 0;
    const take = (...shape: number[]) => {
        const first = at;
        at += shape.reduce((product, size) => product * size, 1);
        return {shape, data: parameters.slice(first, at)};
    };
    const tensors = {
        "norm.weight": {shape: [width], data: new Float32Array(width).fill(1)},
        "norm.bias": {shape: [width], data: new Float32Array(width)},
        "hidden.weight": take(projected, width),
        "hidden.bias": take(projected),
        "embedding.weight": take(projected, width),
        "embedding.bias": take(projected),
        "fc1.weight": take(hidden, features),
        "fc1.bias": take(hidden),
        "fc2.weight": take(2, hidden),
        "fc2.bias": take(2)
    };
    const embeddingWeight = tensors["embedding.weight"].data;
    for (const [i, value] of embeddingWeight.entries()) embeddingWeight[i] = value / embedding;
    const [first, firstBias] = [tensors["fc1.weight"].data, tensors["fc1.bias"].data];
    for (let unit = 0; unit < hidden; unit++)
        for (const [i, {mean, deviation}] of given.entries()) {
            const index = unit * features + features - given.length + i;
            const weight = (first[index] as number) / deviation;
            first[index] = weight;
            firstBias[unit] = (firstBias[unit] as number) - weight * mean;
        }
    const [last, lastBias] = [tensors["fc2.weight"].data, tensors["fc2.bias"].data];
    // The first row gives the mean, the second log σ.
    for (let unit = 0; unit < hidden; unit++) last[unit] = (last[unit] as number) * logit.deviation;
    lastBias[0] = (lastBias[0] as number) * logit.deviation + logit.mean;
    lastBias[1] = (lastBias[1] as number) + Math.log(logit.deviation);
    return tensors;
}
