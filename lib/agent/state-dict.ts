/**
 * From named tensors to the network of the paper: which tensors there must be, their shapes, and their values.
 */
import {MaraError} from "../errors.js";
import type {NativeMatrix, NativeWeights} from "../native.js";
import {type FloatDtype, isFloatDtype, narrowed, quote, quoteAll, type Tensor, toFloat32} from "./tensor.js";

/** Tensor names in the order of the network, as the reference implementation calls them. Linear weights are [out, in]. */
export const tensorNames = [
    "ln.weight",
    "ln.bias",
    "linear1.weight",
    "linear1.bias",
    "linear2.weight",
    "linear2.bias",
    "output_linear.weight",
    "output_linear.bias"
] as const;

/** What the addon calls them. */
const weightNames = {
    "ln.weight": "lnWeight",
    "ln.bias": "lnBias",
    "linear1.weight": "w1",
    "linear1.bias": "b1",
    "linear2.weight": "w2",
    "linear2.bias": "b2",
    "output_linear.weight": "w3",
    "output_linear.bias": "b3"
} as const;

/** The largest size that the kernel takes. */
const maxSize = 2 ** 16;

export type TensorName = (typeof tensorNames)[number];

/** Embedding size, and outputs of the two hidden layers. */
export interface NetworkSizes {
    width: number;
    hidden1: number;
    hidden2: number;
}

/** A checked state dict: every tensor once, shapes that fit, finite values. */
export interface StateDict extends NetworkSizes {
    /** In the precision of the file (F64: narrowed to F32 when it is asked for). */
    tensors: ReadonlyMap<TensorName, Tensor & {dtype: FloatDtype}>;
}

/** The shape of every tensor, row-major. */
export function shapesOf({width, hidden1, hidden2}: NetworkSizes): Record<TensorName, number[]> {
    return {
        "ln.weight": [width],
        "ln.bias": [width],
        "linear1.weight": [hidden1, width],
        "linear1.bias": [hidden1],
        "linear2.weight": [hidden2, hidden1],
        "linear2.bias": [hidden2],
        "output_linear.weight": [2, hidden2],
        "output_linear.bias": [2]
    };
}

/**
 * Checks named tensors and reads width and hidden sizes off their shapes. A prefix common to all names (`module.`,
 * `actor.`) is dropped.
 * @param mayKeep whether the tensors' bytes may be kept; otherwise they are copied
 * Values are not looked at: the kernel refuses what is NaN or infinite while it packs the weights, which reads them once less (`requireFinite`).
 * @throws MaraError AGENT_TENSORS naming what is missing, unknown, of a wrong shape or dtype
 */
export function readStateDict(
    tensors: ReadonlyMap<string, Tensor>,
    mayKeep = false
): {dict: StateDict; weights: NativeWeights} {
    const named = matchNames(tensors);
    const width = sizeOf(named, "ln.weight", 1);
    const hidden1 = sizeOf(named, "linear1.weight", 2);
    const hidden2 = sizeOf(named, "linear2.weight", 2);
    const shapes = shapesOf({width, hidden1, hidden2});
    // Shapes are checked before any bytes are asked for, because giving them can take time and memory.
    const dtypes = checkDescriptions(named, shapes);
    const kept = new Map<TensorName, Tensor & {dtype: FloatDtype}>();
    const weights = {width, hidden1, hidden2} as NativeWeights;
    for (const name of tensorNames) {
        const dtype = dtypes[name];
        const shape = shapes[name];
        const tensor = mayKeep
            ? (named[name] as Tensor & {dtype: FloatDtype})
            : {dtype, shape, bytes: new Uint8Array(named[name].bytes)};
        if (name === "linear1.weight" || name === "linear2.weight") weights[weightNames[name]] = matrixOf(tensor);
        else weights[weightNames[name]] = toFloat32(tensor);
        kept.set(name, isDouble(tensor) ? narrowed(tensor) : tensor);
    }
    return {dict: {tensors: kept, width, hidden1, hidden2}, weights};
}

