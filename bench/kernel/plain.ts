import type {AgentTensor} from "../../lib/agent/agent.js";

/** The network as one would write it in TypeScript with typed arrays: loops over rows, four sums at a time. */
export function scorePlainly(
    tensors: Record<string, AgentTensor>
): (states: Float32Array, count: number) => Float32Array {
    const data = (name: string) => tensors[name]?.data as Float32Array;
    const [scale, shift] = [data("ln.weight"), data("ln.bias")];
    const layers = ["linear1", "linear2", "output_linear"].map((name) => ({
        weight: data(`${name}.weight`),
        bias: data(`${name}.bias`),
        out: new Float32Array(data(`${name}.bias`).length)
    }));
    const width = scale.length;
    const normed = new Float32Array(width);
    return (states, count) => {
        const probabilities = new Float32Array(count);
        for (let row = 0; row < count; row++) {
            normalise(states.subarray(row * width, (row + 1) * width), scale, shift, normed);
            let input = normed;
            layers.forEach(({weight, bias, out}, i) => {
                linear(input, weight, bias, out, i < 2);
                input = out;
            });
            probabilities[row] = 1 / (1 + Math.exp((input[0] as number) - (input[1] as number)));
        }
        return probabilities;
    };
}

function normalise(x: Float32Array, scale: Float32Array, shift: Float32Array, out: Float32Array): void {
    let mean = 0;
    for (let i = 0; i < x.length; i++) mean += x[i] as number;
    mean /= x.length;
    let variance = 0;
    for (let i = 0; i < x.length; i++) variance += ((x[i] as number) - mean) ** 2;
    const factor = 1 / Math.sqrt(variance / x.length + 1e-5);
    for (let i = 0; i < x.length; i++)
        out[i] = ((x[i] as number) - mean) * factor * (scale[i] as number) + (shift[i] as number);
}

function linear(x: Float32Array, weight: Float32Array, bias: Float32Array, out: Float32Array, relu: boolean): void {
    const width = x.length;
    for (let row = 0; row < out.length; row++) {
        const at = row * width;
        let [a, b, c, d] = [0, 0, 0, 0];
        for (let i = 0; i < width; i += 4) {
            a += (x[i] as number) * (weight[at + i] as number);
            b += (x[i + 1] as number) * (weight[at + i + 1] as number);
            c += (x[i + 2] as number) * (weight[at + i + 2] as number);
            d += (x[i + 3] as number) * (weight[at + i + 3] as number);
        }
        const sum = a + b + c + d + (bias[row] as number);
        out[row] = relu ? Math.max(0, sum) : sum;
    }
}
