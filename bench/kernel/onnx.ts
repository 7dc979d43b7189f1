import {createRequire} from "node:module";
import {fileURLToPath} from "node:url";
import type {AgentTensor} from "../../lib/agent/agent.js";

/** The part of onnxruntime-node that is used here; the package is installed by the bench only. */
interface OnnxRuntime {
    InferenceSession: {
        create(
            model: Uint8Array,
            options: object
        ): Promise<{run(feeds: Record<string, unknown>): Promise<Record<string, {data: Float32Array}>>}>;
    };
    Tensor: new (type: "float32", data: Float32Array, dims: readonly number[]) => unknown;
}

const peers = fileURLToPath(new URL("../peers/package.json", import.meta.url));

/** onnxruntime-node; undefined where the bench has not installed it. */
export function onnxRuntime(): OnnxRuntime | undefined {
    try {
        return createRequire(peers)("onnxruntime-node") as OnnxRuntime;
    } catch {
        return undefined;
    }
}

export async function onnxScorer(tensors: Record<string, AgentTensor>, threads: number) {
    const require = createRequire(peers);
    const {InferenceSession, Tensor} = require("onnxruntime-node") as OnnxRuntime;
    const {version} = require("onnxruntime-node/package.json") as {version: string};
    const width = tensors["ln.weight"]?.data.length as number;
    const session = await InferenceSession.create(encodeAgent(tensors), {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        executionMode: "sequential",
        graphOptimizationLevel: "all"
    });
    const score = async (states: Float32Array, count: number) => {
        const {p} = await session.run({x: new Tensor("float32", states, [count, width])});
        return (p as {data: Float32Array}).data.filter((_, i) => i % 2 === 1);
    };
    return {score, detail: `onnxruntime-node ${version}`};
}

const float = 1;

/** The network as an ONNX model: protobuf by hand, since its fields are few (onnx.proto, IR version 8, opset 17). */
export function encodeAgent(tensors: Readonly<Record<string, AgentTensor>>): Uint8Array {
    const width = tensors["ln.weight"]?.data.length as number;
    const node = (type: string, inputs: string[], output: string, attributes: Buffer[] = []) =>
        message(1, [...inputs.map((name) => text(1, name)), text(2, output), text(4, type)].concat(attributes));
    const integer = (name: string, value: number) => message(5, [text(1, name), varint(3, value), varint(20, 2)]);
    const epsilon = message(5, [text(1, "epsilon"), fixed(2, 1e-5), varint(20, 1)]);
    const gemm = (layer: string, input: string, output: string) =>
        node("Gemm", [input, `${layer}.weight`, `${layer}.bias`], output, [integer("transB", 1)]);
    const value = (field: number, name: string, columns: number) => {
        const shape = message(2, [message(1, [text(2, "K")]), message(1, [varint(1, columns)])]);
        return message(field, [text(1, name), message(2, [message(1, [varint(1, float), shape])])]);
    };
    const graph = [
        node("LayerNormalization", ["x", "ln.weight", "ln.bias"], "n", [integer("axis", -1), epsilon]),
        gemm("linear1", "n", "a"),
        node("Relu", ["a"], "b"),
        gemm("linear2", "b", "c"),
        node("Relu", ["c"], "d"),
        gemm("output_linear", "d", "e"),
        node("Softmax", ["e"], "p", [integer("axis", -1)]),
        text(2, "agent"),
        ...Object.entries(tensors).map(([name, {shape, data}]) =>
            message(5, [
                ...shape.map((size) => varint(1, size)),
                varint(2, float),
                text(8, name),
                bytes(9, Buffer.from(data.buffer, data.byteOffset, data.byteLength))
            ])
        ),
        value(11, "x", width),
        value(12, "p", 2)
    ];
    return Buffer.concat([varint(1, 8), message(7, graph), message(8, [varint(2, 17)])]);
}

function varint(field: number, value: number): Buffer {
    return Buffer.concat([number(BigInt(field) << 3n), number(BigInt.asUintN(64, BigInt(value)))]);
}

function number(value: bigint): Buffer {
    const out: number[] = [];
    let rest = value;
    do {
        out.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
        rest >>= 7n;
    } while (rest > 0n);
    return Buffer.from(out);
}

function fixed(field: number, value: number): Buffer {
    const data = Buffer.alloc(4);
    data.writeFloatLE(value);
    return Buffer.concat([number((BigInt(field) << 3n) | 5n), data]);
}

function bytes(field: number, data: Buffer): Buffer {
    return Buffer.concat([number((BigInt(field) << 3n) | 2n), number(BigInt(data.length)), data]);
}

const text = (field: number, value: string) => bytes(field, Buffer.from(value));
const message = (field: number, parts: Buffer[]) => bytes(field, Buffer.concat(parts));
