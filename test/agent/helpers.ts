import {readFileSync} from "node:fs";
import {fileURLToPath} from "node:url";
import {zipSync} from "fflate";
import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";
import type {AgentTensor} from "../../lib/agent/agent.js";
import {readSafetensors} from "../../lib/agent/safetensors.js";
import {type FloatDtype, type Tensor, toFloat32} from "../../lib/agent/tensor.js";

export const goldenPath = (name: string): string => fileURLToPath(new URL(`../golden/${name}`, import.meta.url));

/** A float tensor of a golden file; float64 stays float64. */
export function goldenTensor(file: string, name: string): Float32Array | Float64Array {
    const tensor = readSafetensors(readFileSync(goldenPath(file))).tensors.get(name) as Tensor & {dtype: FloatDtype};
    return tensor.dtype === "F64" ? new Float64Array(new Uint8Array(tensor.bytes).buffer) : toFloat32(tensor);
}

export type Random = (low: number, high: number) => number;

/** Whole numbers, both ends included, from a seed. */
export function random(seed: number): Random {
    const generator = xoroshiro128plus(seed);
    return (low, high) => uniformInt(generator, low, high);
}

/** A small agent with random weights in (-1, 1). */
export function smallTensors(seed = 1, width = 8, hidden1 = 6, hidden2 = 4): Record<string, AgentTensor> {
    const next = random(seed);
    const tensor = (...shape: number[]): AgentTensor => ({
        shape,
        data: Float32Array.from({length: shape.reduce((a, b) => a * b)}, () => next(-999, 999) / 1000)
    });
    return {
        "ln.weight": tensor(width),
        "ln.bias": tensor(width),
        "linear1.weight": tensor(hidden1, width),
        "linear1.bias": tensor(hidden1),
        "linear2.weight": tensor(hidden2, hidden1),
        "linear2.bias": tensor(hidden2),
        "output_linear.weight": tensor(2, hidden2),
        "output_linear.bias": tensor(2)
    };
}

export function randomStates(count: number, width: number, seed = 2): Float32Array {
    const next = random(seed);
    return Float32Array.from({length: count * width}, () => next(-3000, 3000) / 1000);
}

export {failure} from "../support/failure.js";

/** A .safetensors file with this header, right or wrong; `headerBytes` overrides its stated length. */
export function safetensorsFile(
    header: unknown,
    data: Uint8Array = new Uint8Array(),
    headerBytes?: bigint
): Uint8Array {
    const json = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(headerBytes ?? BigInt(json.length));
    return Buffer.concat([length, json, data]);
}

/** A .pth file around a pickle; entries beside it are given by name. */
export function pthFile(pickle: Uint8Array, entries: Record<string, Uint8Array> = {}): Uint8Array {
    return zipSync({"agent/data.pkl": pickle, ...entries}, {level: 0});
}

/** Pickle opcodes by hand: strings are opcodes in ASCII, numbers single bytes. */
export function pickle(...parts: (string | number | Uint8Array)[]): Uint8Array {
    const head = [0x80, 2, ...parts, "."];
    return Buffer.concat(
        head.map((part) => (typeof part === "number" ? Buffer.from([part]) : Buffer.from(part as string)))
    );
}

/** BINUNICODE. */
export function text(value: string): Uint8Array {
    const bytes = Buffer.from(value);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(bytes.length);
    return Buffer.concat([Buffer.from("X"), length, bytes]);
}

/** BININT. */
export function int(value: number): Uint8Array {
    const bytes = Buffer.alloc(5, "J");
    bytes.writeInt32LE(value, 1);
    return bytes;
}

/** TUPLE of these pickled parts. */
export function tuple(...parts: Uint8Array[]): Uint8Array {
    return Buffer.concat([Buffer.from("("), ...parts, Buffer.from("t")]);
}

export interface PickledTensor {
    key: string;
    items: number;
    shape: number[];
    strides?: number[];
    offset?: number;
    storage?: string;
}

