import {mkdirSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {tensorNames} from "../../lib/agent/state-dict.js";
import {randomTensors} from "../../test/support/agents.js";
import {ReferenceNetwork} from "../../test/support/network.js";
import {seededRandom} from "../../test/support/random.js";

/** Sizes of the hidden layers in published agents. */
export const hidden = [1024, 256] as const;

/** The specification that every kernel worker is started with. */
export interface KernelWork {
    /** Where `writeCases` put its files. */
    folder: string;
    widths: readonly number[];
    /** Numbers of states scored at once. */
    counts: readonly number[];
    threads: number;
    /** Length of one measurement. */
    sampleSeconds: number;
    contender: string;
    dtype: string;
}

export interface KernelTime {
    width: number;
    count: number;
    /** Median time of a call. */
    seconds: number;
    /** Largest |p − p of the float64 reference|. */
    error: number;
}

export interface KernelResult {
    times: KernelTime[];
    /** The contender's own variant and version. */
    detail: string;
}

/** Shapes in the order of `tensorNames`. */
export function shapesOf(width: number): number[][] {
    const [first, second] = hidden;
    return [[width], [width], [first, width], [first], [second, first], [second], [2, second], [2]];
}

/** Writes per width: the weights and states as raw float32, and the probabilities of the float64 reference. */
export function writeCases(folder: string, widths: readonly number[], max: number): void {
    mkdirSync(folder, {recursive: true});
    for (const width of widths) {
        const {normal} = seededRandom(width);
        const states = Float32Array.from({length: max * width}, () => 2 * normal() + 0.1);
        const tensors = randomTensors(width, 7, {hidden, states});
        const weights = tensorNames.flatMap((name) => Buffer.from(tensors[name]?.data.buffer as ArrayBuffer));
        const network = new ReferenceNetwork(tensors);
        const expected = Array.from({length: max}, (_, i) =>
            network.acceptProbability(states.subarray(i * width, (i + 1) * width))
        );
        writeFileSync(join(folder, `${width}.weights`), Buffer.concat(weights));
        writeFileSync(join(folder, `${width}.states`), Buffer.from(states.buffer));
        writeFileSync(join(folder, `${width}.expected`), Buffer.from(Float64Array.from(expected).buffer));
    }
}

export function readFloats(folder: string, name: string): Float32Array {
    const bytes = readFileSync(join(folder, name));
    return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

export function readExpected(folder: string, width: number): Float64Array {
    const bytes = readFileSync(join(folder, `${width}.expected`));
    return new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** Largest difference from the reference; a NaN counts as infinitely wrong. */
export function largestError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
    let worst = 0;
    for (let i = 0; i < actual.length; i++) {
        const difference = Math.abs((actual[i] as number) - (expected[i] as number));
        worst = Math.max(worst, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
    }
    return worst;
}
