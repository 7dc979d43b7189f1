import type {AgentTensor} from "../../lib/agent/agent.js";

/** The agent's network in float64, written down as the paper has it. */
export class ReferenceNetwork {
    readonly #tensors: Readonly<Record<string, AgentTensor>>;

    constructor(tensors: Readonly<Record<string, AgentTensor>>) {
        this.#tensors = tensors;
    }

    acceptProbability(state: ArrayLike<number>): number {
        return 1 / (1 + Math.exp(-this.margin(state)));
    }

    /** Logit of "accept" less that of "reject". */
    margin(state: ArrayLike<number>): number {
        const normed = this.#layerNorm(Array.from(state));
        const hidden = this.#linear("linear2", this.#linear("linear1", normed).map(relu)).map(relu);
        const [reject, accept] = this.#linear("output_linear", hidden) as [number, number];
        return accept - reject;
    }

    #layerNorm(x: number[]): number[] {
        const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
        const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
        const weight = this.#data("ln.weight");
        const bias = this.#data("ln.bias");
        return x.map((value, i) => at(bias, i) + (at(weight, i) * (value - mean)) / Math.sqrt(variance + 1e-5));
    }

    #linear(name: string, x: readonly number[]): number[] {
        const weight = this.#data(`${name}.weight`);
        return Array.from(this.#data(`${name}.bias`), (bias, row) =>
            x.reduce((sum, value, column) => sum + value * at(weight, row * x.length + column), bias)
        );
    }

    #data(name: string): Float32Array {
        return (this.#tensors[name] as AgentTensor).data;
    }
}

const relu = (value: number) => Math.max(0, value);
const at = (values: ArrayLike<number>, index: number) => values[index] as number;
