/** What `mara inspect` tells of any network: its tensors, and whether it fits a model. */
import type {AgentTensor} from "../agent/options.js";
import {MaraError} from "../errors.js";
import {checkModelFile} from "../model-file.js";
import {visible} from "../visible.js";
import {type Paint, short, table} from "./format.js";
import {resolveModel} from "./pair.js";

export interface InspectOptions {
    model?: string;
    json?: boolean;
}

export interface TensorFacts {
    name: string;
    dtype: string;
    shape: number[];
    min: number;
    max: number;
    mean: number;
}

export interface InspectedModel {
    path: string;
    width: number;
    fits: boolean;
}

/** `dtype`: as it is in the file. */
export function describeTensor(name: string, dtype: string, {shape, data}: AgentTensor): TensorFacts {
    let [min, max, sum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 0];
    for (const value of data) {
        if (value < min) min = value;
        if (value > max) max = value;
        sum += value;
    }
    return {name, dtype, shape: [...shape], min, max, mean: sum / data.length};
}

export function tensorLines(tensors: readonly TensorFacts[], paint: Paint): string[] {
    const cells = tensors.map(({name, dtype, shape, min, max, mean}) => [
        name,
        dtype,
        shape.join(" × "),
        ...[min, max, mean].map(short)
    ]);
    return [
        "",
        paint("bold", "Tensors"),
        ...table(
            ["name", "dtype", "shape", "min", "max", "mean"],
            cells,
            ["left", "left", "right", "right", "right", "right"],
            paint
        )
    ];
}

export function modelRow({path, width, fits}: InspectedModel, paint: Paint): [string, string] {
    const verdict = fits ? paint("green", "fits") : paint("red", `does not fit: its embedding size is ${width}`);
    return ["model", `${visible(path)} ${verdict}`];
}

/** Reads the file's header only. @throws MaraError MODEL_NOT_FOUND, MODEL_UNSUPPORTED */
export async function readWidth(path: string): Promise<{path: string; width: number}> {
    const modelPath = await resolveModel(path);
    const {readGgufFileInfo} = await import("node-llama-cpp");
    try {
        checkModelFile(modelPath);
        const options = {sourceType: "filesystem", logWarnings: false} as const;
        const {architectureMetadata} = await readGgufFileInfo(modelPath, options);
        return {path, width: architectureMetadata.embedding_length ?? 0};
    } catch (error) {
        throw new MaraError("MODEL_UNSUPPORTED", `Could not read the model ${path}: ${(error as Error).message}`, {
            cause: error
        });
    }
}
