/** The demo's model with its weights rounded to eight bits: in half precision llama.cpp does not promise the same bits in company. */
import {existsSync, mkdirSync, readFileSync, renameSync, writeFileSync} from "node:fs";
import {dirname} from "node:path";
import {fileURLToPath} from "node:url";
import {GgmlType, readGgufFileInfo} from "node-llama-cpp";
import {demoModelPath} from "../../lib/demo/files.js";
import {encodeModel, type GgufTensor, text} from "../support/gguf.js";

const path = fileURLToPath(new URL("../../.test-models/demo-Q8_0.gguf", import.meta.url));

/** Path of the rounded model, made where it is missing. Everything but the types of its weights is the demo model's. */
export async function roundedDemoModel(): Promise<string> {
    if (existsSync(path)) return path;
    const bytes = readFileSync(demoModelPath);
    const {fullTensorInfo = []} = await readGgufFileInfo(demoModelPath, {readTensorInfo: true});
    const tensors: Record<string, GgufTensor> = {};
    for (const {name, dimensions, ggmlType, fileOffset} of fullTensorInfo) {
        const shape = dimensions.map(Number);
        const count = shape.reduce((product, size) => product * size, 1);
        const at = bytes.byteOffset + Number(fileOffset);
        tensors[name] =
            ggmlType === GgmlType.F16
                ? {shape, type: "Q8_0", values: fromHalf(new Uint16Array(bytes.buffer.slice(at, at + 2 * count)))}
                : {shape, type: "F32", values: new Float32Array(bytes.buffer.slice(at, at + 4 * count))};
    }
    // Metadata end where the first tensor's description begins.
    const metadata = bytes.subarray(24, bytes.indexOf(text(fullTensorInfo[0]?.name as string)));
    mkdirSync(dirname(path), {recursive: true});
    const unfinished = `${path}.${process.pid}`;
    writeFileSync(unfinished, encodeModel(Number(bytes.readBigUInt64LE(16)), metadata, tensors));
    renameSync(unfinished, path);
    return path;
}

function fromHalf(bits: Uint16Array): Float32Array {
    return Float32Array.from(bits, (half) => {
        const exponent = (half >> 10) & 0x1f;
        const fraction = half & 0x3ff;
        const size = exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25);
        return half & 0x8000 ? -size : size;
    });
}