/** The pickle that torch.save writes for one tensor: a call of _rebuild_tensor_v2 on a storage. */
export function pickledTensor({
    key,
    items,
    shape,
    strides,
    offset = 0,
    storage = "FloatStorage"
}: PickledTensor): Uint8Array {
    const contiguous = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
    const id = tuple(text("storage"), Buffer.from(`ctorch\n${storage}\n`), text(key), text("cpu"), int(items));
    return Buffer.concat([
        Buffer.from("ctorch._utils\n_rebuild_tensor_v2\n("),
        id,
        Buffer.from("Q"),
        int(offset),
        tuple(...shape.map(int)),
        tuple(...(strides ?? contiguous).map(int)),
        Buffer.from([0x89]),
        Buffer.from("ccollections\nOrderedDict\n)RtR")
    ]);
}

/** A state dict pickle of these tensors. */
export function pickledDict(tensors: Record<string, PickledTensor>): Uint8Array {
    const items = Object.entries(tensors).flatMap(([name, tensor]) => [text(name), pickledTensor(tensor)]);
    return pickle("}(", ...items, "u");
}

const floatBytes = (values: Float32Array): Uint8Array => new Uint8Array(values.slice().buffer);

/** The small agent as torch.save would write it, one storage per tensor. */
export function smallPth(
    change: (tensors: Record<string, PickledTensor>, files: Record<string, Uint8Array>) => void = () => {}
) {
    const tensors: Record<string, PickledTensor> = {};
    const files: Record<string, Uint8Array> = {};
    Object.entries(smallTensors()).forEach(([name, {shape, data}], key) => {
        tensors[name] = {key: `${key}`, items: data.length, shape: [...shape]};
        files[`agent/data/${key}`] = floatBytes(data);
    });
    change(tensors, files);
    return {dict: pickledDict(tensors), files, tensors};
}

/** An archive of one file whose directory names it `count` times: first as `name`, then as 1, 2, 3 and so on. */
export function overlappingZip(name: string, content: Uint8Array, count: number): Uint8Array {
    const zip = Buffer.from(zipSync({[name]: content}, {level: 0}));
    const start = zip.indexOf("PK\u0001\u0002");
    const end = zip.indexOf("PK\u0005\u0006");
    const first = zip.subarray(start, end);
    const directory = [first];
    for (let i = 1; i < count; i++) {
        const header = Buffer.from(first.subarray(0, 46));
        header.writeUInt16LE(`${i}`.length, 28);
        directory.push(header, Buffer.from(`${i}`));
    }
    const tail = Buffer.from(zip.subarray(end));
    tail.writeUInt16LE(count, 8);
    tail.writeUInt16LE(count, 10);
    return Buffer.concat([zip.subarray(0, start), ...directory, tail]);
}

/** A stored archive in zip64 form, where the central directory holds no 32-bit size or offset. */
export function zip64File(entries: Record<string, Uint8Array>): Uint8Array {
    const parts: Buffer[] = [];
    const directory: Buffer[] = [];
    let offset = 0;
    for (const [name, bytes] of Object.entries(entries)) {
        const local = Buffer.alloc(30 + name.length);
        local.writeUInt32LE(0x04034b50, 0);
        local.writeUInt16LE(name.length, 26);
        local.write(name, 30);
        const central = Buffer.alloc(46 + name.length + 28);
        central.writeUInt32LE(0x02014b50, 0);
        central.fill(0xff, 20, 28);
        central.writeUInt16LE(name.length, 28);
        central.writeUInt16LE(28, 30);
        central.fill(0xff, 42, 46);
        central.write(name, 46);
        const extra = 46 + name.length;
        central.writeUInt16LE(1, extra);
        central.writeUInt16LE(24, extra + 2);
        central.writeBigUInt64LE(BigInt(bytes.length), extra + 4);
        central.writeBigUInt64LE(BigInt(bytes.length), extra + 12);
        central.writeBigUInt64LE(BigInt(offset), extra + 20);
        parts.push(local, Buffer.from(bytes));
        directory.push(central);
        offset += local.length + bytes.length;
    }
    const size = directory.reduce((sum, entry) => sum + entry.length, 0);
    const end64 = Buffer.alloc(56);
    end64.writeUInt32LE(0x06064b50, 0);
    end64.writeBigUInt64LE(BigInt(directory.length), 32);
    end64.writeBigUInt64LE(BigInt(offset), 48);
    const locator = Buffer.alloc(20);
    locator.writeUInt32LE(0x07064b50, 0);
    locator.writeBigUInt64LE(BigInt(offset + size), 8);
    const end = Buffer.alloc(22, 0xff);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(0, 20);
    return Buffer.concat([...parts, ...directory, end64, locator, end]);
}