/** A layer's weights where they are: the addon widens and gathers them while it packs them. */
function matrixOf(tensor: Tensor & {dtype: FloatDtype}): NativeMatrix {
    const [rows, columns] = tensor.shape as [number, number];
    const {data, offset, strides} = tensor.view ?? {data: tensor.bytes, offset: 0, strides: [columns, 1]};
    const [rowStride, columnStride] = strides as [number, number];
    return {
        dtype: tensor.dtype,
        data,
        offset,
        // The stride of an axis of one item means nothing, and may be anything.
        rowStride: rows === 1 ? 0 : rowStride,
        columnStride: columns === 1 ? 0 : columnStride
    };
}

function isDouble(tensor: Tensor): tensor is Tensor & {dtype: "F64"} {
    return tensor.dtype === "F64";
}

function checkDescriptions(
    named: Record<TensorName, Tensor>,
    shapes: Record<TensorName, number[]>
): Record<TensorName, FloatDtype> {
    const dtypes = {} as Record<TensorName, FloatDtype>;
    for (const name of tensorNames) {
        const {dtype, shape} = named[name];
        if (!isFloatDtype(dtype)) {
            throw wrong(`Tensor ${quote(name)} has dtype ${dtype} but F32, F16, BF16 or F64 was expected`);
        }
        if (shape.join() !== shapes[name].join()) {
            throw wrong(
                `Tensor ${quote(name)} has shape [${shape.join(", ")}] but [${shapes[name].join(", ")}] was expected`
            );
        }
        dtypes[name] = dtype;
    }
    return dtypes;
}

function wrong(text: string): MaraError {
    return new MaraError("AGENT_TENSORS", text);
}

function matchNames(tensors: ReadonlyMap<string, Tensor>): Record<TensorName, Tensor> {
    const prefix = commonPrefix([...tensors.keys()]);
    const found: Partial<Record<TensorName, Tensor>> = {};
    const unknown: string[] = [];
    for (const [name, tensor] of tensors) {
        const bare = name.startsWith(prefix) ? name.slice(prefix.length) : "";
        const known = tensorNames.find((candidate) => candidate === bare);
        if (known === undefined) unknown.push(name);
        else found[known] = tensor;
    }
    const missing = tensorNames.filter((name) => found[name] === undefined);
    const faults = [
        ...(missing.length > 0 ? [`missing: ${quoteAll(missing)}`] : []),
        ...(unknown.length > 0 ? [`unknown: ${quoteAll(unknown)}`] : [])
    ];
    if (faults.length > 0) throw wrong(`These are not the tensors of a MARA agent; ${faults.join("; ")}`);
    return found as Record<TensorName, Tensor>;
}

/** The text before the first known name, such as "module." */
function commonPrefix(names: readonly string[]): string {
    for (const name of names) {
        const known = tensorNames.find((candidate) => name === candidate || name.endsWith(`.${candidate}`));
        if (known !== undefined) return name.slice(0, -known.length);
    }
    return "";
}

/** The first dimension of a tensor, which gives a layer's size. */
function sizeOf(named: Record<TensorName, Tensor>, name: TensorName, rank: number): number {
    const {shape} = named[name];
    const size = shape[0];
    if (shape.length !== rank || size === undefined || size < 1) {
        const expected = rank === 1 ? "one dimension" : "two dimensions";
        throw wrong(
            `Tensor ${quote(name)} has shape [${shape.join(", ")}] but ${expected} of at least 1 were expected`
        );
    }
    if (size > maxSize) {
        throw wrong(
            `Tensor ${quote(name)} has shape [${shape.join(", ")}], but width and hidden sizes end at ${maxSize}`
        );
    }
    return size;
}

/** @throws MaraError AGENT_TENSORS naming the first weight that is NaN or infinite */
export function requireFinite({tensors}: StateDict): void {
    for (const name of tensorNames) {
        const values = toFloat32(tensors.get(name) as Tensor & {dtype: FloatDtype});
        const index = values.findIndex((value) => !Number.isFinite(value));
        if (index >= 0) throw wrong(`Tensor ${quote(name)} holds ${values[index]} at index ${index}`);
    }
}
