import {runProcess} from "../harness/process.js";
import {medianOf} from "../harness/statistics.js";
import {compile} from "../harness/tools.js";
import {hidden} from "./cases.js";

interface Bounds {
    /** Multiply-adds per second by weight type. */
    peak: Record<string, number>;
    /** Bytes per second, by bytes read over and over. */
    bandwidth: Record<string, number>;
}

const itemBytes: Record<string, number> = {f32: 4, f16: 2, bf16: 2, int8: 1};

const weightsOf = (width: number) => width * hidden[0] + hidden[0] * hidden[1] + hidden[1] * 2;
const bytesOf = (width: number, dtype: string) => weightsOf(width) * (itemBytes[dtype] as number);

/** The machine's bounds, measured in the same run on the same number of threads. */
export class Floors {
    readonly #runs: Bounds[] = [];
    readonly #widths: readonly number[];
    readonly #threads: number;

    constructor(widths: readonly number[], threads: number) {
        this.#widths = widths;
        this.#threads = threads;
    }

    async measure(seconds: number): Promise<Bounds> {
        const program = compile("kernel/floor.cpp", ["-O3", "-march=native", "-ffp-contract=fast"]);
        const sizes = new Set(
            this.#widths.flatMap((width) => Object.keys(itemBytes).map((type) => bytesOf(width, type)))
        );
        const bounds = await runProcess<Bounds>({
            file: program,
            args: [this.#threads, seconds, ...sizes].map(String)
        });
        this.#runs.push(bounds);
        return bounds;
    }

    /** Seconds that no kernel with these weights can go below: reading them once, or the multiply-adds. */
    of(width: number, count: number, dtype: string): number {
        const bytes = bytesOf(width, dtype);
        const read = bytes / medianOf(this.#runs.map(({bandwidth}) => bandwidth[bytes] as number));
        const compute = (count * weightsOf(width)) / medianOf(this.#runs.map(({peak}) => peak[dtype] as number));
        return Math.max(read, compute);
    }

    /** One line that says what was measured. */
    describe(): string {
        const typical = (pick: (bounds: Bounds) => number) => (medianOf(this.#runs.map(pick)) / 1e9).toFixed(0);
        const peaks = Object.keys(itemBytes).map((type) => `${type} ${typical(({peak}) => peak[type] as number)}`);
        const reads = Object.keys(this.#runs[0]?.bandwidth ?? {}).map(
            (bytes) => `${(Number(bytes) / 1e6).toFixed(1)} MB ${typical(({bandwidth}) => bandwidth[bytes] as number)}`
        );
        return `Floor: peak in 10⁹ multiply-adds/s: ${peaks.join(", ")}; reading in GB/s: ${reads.join(", ")}.`;
    }
}
