import {readFileSync} from "node:fs";
import {unzipSync, zipSync} from "fflate";
import {goldenPath, int, pickledTensor, pthFile, smallPth, text} from "../../agent/helpers.js";
import {loadAgent} from "../load-agent.js";
import {mutateBytes, type Random} from "../mutate.js";
import type {FuzzTarget} from "../target.js";

const numbers = [-1, 0, 1, 2, 4, 6, 8, 48, 65536, 2 ** 31 - 1];
const globals = [
    "torch\nFloatStorage\n",
    "torch\nHalfStorage\n",
    "torch\nDoubleStorage\n",
    "torch\nLongStorage\n"
].concat(
    ["collections\nOrderedDict\n", "torch._utils\n_rebuild_tensor_v2\n", "torch._utils\n_rebuild_parameter\n"],
    ["os\nsystem\n", "builtins\neval\n"]
);
const names = ["data.pkl", "byteorder", "version", "data/0", "data/1", "other/data.pkl"];

/** A piece of a pickle: an opcode, a value, a global, a tensor. */
function piece(random: Random): Uint8Array {
    return random.pick([
        () => Buffer.from([random.integer(0, 255)]),
        () => Buffer.from(random.pick([..."()NQRbehjqrstu}."]), "latin1"),
        () => int(random.pick(numbers)),
        () => text(random.pick(["ln.weight", "module.", "0", "1", "storage", "cpu", "\ud800", ""])),
        () => Buffer.from(`c${random.pick(globals)}`),
        () => Buffer.from([0x71, random.integer(0, 9)]),
        () => Buffer.from([0x68, random.integer(0, 9)]),
        () =>
            pickledTensor({
                key: `${random.integer(0, 9)}`,
                items: random.pick([1, 6, 8, 48]),
                shape: [random.pick(numbers), random.pick(numbers)],
                strides: [random.pick(numbers), random.pick(numbers)],
                offset: random.pick([0, 1])
            })
    ])();
}

function mutatePickle(bytes: Uint8Array, random: Random): Uint8Array {
    const at = random.integer(0, bytes.length);
    const until = Math.min(bytes.length, at + random.pick([0, 0, 1, 5, 20]));
    // A number that stands there already is the likeliest to be a size, a stride or an offset.
    const numberAt = Buffer.from(bytes).indexOf(random.pick(["K", "J", "M"]), at);
    if (numberAt >= 0 && random.integer(0, 1) === 0) {
        const width = {K: 1, J: 4, M: 2}[String.fromCharCode(bytes[numberAt] as number)] as number;
        return Buffer.concat([
            bytes.subarray(0, numberAt),
            int(random.pick(numbers)),
            bytes.subarray(numberAt + 1 + width)
        ]);
    }
    return Buffer.concat([bytes.subarray(0, at), piece(random), bytes.subarray(until)]);
}

function mutate(input: Uint8Array, random: Random): Uint8Array {
    if (random.integer(0, 4) === 0) return mutateDirectory(input, random);
    let entries: Record<string, Uint8Array>;
    try {
        let files = 0;
        const filter = ({originalSize}: {originalSize: number}) => {
            // fflate would go through the four billion that a damaged directory claims.
            if (++files > 100) throw new RangeError("too many files");
            return originalSize < 2 ** 16;
        };
        entries = unzipSync(input, {filter});
    } catch {
        return mutateBytes(input, random);
    }
    const found = Object.keys(entries);
    const pickle = found.find((name) => name.endsWith("data.pkl"));
    const folder = pickle?.replace("data.pkl", "") ?? "";
    const some = random.pick(found.length > 0 ? found : names);
    const bytes = entries[some] ?? new Uint8Array();
    const kind = random.integer(0, 9);
    if (kind === 0) delete entries[some];
    else if (kind === 1) entries[folder + random.pick(names)] = bytes;
    else if (kind === 2) entries[some] = mutateBytes(bytes, random);
    else if (kind === 3) entries[`${folder}byteorder`] = Buffer.from(random.pick(["big", "little", "x", ""]));
    else if (pickle !== undefined) entries[pickle] = mutatePickle(entries[pickle] as Uint8Array, random);
    return zipSync(entries, {level: random.integer(0, 3) === 0 ? 6 : 0});
}

/** Changes a byte or a word of the zip archive's own structures. */
function mutateDirectory(input: Uint8Array, random: Random): Uint8Array {
    const bytes = Buffer.from(input);
    const signature = random.pick(["PK\u0001\u0002", "PK\u0003\u0004", "PK\u0005\u0006"]);
    const starts: number[] = [];
    for (let at = bytes.indexOf(signature); at >= 0; at = bytes.indexOf(signature, at + 4)) starts.push(at);
    if (starts.length === 0) return mutateBytes(input, random);
    const at = random.pick(starts) + random.integer(0, 46);
    if (at + 4 > bytes.length) return mutateBytes(input, random);
    if (random.integer(0, 1) === 0) bytes[at] = random.integer(0, 255);
    else bytes.writeUInt32LE(random.pick([0, 1, 4, 100, bytes.length, 2 ** 31, 2 ** 32 - 1]), at);
    return bytes;
}

export const target: FuzzTarget = {
    name: "agent-pth",
    seeds() {
        const {dict, files} = smallPth();
        const golden = ["half.pth", "module-prefix.pth", "nested-bfloat16.pth", "parameters.pth", "views-float64.pth"];
        return [
            pthFile(dict, {...files, "agent/version": Buffer.from("3\n")}),
            zipSync({"agent/data.pkl": dict, ...files, "agent/version": Buffer.from("3\n")}, {level: 9}),
            ...golden.map((name) => readFileSync(goldenPath(name)))
        ];
    },
    run: loadAgent,
    mutate
};
