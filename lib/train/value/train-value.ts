import {stat} from "node:fs/promises";
import {dirname, resolve} from "node:path";
import type {Llama, LlamaModel} from "node-llama-cpp";
import type {z} from "zod";
import {type HeldOutLoss, maxValueCandidates, saveValueNetwork, type ValueNetwork} from "../../agent/value-network.js";
import {requireAlignable} from "../../align/node-llama-cpp/alignable.js";
import {readEmbeddings} from "../../align/node-llama-cpp/embeddings.js";
import {modelInternals} from "../../align/node-llama-cpp/internals.js";
import {orDemo} from "../../demo/files.js";
import {invalidArgument, MaraError} from "../../errors.js";
import {fileHash} from "../../file-hash.js";
import {type Demonstration, loadDemonstrations} from "../../prompts/prompts.js";
import {check, options} from "../../validation/check.js";
import {func, integer, llama, path, seed as seedSchema, signal} from "../../validation/schemas.js";
import {demonstrationsSource, modelFields, modelOf} from "../../validation/sources.js";
import {openModel} from "../run/model.js";
import {Phase, type TrainProgress} from "../run/progress.js";
import {derivedSeed, shuffled, use} from "../seeds.js";
import {defaultThreads} from "../student/train-student.js";
import {valueDefaults} from "./defaults.js";
import {fitValue} from "./fit.js";
import {type DemonstratedToken, readDemonstrations, spell} from "./read.js";

/** What `trainValue` takes. */
export interface TrainValueOptions {
    /** A GGUF file, which is then loaded and unloaded here, or a loaded model, which stays the caller's. */
    model?: string | LlamaModel;
    /** Another name for `model`, for a file. */
    modelPath?: string;
    /** With a file: the node-llama-cpp instance to load it with. Default: one of its own. */
    llama?: Llama;
    /**
     * Answers to learn from, to two prompts at least, some of which are held out: a JSON or JSON Lines file of objects with `prompt`, `response`
     * (`chosen` will do, as in preference pairs) and, where the response was cut off, `cut: true`; or the demonstrations themselves.
     */
    demonstrations: string | readonly Demonstration[];
    /** The `.safetensors` file to write, in a folder that is there. */
    out: string;
    /** The most probable tokens of a step whose logits the network changes, from 1 to 1024. Default 40. */
    candidates?: number;
    /** Most passes over the tokens. Default 20. */
    epochs?: number;
    /** Seed of everything drawn, from 0 to 2^32 − 1. Default 0. */
    seed?: number;
    /** Threads of the model and of the learner, each. Default: node-llama-cpp's choice for the model, the machine's for the learner, at most 8. */
    threads?: number;
    /** Called as it goes on, with the phases `"states"` (demonstrations read) and `"fit"` (epochs). */
    onProgress?: (progress: TrainProgress) => unknown;
    /** Ends it early: the network is then fitted to the demonstrations that were read, or is the best of the epochs until then. */
    signal?: AbortSignal;
}

/** What `trainValue` resolves with. */
export interface TrainValueResult {
    /** The file that was written. */
    path: string;
    /** Nats per token of held-out demonstrations, by the model alone and with the network. The network was chosen by them among the epochs. */
    heldOut: HeldOutLoss;
    /** Demonstrations that it was fitted to, their tokens, the epoch whose network was kept (0: it changes nothing), and the seed. */
    training: {demonstrations: number; tokens: number; epochs: number; seed: number};
    /** Share of the held-out tokens that were among the step's candidates: what the network can change. */
    listed: number;
    /** False if the signal ended it early. */
    completed: boolean;
}

const schema = options({
    ...modelFields,
    llama: llama.optional(),
    demonstrations: demonstrationsSource,
    out: path(),
    candidates: integer(1, maxValueCandidates).optional(),
    epochs: integer(1, 10_000).optional(),
    seed: seedSchema.optional(),
    threads: integer(1, 256).optional(),
    onProgress: func().optional(),
    signal: signal.optional()
} satisfies Record<keyof TrainValueOptions, z.ZodType>);

/** Share of the prompts whose demonstrations are held out. */
const heldOutShare = 0.1;

/**
 * Trains a value network on demonstrations: a small network that tells by how much the logits of a step's most probable tokens are to change, for
 * `valueModel({network})`. See docs/training.md. The same options give the same network, bit for bit, on the same kind of processor.
 *
 * @throws MaraError INVALID_ARGUMENT; VALUE_NETWORK where there is too little to learn from; MODEL_NOT_FOUND; MODEL_UNSUPPORTED, also where the
 * model's embeddings cannot be read; LANES_UNAVAILABLE; CONTEXT_FAILED; LEARNER_DIVERGED; WRITE_FAILED; PROMPTS_NOT_FOUND, PROMPTS_FORMAT
 */
