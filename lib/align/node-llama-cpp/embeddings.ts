import {open} from "node:fs/promises";
import type {LlamaModel} from "node-llama-cpp";
import {invalidArgument, MaraError} from "../../errors.js";
import {fromNative, type NativeAddon, native} from "../../native.js";
import {modelInternals} from "./internals.js";

/** Where the rows of a model's token embeddings stand. */
interface EmbeddingTable {
    file: string;
    offset: number;
    rowBytes: number;
    rows: number;
    type: number;
}

/** Rows that are read from the file together. */
const rowsPerRead = 1024;

/**
 * Raw embeddings of tokens, as the model's file has them (`token_embd.weight`), dequantised by the library that node-llama-cpp loaded.
 *
 * @returns float32, [tokens][D] row-major
 * @throws MaraError INVALID_ARGUMENT if a token has no row; MODEL_UNSUPPORTED if the file has no such tensor of the model's width; MODEL_NOT_FOUND if
 *   the file cannot be read; UNSUPPORTED_VERSION
 */
export async function readEmbeddings(model: LlamaModel, tokens: ArrayLike<number>): Promise<Float32Array> {
    const width = model.embeddingVectorSize;
    const values = new Float32Array(tokens.length * width);
    const table = findTable(model);
    const {_model} = modelInternals(model);
    for (const token of Array.from(tokens))
        if (!Number.isInteger(token) || token < 0 || token >= table.rows)
            throw invalidArgument("tokens", `tokens from 0 to ${table.rows - 1}`, token);
    await withFile(table.file, async (read) => {
        for (let i = 0; i < tokens.length; ) {
            const first = tokens[i] as number;
            let count = 1;
            while (count < rowsPerRead && i + count < tokens.length && tokens[i + count] === first + count) count++;
            const bytes = await read(table.offset + first * table.rowBytes, count * table.rowBytes);
            values.set(
                ask(({dequantise}) => dequantise(_model, table.type, bytes, width)),
                i * width
            );
            i += count;
        }
    });
    return values;
}

/** How many tokens have an embedding. @throws MaraError MODEL_UNSUPPORTED, UNSUPPORTED_VERSION */
export function countEmbeddings(model: LlamaModel): number {
    return findTable(model).rows;
}

const ask = <T>(question: (addon: NativeAddon) => T): T => {
    try {
        return question(native());
    } catch (error) {
        throw fromNative(error);
    }
};

function findTable(model: LlamaModel): EmbeddingTable {
    const {fileInfo, embeddingVectorSize: width} = model;
    const tensors = fileInfo.fullTensorInfo ?? fileInfo.tensorInfo ?? [];
    const tensor = tensors.find(({name}) => name === "token_embd.weight");
    const [columns, rows] = tensor?.dimensions.map(Number) ?? [];
    if (tensor === undefined || columns !== width || rows === undefined)
        throw new MaraError(
            "MODEL_UNSUPPORTED",
            `The model's file has no tensor token_embd.weight of width ${width}, so the embeddings of its tokens cannot be read`
        );
    const offset = Number(tensor.fileOffset);
    const type = Number(tensor.ggmlType);
    const {_model, _modelPath} = modelInternals(model);
    const size = ask(({rowBytes}) => rowBytes(_model, type, width));
    return {file: partOf(_modelPath, tensor.filePart), offset, rowBytes: size, rows, type};
}

/** The file of a model split in parts that holds the part numbered so, from 1. */
function partOf(path: string, part: number): string {
    return path.replace(/-\d{5}-of-(\d{5}\.gguf)$/, `-${String(part).padStart(5, "0")}-of-$1`);
}

async function withFile(
    path: string,
    use: (read: (position: number, length: number) => Promise<Uint8Array>) => Promise<void>
): Promise<void> {
    const unreadable = (error: unknown) =>
        new MaraError("MODEL_NOT_FOUND", `Could not read the embeddings in ${path}: ${(error as Error).message}`, {
            cause: error
        });
    const file = await open(path, "r").catch((error) => Promise.reject(unreadable(error)));
    try {
        await use(async (position, length) => {
            const {bytesRead, buffer} = await file
                .read(new Uint8Array(length), 0, length, position)
                .catch((error) => Promise.reject(unreadable(error)));
            if (bytesRead < length) throw unreadable(new Error("the file is cut short"));
            return buffer;
        });
    } finally {
        await file.close();
    }
}
