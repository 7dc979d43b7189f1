/**
 * A value network's file: a small network that tells, from the last token's hidden state and a candidate's embedding, by how much the candidate's
 * logit is to change. The network is a student's; docs/design.md has it.
 */
import {z} from "zod";
import {MaraError, reasonOf} from "../errors.js";
import {readAgentBytes, writeWhole} from "./agent-file.js";
import type {AgentTensor} from "./options.js";
import {looksLikeSafetensors, readSafetensors, writeSafetensors} from "./safetensors.js";
import {checkNetwork, type NetworkTensorName, networkTensorNames} from "./student.js";
import {type FloatDtype, isFloatDtype, quoteAll, type Tensor, tensorOf, toFloat32} from "./tensor.js";

/** Nats per token of held-out demonstrations: the mean of −ln of the demonstrated token's probability over the whole vocabulary. */
export interface HeldOutLoss {
    /** Tokens of the held-out responses. */
    tokens: number;
    /** By the model alone. */
    raw: number;
    /** By the model with the network at weight 1. */
    guided: number;
}

/** A value network as its file holds it. */
export interface ValueNetwork {
    /** SHA-256 of the model's file that it was trained on, in hexadecimal. */
    readonly model: string;
    /** Size of the hidden states that it reads. */
    readonly width: number;
    /** The most probable tokens of a step whose logits it changes. */
    readonly candidates: number;
    /** What it was fitted to. */
    readonly training: {
        readonly demonstrations: number;
        readonly tokens: number;
        readonly epochs: number;
        readonly seed: number;
    };
    readonly heldOut: Readonly<HeldOutLoss>;
    /** Float32, by the names of a student's network. */
    readonly tensors: Readonly<Record<NetworkTensorName, AgentTensor>>;
}

export const maxValueCandidates = 1024;

const key = "mara.value";
const count = z.int().min(0);
const description = z.object({
    version: z.literal(1),
    model: z.string().regex(/^[0-9a-f]{64}$/),
    width: z.int().min(1),
    candidates: z.int().min(1).max(maxValueCandidates),
    training: z.object({demonstrations: count, tokens: count, epochs: count, seed: count}),
    heldOut: z.object({tokens: count, raw: z.number(), guided: z.number()})
});

/** True if the file that has these metadata says that it is a value network's. */
export const saysValueNetwork = (metadata: Readonly<Record<string, string>>): boolean => Object.hasOwn(metadata, key);

/** The file, unless it says that it is a value network's. `path`: where it is from. @throws MaraError AGENT_FORMAT that says what takes it */
export function requireAgentFile<File extends {metadata: Readonly<Record<string, string>>}>(
    file: File,
    path: string
): File {
    if (!saysValueNetwork(file.metadata)) return file;
    throw new MaraError(
        "AGENT_FORMAT",
        "It is a value network, which changes logits and judges nothing. Take it as a guide: " +
            `valueModel({network: ${JSON.stringify(path)}}), or --guide value:network=${path} on the command line.`
    );
}

/** @throws MaraError VALUE_NETWORK */
export async function loadValueNetwork(path: string): Promise<ValueNetwork> {
    try {
        const bytes = await readAgentBytes(path);
        if (!looksLikeSafetensors(bytes)) throw new Error("it is no .safetensors file");
        const {tensors, metadata} = readSafetensors(bytes);
        const {version: _, ...described} = description.parse(parse(metadata[key]));
        return {...described, tensors: readTensors(tensors, described.width)};
    } catch (error) {
        const reason =
            error instanceof z.ZodError ? `its metadata "${key}" is not as this release writes it` : reasonOf(error);
        throw new MaraError(
            "VALUE_NETWORK",
            `Could not load the value network ${path}: ${reason}. Give a file that mara train --method value wrote.`,
            {cause: error}
        );
    }
}

/** @throws MaraError WRITE_FAILED */
export async function saveValueNetwork(path: string, {tensors, ...described}: ValueNetwork): Promise<void> {
    const named = new Map(
        networkTensorNames.map((name) => [name, tensorOf(tensors[name].shape, tensors[name].data)] as const)
    );
    await writeWhole(path, writeSafetensors(named, {[key]: JSON.stringify({version: 1, ...described})}));
}

function parse(text: string | undefined): unknown {
    if (text === undefined) throw new Error(`it has no metadata "${key}"`);
    try {
        return JSON.parse(text);
    } catch {
        throw new Error(`its metadata "${key}" is not JSON`);
    }
}

function readTensors(tensors: ReadonlyMap<string, Tensor>, width: number): ValueNetwork["tensors"] {
    const others = [...tensors.keys()].filter((name) => !networkTensorNames.some((known) => known === name));
    if (others.length > 0) throw new Error(`it has the unknown tensors ${quoteAll(others)}`);
    const read = {} as Record<NetworkTensorName, AgentTensor>;
    for (const name of networkTensorNames) {
        const tensor = tensors.get(name);
        if (tensor === undefined || !isFloatDtype(tensor.dtype))
            throw new Error(`it lacks the tensor ${quoteAll([name])}`);
        read[name] = {shape: [...tensor.shape], data: toFloat32(tensor as Tensor & {dtype: FloatDtype})};
    }
    const flaw = checkNetwork(read, width);
    if (flaw !== undefined) throw new Error(flaw);
    return read;
}