export async function trainValue(given: TrainValueOptions): Promise<TrainValueResult> {
    const prepared = await prepareValue(given);
    const {demonstrations, file, out, model: source} = prepared;
    const {candidates = valueDefaults.candidates, epochs = valueDefaults.epochs, seed = valueDefaults.seed} = given;
    const {threads, signal, onProgress: listener} = given;
    const hash = await fileHash(file, "MODEL_NOT_FOUND");
    const opened = await openModel(typeof source === "string" ? file : source, given.llama);
    try {
        const {model} = opened;
        requireAlignable(model);
        // A model whose embeddings cannot be read is refused before anything is read.
        await readEmbeddings(model, [0]);
        const texts = demonstrations.map((one) => spell(model, one));
        const job = {config: {preset: null}, listener};
        const reading = new Phase("states", {total: texts.length, from: 0, job});
        const read = await readDemonstrations(model, texts, {
            candidates,
            threads,
            onRead: (done) => reading.tell(done),
            signal
        });
        const isHeldOut = chooseHeldOut(demonstrations.slice(0, read.length), seed);
        const [learnt, held] = [read.filter((_, i) => !isHeldOut(i)), read.filter((_, i) => isHeldOut(i))];
        if (learnt.length === 0 || held.length === 0)
            throw tooFew("There are demonstrations of one prompt only, and some must be held out");
        const [training, heldOut] = [learnt.flat(), held.flat()];
        const tokens = Int32Array.from(new Set([...training, ...heldOut].flatMap(({tokens}) => [...tokens]))).sort();
        const fitting = new Phase("fit", {total: epochs, from: 0, job});
        const isWhole = read.length === texts.length;
        const {tensors, raw, guided, epoch, completed} = await fitValue(
            training,
            heldOut,
            {tokens, embeddings: await readEmbeddings(model, tokens)},
            {
                seed,
                epochs,
                threads: threads ?? defaultThreads,
                onEpoch: (done) => fitting.tell(done),
                // What an interrupted reading left is fitted to the end.
                signal: isWhole ? signal : undefined
            }
        );
        const network: ValueNetwork = {
            model: hash,
            width: model.embeddingVectorSize,
            candidates,
            training: {demonstrations: learnt.length, tokens: training.length, epochs: epoch, seed},
            heldOut: {tokens: heldOut.length, raw, guided},
            tensors
        };
        await saveValueNetwork(out, network);
        return {
            path: out,
            heldOut: network.heldOut,
            training: network.training,
            listed: shareListed(heldOut),
            completed: isWhole && completed
        };
    } finally {
        await opened.close();
    }
}

/** @internal What a run would read and write, checked. @throws MaraError as `trainValue` */
export async function prepareValue(given: TrainValueOptions) {
    check(schema, given, "options", "");
    const model = modelOf(given);
    const out = resolve(given.out);
    if (!out.endsWith(".safetensors")) throw invalidArgument("out", "a path that ends in .safetensors", given.out);
    // What cannot be written is told before the work and not after it.
    if (!(await stat(dirname(out)).catch(() => undefined))?.isDirectory())
        throw new MaraError("WRITE_FAILED", `${dirname(out)} is no directory. Make it, or name another file with out.`);
    const {demonstrations: source} = given;
    const demonstrations = typeof source === "string" ? await loadDemonstrations(source) : [...source];
    const prompts = new Set(demonstrations.map(promptOf)).size;
    if (prompts < 2) throw tooFew("There are demonstrations of one prompt only, and some must be held out");
    const file = typeof model === "string" ? resolve(orDemo(model, "model")) : modelInternals(model)._modelPath;
    return {model, file, out, demonstrations, prompts};
}

const promptOf = ({system, prompt}: Demonstration) => JSON.stringify([system, prompt]);

/** Holds out all demonstrations of some prompts. */
function chooseHeldOut(demonstrations: readonly Demonstration[], seed: number): (index: number) => boolean {
    const prompts = [...new Set(demonstrations.map(promptOf))];
    const size = Math.max(1, Math.round(heldOutShare * prompts.length));
    const order = shuffled(prompts.length, derivedSeed(seed, use.value));
    const chosen = new Set([...order.subarray(0, size)].map((i) => prompts[i]));
    return (index) => chosen.has(promptOf(demonstrations[index] as Demonstration));
}

function shareListed(tokens: readonly DemonstratedToken[]): number {
    return tokens.filter(({rank}) => rank >= 0).length / tokens.length;
}

function tooFew(reason: string): MaraError {
    return new MaraError("VALUE_NETWORK", `${reason}. Give more demonstrations, or let it run longer.`);
}
