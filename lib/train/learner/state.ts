/**
 * A learner's state as .safetensors bytes, so that any tool can look inside: parameters and Adam's moments of each network by the names of
 * an agent file (`actor.ln.weight`, `critic1.linear1.bias`, `target2.…`, `critic1.moment1.…`), `scalars` (F64) and `random` (U64).
 */
import {readSafetensors, writeSafetensors} from "../../agent/safetensors.js";
import {type NetworkSizes, shapesOf, type TensorName, tensorNames} from "../../agent/state-dict.js";
import {countItems, type Tensor, tensorOf} from "../../agent/tensor.js";
import {MaraError} from "../../errors.js";
import type {NativeLearner} from "../../native-learners.js";

/** By the index of the native array. */
const arrayNames = [
    ...["actor", "critic1", "critic2", "target1", "target2"],
    ...["actor.moment1", "critic1.moment1", "critic2.moment1"],
    ...["actor.moment2", "critic1.moment2", "critic2.moment2"]
];

const format = "node-llama-mara learner 1";
const scalarCount = 7;
const randomCount = 4;

/** Cuts a flat array of parameters into the tensors of an agent file. */
export function splitParameters(
    values: Float32Array,
    sizes: NetworkSizes
): Record<TensorName, {shape: number[]; data: Float32Array}> {
    const shapes = shapesOf(sizes);
    let at = 0;
    const entries = tensorNames.map((name) => {
        const start = at;
        at += countItems(shapes[name]);
        return [name, {shape: shapes[name], data: values.slice(start, at)}];
    });
    return Object.fromEntries(entries) as Record<TensorName, {shape: number[]; data: Float32Array}>;
}

/** The inverse of `splitParameters`; `read` gives each tensor's items. */
export function joinParameters(sizes: NetworkSizes, read: (name: TensorName, shape: number[]) => Float32Array) {
    const shapes = shapesOf(sizes);
    const values = new Float32Array(tensorNames.reduce((sum, name) => sum + countItems(shapes[name]), 0));
    let at = 0;
    for (const name of tensorNames) {
        values.set(read(name, shapes[name]), at);
        at += countItems(shapes[name]);
    }
    return values;
}

/** @throws MaraError LEARNER_BUSY, LEARNER_DISPOSED (through `fromNative`) */
export function writeLearnerState(native: NativeLearner, sizes: NetworkSizes): Uint8Array {
    const tensors = new Map<string, Tensor>();
    arrayNames.forEach((network, index) => {
        const parts = splitParameters(native.array(index), sizes);
        for (const name of tensorNames)
            tensors.set(`${network}.${name}`, tensorOf(parts[name].shape, parts[name].data));
    });
    tensors.set("scalars", {dtype: "F64", shape: [scalarCount], bytes: bytesOf(native.scalars())});
    tensors.set("random", {dtype: "U64", shape: [randomCount], bytes: bytesOf(native.random())});
    return writeSafetensors(tensors, {format});
}

/** The contents of a saved state, checked. */
export class LearnerState {
    readonly sizes: NetworkSizes;
    readonly #tensors: ReadonlyMap<string, Tensor>;

    /** @throws MaraError LEARNER_STATE */
    constructor(bytes: Uint8Array) {
        try {
            const file = readSafetensors(bytes);
            if (file.metadata.format !== format) throw new MaraError("LEARNER_STATE", "It is no saved learner");
            this.#tensors = file.tensors;
        } catch (error) {
            throw new MaraError("LEARNER_STATE", `Could not restore the learner: ${(error as Error).message}`, {
                cause: error
            });
        }
        const size = (name: string) => this.#tensors.get(`actor.${name}`)?.shape[0] ?? 0;
        this.sizes = {width: size("ln.weight"), hidden1: size("linear1.bias"), hidden2: size("linear2.bias")};
        if (Object.values(this.sizes).includes(0)) {
            throw new MaraError("LEARNER_STATE", "Could not restore the learner: tensors of its actor are missing");
        }
    }

    /** @throws MaraError LEARNER_STATE */
    apply(native: NativeLearner): void {
        // Everything is read before anything is written, so that a bad state changes nothing.
        const arrays = arrayNames.map((network) =>
            joinParameters(
                this.sizes,
                (name, shape) => new Float32Array(this.#bytes(`${network}.${name}`, "F32", shape).buffer)
            )
        );
        const scalars = new Float64Array(this.#bytes("scalars", "F64", [scalarCount]).buffer);
        const random = new BigUint64Array(this.#bytes("random", "U64", [randomCount]).buffer);
        arrays.forEach((values, index) => {
            native.setArray(index, values);
        });
        native.setScalars(scalars);
        native.setRandom(random);
    }

    /** Copies the bytes, so that they are aligned. */
    #bytes(name: string, dtype: string, shape: readonly number[]): Uint8Array<ArrayBuffer> {
        const tensor = this.#tensors.get(name);
        if (tensor?.dtype !== dtype || tensor.shape.join() !== shape.join()) {
            const found = tensor === undefined ? "is missing" : `is ${tensor.dtype} [${tensor.shape.join(", ")}]`;
            throw new MaraError(
                "LEARNER_STATE",
                `Could not restore the learner: "${name}" ${found} but ${dtype} [${shape.join(", ")}] was expected`
            );
        }
        return new Uint8Array(tensor.bytes);
    }
}

function bytesOf(values: Float64Array | BigUint64Array): Uint8Array {
    return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}
