import {execFile} from "node:child_process";
import {mkdtemp, rm, writeFile} from "node:fs/promises";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {promisify} from "node:util";
import {zipSync} from "fflate";
import {afterAll, beforeAll, describe, expect, test} from "vitest";
import {
    overlappingZip,
    type PickledTensor,
    pickle,
    pickledDict,
    pthFile,
    safetensorsFile,
    smallPth
} from "./helpers.js";

/** Small files that asked for seconds and gigabytes, and the message about each. */
const samples: [string, () => Uint8Array, string, RegExp][] = [
    [
        "a tensor of 2^30 items by stride 0",
        () =>
            pthFile(pickledDict({w: {key: "0", items: 1, shape: [2 ** 30], strides: [0]}}), {
                "agent/data/0": new Uint8Array(4)
            }),
        "AGENT_FORMAT",
        /a tensor repeats one item 1073741824 times \(stride 0\)$/
    ],
    [
        "an agent by stride 0",
        () => {
            const {dict, files} = smallPth((tensors) => {
                for (const [name, shape] of Object.entries(wide)) {
                    Object.assign(tensors[name] as PickledTensor, {shape, strides: shape.map(() => 0)});
                }
            });
            return pthFile(dict, files);
        },
        "AGENT_FORMAT",
        /a tensor repeats one item 16384 times/
    ],
    [
        "an agent of zeros, deflated",
        () => {
            const tensors: Record<string, PickledTensor> = {};
            const files: Record<string, Uint8Array> = {};
            Object.entries(wide).forEach(([name, shape], i) => {
                const items = shape.reduce((a, b) => a * b);
                tensors[name] = {key: `${i}`, items, shape};
                files[`agent/data/${i}`] = new Uint8Array(4 * items);
            });
            return zipSync({"agent/data.pkl": pickledDict(tensors), ...files}, {level: 9});
        },
        "AGENT_FORMAT",
        /its tensors take \d+ bytes, more than 16 times the file's \d+$/
    ],
    [
        "900 files in one place",
        () => overlappingZip("agent/data.pkl", pickle("}"), 900),
        "AGENT_FORMAT",
        /"agent\/data.pkl" and "\d+" overlap in the zip archive$/
    ],
    [
        "a file whose name is an absolute path of 60 000 characters",
        () => zipSync({[`/${"x".repeat(60_000)}`]: new Uint8Array(4)}),
        "AGENT_FORMAT",
        /\(absolute path: \/x{144}… \(59,856 more characters\)\)$/
    ],
    [
        "a pickle that unpacks to 64 MB",
        () => zipSync({"agent/data.pkl": new Uint8Array(2 ** 26)}, {level: 9}),
        "AGENT_FORMAT",
        /declares 67108864 bytes, more than the limit of 1048576$/
    ],
    [
        "a pickle that unpacks to 64 MB and declares 1000 bytes",
        () => {
            const zip = zipSync({"agent/data.pkl": new Uint8Array(2 ** 26)}, {level: 9});
            const directory = Buffer.from(zip.buffer).lastIndexOf("PK\u0001\u0002");
            new DataView(zip.buffer).setUint32(directory + 24, 1000, true);
            return zip;
        },
        "AGENT_FORMAT",
        /"agent\/data.pkl" does not unpack to the 1000 bytes that it declares$/
    ],
    [
        "a pickle of a million dicts",
        () => pthFile(pickle(Buffer.alloc(1_000_000, "}"))),
        "AGENT_FORMAT",
        /it makes more than 1000 dicts$/
    ],
    [
        "a million tuples in tuples",
        () => pthFile(pickle(")", Buffer.alloc(1_000_000, 0x85))),
        "AGENT_TENSORS",
        /^It holds no state dict/
    ],
    [
        "a shape of 400 000 axes",
        () =>
            safetensorsFile(
                {a: {dtype: "F32", shape: Array(400_000).fill(1), data_offsets: [0, 4]}},
                new Uint8Array(4)
            ),
        "AGENT_FORMAT",
        /the entry of "a" lacks a proper dtype, shape or data_offsets$/
    ]
];

const wide: Record<string, number[]> = {
    "ln.weight": [16384],
    "ln.bias": [16384],
    "linear1.weight": [1024, 16384],
    "linear1.bias": [1024],
    "linear2.weight": [4, 1024],
    "linear2.bias": [4],
    "output_linear.weight": [2, 4],
    "output_linear.bias": [2]
};

let folder: string;
beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "mara-hostile-"));
});
afterAll(() => rm(folder, {recursive: true}));

describe("small files that ask for much", () => {
    test("are refused within 2 seconds and 96 MB each", async () => {
        const paths = await Promise.all(
            samples.map(async ([, make], i) => {
                const path = join(folder, `${i}`);
                await writeFile(path, make());
                return path;
            })
        );
        const script = fileURLToPath(new URL("hostile-child.ts", import.meta.url));
        const {stdout} = await promisify(execFile)(process.execPath, ["--import", "tsx", script, ...paths]);
        const outcomes = JSON.parse(stdout) as {code: string; message: string; ms: number; peakMb: number}[];
        for (const [i, [name, , code, message]] of samples.entries()) {
            const outcome = {name, ...outcomes[i]};
            expect(outcome).toMatchObject({name, code, message: expect.stringMatching(message)});
            expect(outcome.ms, name).toBeLessThan(2000);
            expect(outcome.peakMb, name).toBeLessThan(96);
        }
    });
});
