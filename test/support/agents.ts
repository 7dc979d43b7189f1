import {type AgentTensor, MaraAgent} from "../../lib/agent/agent.js";
import {ReferenceNetwork} from "./network.js";
import {seededRandom} from "./random.js";

export interface RandomAgentOptions {
    /** Added to the logit of "accept", whose spread is `spread`: above 0 accepts more. Default 0: about half of the states. */
    bias?: number;
    /** Spread of the accept logit over states. Default 2.5, so that few probabilities are near 0.5. */
    spread?: number;
    /** Hidden states to balance the agent on, row-major. Default: random ones, which suit the tiny models. */
    states?: Float32Array;
    /** Default [32, 16]. */
    hidden?: readonly [number, number];
}

/** An agent with random weights that accepts some states and rejects others, whatever they mean. */
export function randomAgent(width: number, seed: number, options: RandomAgentOptions = {}): MaraAgent {
    return agentOf(randomTensors(width, seed, options));
}

/** An agent of random weights whose output layer outweighs them: everything is accepted. */
export function acceptAll(width: number, seed = 1): MaraAgent {
    return agentOf(randomTensors(width, seed, {bias: 100}));
}

/** An agent of random weights whose output layer outweighs them: everything is rejected. */
export function rejectAll(width: number, seed = 1): MaraAgent {
    return agentOf(randomTensors(width, seed, {bias: -100}));
}

/** In float32, since tests compare with float64, and on one thread. */
function agentOf(tensors: Record<string, AgentTensor>): MaraAgent {
    return MaraAgent.fromTensors(tensors, {dtype: "f32", threads: 1});
}

export function randomTensors(
    width: number,
    seed: number,
    {bias = 0, spread = 2.5, states, hidden: [hidden1, hidden2] = [32, 16]}: RandomAgentOptions = {}
): Record<string, AgentTensor> {
    const {normal} = seededRandom(seed);
    const tensor = (shape: readonly number[], scale: number, mean = 0): AgentTensor => ({
        shape,
        data: Float32Array.from({length: shape.reduce((a, b) => a * b)}, () => mean + scale * normal())
    });
    const tensors = {
        "ln.weight": tensor([width], 0.3, 1),
        "ln.bias": tensor([width], 0.1),
        "linear1.weight": tensor([hidden1, width], Math.sqrt(2 / width)),
        "linear1.bias": tensor([hidden1], 0.1),
        "linear2.weight": tensor([hidden2, hidden1], Math.sqrt(2 / hidden1)),
        "linear2.bias": tensor([hidden2], 0.1),
        "output_linear.weight": tensor([2, hidden2], 1 / Math.sqrt(hidden2)),
        "output_linear.bias": tensor([2], 0)
    };
    balance(tensors, states ?? Float32Array.from({length: 200 * width}, normal), {width, bias, spread});
    return tensors;
}

/** Scales and shifts the output layer so that the accept logit has the wanted mean and spread over `states`. */
function balance(
    tensors: Record<"output_linear.weight" | "output_linear.bias", AgentTensor> & Record<string, AgentTensor>,
    states: Float32Array,
    {width, bias, spread}: {width: number; bias: number; spread: number}
): void {
    const network = new ReferenceNetwork(tensors);
    const margins = Array.from({length: states.length / width}, (_, i) =>
        network.margin(states.subarray(i * width, (i + 1) * width))
    );
    const mean = margins.reduce((sum, value) => sum + value, 0) / margins.length;
    const deviation = Math.sqrt(margins.reduce((sum, value) => sum + (value - mean) ** 2, 0) / margins.length);
    const scale = spread / deviation;
    const {data: weight} = tensors["output_linear.weight"];
    for (let i = 0; i < weight.length; i++) weight[i] = (weight[i] as number) * scale;
    const half = (bias - mean * scale) / 2;
    tensors["output_linear.bias"].data.set([-half, half]);
}
