/** Verdicts of a student on the candidates of one decision, on one thread: it has no peer, only limits of its own. */
import {type NativeStudentWeights, native} from "../../lib/native.js";
import {seededRandom} from "../../test/support/random.js";
import {spreadOf} from "../harness/statistics.js";
import {atMost, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short} from "../harness/table.js";

/** Microseconds of a decision that it may take, by width, for `limitCount` candidates. */
const limits = new Map([
    [576, 30],
    [2048, undefined],
    [4096, 80]
]);
const limitCount = 40;
const counts = [1, 8, limitCount];
const vocabulary = 4096;

export const studentSuite: Suite = {title: "Student: verdicts on the K candidates of a decision", run};

async function run({quick, rounds, log}: BenchOptions): Promise<SuiteResult> {
    const ratios = new Map<string, number>();
    const rows: string[][] = [];
    const data: Record<string, number[]> = {};
    let kernel = "";
    for (const [width, limit] of limits) {
        log(`student, D = ${width}`);
        const {normal} = seededRandom(width);
        const values = (count: number, scale: number) => Float32Array.from({length: count}, () => scale * normal());
        const student = new (native().Student)(randomWeights(width, values), vocabulary);
        kernel = student.kernel;
        await student.project(0, values(vocabulary * width, 1));
        const state = values(width, 2);
        const cells = counts.map((count) => {
            const tokens = Int32Array.from({length: count}, (_, i) => (i * 997) % vocabulary);
            const logProbabilities = values(count, 1);
            const times = Array.from({length: rounds}, () =>
                medianTime(() => student.judge(state, tokens, logProbabilities), quick ? 200 : 5000)
            );
            data[`D = ${width}, K = ${count}`] = times;
            const {median, low, high} = spreadOf(times);
            if (count === limitCount && limit !== undefined) ratios.set(`D = ${width}`, median / limit);
            return `${short(median)} [${short(low)}–${short(high)}]`;
        });
        rows.push([`D = ${width}`, ...cells]);
    }
    return {
        tables: [
            {
                title: "µs per decision, median [quartiles]",
                columns: ["", ...counts.map((count) => `K = ${count}`)],
                rows
            }
        ],
        panels: [],
        columns: 1,
        targets: [
            atMost(`a student's verdicts, K = ${limitCount}: time ÷ limit (30 µs at D = 576, 80 µs at 4096)`, 1, ratios)
        ],
        notes: [`The call from JavaScript is part of the time. Kernel: ${kernel}.`],
        skipped: {},
        data
    };
}

function randomWeights(width: number, values: (count: number, scale: number) => Float32Array): NativeStudentWeights {
    return {
        width,
        normWeight: values(width, 1),
        normBias: values(width, 0.1),
        hiddenWeight: values(64 * width, width ** -0.5),
        hiddenBias: values(64, 0.1),
        embeddingWeight: values(64 * width, width ** -0.5),
        embeddingBias: values(64, 0.1),
        fc1Weight: values(128 * 194, 194 ** -0.5),
        fc1Bias: values(128, 0.1),
        fc2Weight: values(2 * 128, 128 ** -0.5),
        fc2Bias: values(2, 0.1)
    };
}

/** Median time of a call in microseconds. */
function medianTime(call: () => void, calls: number): number {
    const times = Float64Array.from({length: calls}, () => {
        const start = performance.now();
        call();
        return 1000 * (performance.now() - start);
    }).sort();
    return times[calls >> 1] as number;
}
