import {createHash} from "node:crypto";
import {readFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import type {AgentTensor} from "../../lib/agent/agent.js";
import {saveValueNetwork, type ValueNetwork} from "../../lib/agent/value-network.js";
import {readEmbeddings} from "../../lib/align/node-llama-cpp/embeddings.js";
import type {AgentStudent, StudentTensorName} from "../../lib/index.js";
import {seededRandom} from "./random.js";

export function sha256OfModel(model: LlamaModel): string {
    const {_modelPath} = model as unknown as {_modelPath: string};
    return createHash("sha256").update(readFileSync(_modelPath)).digest("hex");
}

/** A calibration by which verdicts agree with the agent's wherever their confidence is 1 or more, and half of the others do. */
const calibration = [
    [2, 1, 1],
    [-2, 1, -1],
    [1, 1, 1],
    [0.5, 1, -1],
    [0.4, 1, 1]
].flat();

/** A student of random weights for the model: it accepts about half of what there is, with standard deviations between 0.3 and 3. */
export function randomStudent(
    model: LlamaModel,
    seed: number,
    {heldOutAgreement = 0.95, bias = 0}: {heldOutAgreement?: number; bias?: number} = {}
): AgentStudent {
    const width = model.embeddingVectorSize;
    const {normal} = seededRandom(seed);
    const tensor = (shape: readonly number[], scale: number, mean = 0): AgentTensor => ({
        shape: [...shape],
        data: Float32Array.from({length: shape.reduce((a, b) => a * b)}, () => mean + scale * normal())
    });
    const fc2 = tensor([2, 128], 0.35);
    fc2.data.subarray(128).forEach((value, i) => {
        fc2.data[128 + i] = value / 6;
    });
    const tensors: Record<StudentTensorName, AgentTensor> = {
        "norm.weight": tensor([width], 0.2, 1),
        "norm.bias": tensor([width], 0.1),
        "hidden.weight": tensor([64, width], width ** -0.5),
        "hidden.bias": tensor([64], 0.1),
        "embedding.weight": tensor([64, width], 1.5 * width ** -0.5),
        "embedding.bias": tensor([64], 0.1),
        "fc1.weight": tensor([128, 194], 194 ** -0.5),
        "fc1.bias": tensor([128], 0.1),
        "fc2.weight": fc2,
        "fc2.bias": {shape: [2], data: Float32Array.of(bias, 0)},
        calibration: {shape: [calibration.length / 3, 3], data: Float32Array.from(calibration)}
    };
    return {model: sha256OfModel(model), activation: "relu", heldOutAgreement, heldOutR2: 0.5, labels: 1, tensors};
}

/** A value network of random weights for the model, and its file in the folder. */
export async function writeRandomNetwork(
    folder: string,
    model: LlamaModel,
    seed: number
): Promise<{file: string} & ValueNetwork> {
    const {model: hash, tensors} = randomStudent(model, seed);
    const {calibration: _, ...own} = tensors;
    const network: ValueNetwork = {
        model: hash,
        width: model.embeddingVectorSize,
        candidates: 12,
        training: {demonstrations: 1, tokens: 1, epochs: 1, seed},
        heldOut: {tokens: 1, raw: 2, guided: 1},
        tensors: own
    };
    const file = join(folder, `network-${seed}.safetensors`);
    await saveValueNetwork(file, network);
    return {file, ...network};
}

/** A student, or a value network. */
type Network = {readonly tensors: Readonly<Record<Exclude<StudentTensorName, "calibration">, AgentTensor>>};

/** The network of a student in float64, with the embeddings of the model's whole vocabulary. */
export class ReferenceStudent {
    readonly #student: Network;
    readonly #embeddings: Float32Array;

    private constructor(student: Network, embeddings: Float32Array) {
        this.#student = student;
        this.#embeddings = embeddings;
    }

    static async create(model: LlamaModel, student: Network, vocabulary: number): Promise<ReferenceStudent> {
        return new ReferenceStudent(
            student,
            await readEmbeddings(
                model,
                Array.from({length: vocabulary}, (_, i) => i)
            )
        );
    }

    /** `logits`: those of the candidates, most probable first. */
    judge(
        state: ArrayLike<number>,
        {token, rank, logits}: {token: number; rank: number; logits: readonly number[]}
    ): {mean: number; deviation: number} {
        const x = Array.from(state);
        const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
        const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
        const weight = this.#data("norm.weight");
        const bias = this.#data("norm.bias");
        const normed = x.map((value, i) => ((value - mean) / Math.sqrt(variance + 1e-5)) * at(weight, i) + at(bias, i));
        const p = this.#linear("hidden", normed);
        const q = this.#linear("embedding", this.#embeddings.subarray(token * x.length, (token + 1) * x.length));
        const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
        const logProbability = Math.max(Math.log(1e-6), at(logits, rank) - total);
        const product = p.map((value, i) => value * at(q, i));
        const z = this.#linear("fc1", [...p, ...q, ...product, logProbability, Math.log(1 + rank)]);
        const [mu, logSigma] = this.#linear(
            "fc2",
            z.map((value) => Math.max(0, value))
        ) as [number, number];
        return {mean: mu, deviation: Math.exp(Math.min(3, Math.max(-5, logSigma)))};
    }

    #linear(name: "hidden" | "embedding" | "fc1" | "fc2", x: ArrayLike<number>): number[] {
        const weight = this.#data(`${name}.weight`);
        return Array.from(this.#data(`${name}.bias`), (bias, row) =>
            Array.from(x).reduce((sum, value, column) => sum + value * at(weight, row * x.length + column), bias)
        );
    }

    #data(name: keyof Network["tensors"]): Float32Array {
        return this.#student.tensors[name].data;
    }
}

const at = (values: ArrayLike<number>, index: number) => values[index] as number;
