import {stat} from "node:fs/promises";
import {availableParallelism} from "node:os";
import {dirname, resolve} from "node:path";
import type {Llama, LlamaModel} from "node-llama-cpp";
import type {z} from "zod";
import {MaraAgent} from "../../agent/agent.js";
import type {AgentStudent} from "../../agent/student.js";
import {requireAgent} from "../../align/aligner.js";
import {type CandidateOptions, candidateSchema} from "../../align/candidate-options.js";
import {requireAlignable} from "../../align/node-llama-cpp/alignable.js";
import {modelInternals} from "../../align/node-llama-cpp/internals.js";
import {resolveSettings} from "../../align/options.js";
import {orDemo} from "../../demo/files.js";
import {invalidArgument, MaraError} from "../../errors.js";
import {fileHash} from "../../file-hash.js";
import {loadPrompts, type Prompt} from "../../prompts/prompts.js";
import {check, options} from "../../validation/check.js";
import {func, integer, llama, numberIn, path, seed as seedSchema, signal} from "../../validation/schemas.js";
import {agentSource, asPrompt, modelFields, modelOf, promptsSource} from "../../validation/sources.js";
import {openModel} from "../run/model.js";
import type {TrainProgress} from "../run/progress.js";
import {agentPath} from "../run/setup.js";
import {studentDefaults} from "./defaults.js";
import {makeStudent} from "./make.js";

/** What `trainStudent` takes. */
export interface TrainStudentOptions {
    /** A GGUF file, which is then loaded and unloaded here, or a loaded model, which stays the caller's. */
    model?: string | LlamaModel;
    /** Another name for `model`, for a file. */
    modelPath?: string;
    /** With a file: the node-llama-cpp instance to load it with. Default: one of its own. */
    llama?: Llama;
    /** The agent whose verdicts are to be predicted: a file (`.pth` too), the directory of a run, or the agent, which gets the student. */
    agent: string | MaraAgent;
    /** A JSON or JSON Lines file, or the prompts themselves, at least two. Some are held out to calibrate with. */
    prompts: string | readonly (Prompt | string)[];
    /**
     * The `.safetensors` file to write agent and student to. Default: the agent's own file; of a `.pth` file, one of its name that ends in
     * `.safetensors`, which must not be there yet. Nothing is written for an agent in memory without `out`.
     */
    out?: string;
    /** As in `createAlignedContext`; they should be those that the agent is used with. Default: what the agent was trained with. */
    candidates?: CandidateOptions;
    /** Threshold that the agent is used with, from 0 to 1. The student serves others too. Default: the agent's, else 0.5. */
    threshold?: number;
    /** Decisions to generate, each with all its candidates judged; 15 % of them are held out. Default 6000. */
    decisions?: number;
    /** Longest response, in tokens. Default 128. */
    maxTokens?: number;
    /** Most passes over the labels. Default 20. */
    epochs?: number;
    /** Responses generated at a time. Default 8. */
    sequences?: number;
    /** Seed of everything drawn, from 0 to 2^32 − 1. Default 0. */
    seed?: number;
    /** Threads of the model and of the learner, each. Default: node-llama-cpp's choice for the model, the machine's for the learner, at most 8. */
    threads?: number;
    /** Called as it goes on, with the phases `"decisions"` and `"student"`. */
    onProgress?: (progress: TrainProgress) => unknown;
    /** Ends it early: the student is then fitted to the decisions that there are. */
    signal?: AbortSignal;
}

/** What `trainStudent` resolves with. */
export interface TrainStudentResult {
    /** The agent, with its student; disposing it is the caller's business. */
    agent: MaraAgent;
    student: AgentStudent;
    /** False if the signal ended it early. */
    completed: boolean;
    /** Decisions learnt from and held out. */
    decisions: {training: number; heldOut: number};
    /** The file that was written, if any. */
    path: string | undefined;
}

export const defaultThreads = Math.min(8, availableParallelism());

const schema = options({
    ...modelFields,
    llama: llama.optional(),
    agent: agentSource,
    prompts: promptsSource("a file or an array of at least two prompts"),
    out: path().optional(),
    candidates: candidateSchema.optional(),
    threshold: numberIn(0, 1).optional(),
    decisions: integer(2, 1_000_000).optional(),
    maxTokens: integer(1, 1_000_000).optional(),
    epochs: integer(1, 10_000).optional(),
    sequences: integer(1, 64).optional(),
    seed: seedSchema.optional(),
    threads: integer(1, 256).optional(),
    onProgress: func().optional(),
    signal: signal.optional()
} satisfies Record<keyof TrainStudentOptions, z.ZodType>);

/**
 * Trains a student for an agent and a model: a small network that predicts the agent's verdicts before a candidate is decoded. It
 * is fitted to the agent's verdicts on text that the agent aligns, and calibrated on held-out prompts. See docs/training.md.
 *
 * The file is written at the end, beside the old one, which it then replaces. The same options give the same student, bit for bit, on the same
 * kind of processor.
 *
 * @throws MaraError INVALID_ARGUMENT; STUDENT_TOO_FEW where nothing could be learnt from; MODEL_NOT_FOUND; MODEL_UNSUPPORTED, also where the
 * model's embeddings cannot be read; AGENT_WIDTH; WRITE_FAILED; those of `loadPrompts` and `MaraAgent.load`
 */
export async function trainStudent(given: TrainStudentOptions): Promise<TrainStudentResult> {
    check(schema, given, "options", "");
    const {threshold, threads} = given;
    const {epochs = studentDefaults.epochs, maxTokens = studentDefaults.maxTokens, seed = studentDefaults.seed} = given;
    const {decisions = studentDefaults.decisions, sequences = studentDefaults.sequences} = given;
    const source = modelOf(given);
    const out = await outputOf(given);
    const prompts =
        typeof given.prompts === "string"
            ? await loadPrompts(orDemo(given.prompts, "trainingPrompts"))
            : Array.from(given.prompts, asPrompt);
    const file = typeof source === "string" ? resolve(orDemo(source, "model")) : modelInternals(source)._modelPath;
    const sha256 = await fileHash(file, "MODEL_NOT_FOUND");
    const own = typeof given.agent === "string" ? await MaraAgent.load(await agentFileOf(given.agent)) : undefined;
    const agent = own ?? (given.agent as MaraAgent);
    try {
        const {topK, topP, minP, temperature, ...settings} = resolveSettings({
            agent,
            ...(given.candidates && {candidates: given.candidates}),
            ...(threshold === undefined ? {} : {threshold})
        });
        const opened = await openModel(typeof source === "string" ? file : source, given.llama);
        try {
            const {model} = opened;
            requireAlignable(model);
            requireAgent(agent, model.embeddingVectorSize);
            const made = await makeStudent({
                model,
                modelHash: sha256,
                agent,
                prompts,
                threshold: settings.threshold,
                decisions,
                responses: Number.POSITIVE_INFINITY,
                epochs,
                seed,
                threads: threads ?? defaultThreads,
                maxTokens,
                rollouts: {
                    candidates: {topK, topP, minP, temperature},
                    sequences,
                    ...(threads === undefined ? {} : {threads})
                },
                listener: given.onProgress,
                preset: null,
                signal: given.signal
            });
            if (out !== undefined) await agent.save(out);
            return {agent, ...made, path: out};
        } finally {
            await opened.close();
        }
    } catch (error) {
        own?.dispose();
        throw error;
    }
}

async function agentFileOf(agent: string): Promise<string> {
    return await agentPath(orDemo(agent, "agent"));
}

/** @throws MaraError INVALID_ARGUMENT, WRITE_FAILED */
async function outputOf({agent, out}: TrainStudentOptions): Promise<string | undefined> {
    if (out !== undefined) {
        if (!out.endsWith(".safetensors")) throw invalidArgument("out", "a path that ends in .safetensors", out);
        const file = resolve(out);
        // What cannot be written is told before the work and not after it.
        if (!(await stat(dirname(file)).catch(() => undefined))?.isDirectory())
            throw new MaraError(
                "WRITE_FAILED",
                `${dirname(file)} is no directory. Make it, or name another file with out.`
            );
        return file;
    }
    if (typeof agent !== "string") return undefined;
    const file = await agentFileOf(agent);
    // The package's own files are nobody's to change.
    if (file !== agent && file === orDemo(agent, "agent"))
        throw invalidArgument("out", "a file to write, since the demo's agent is part of the package,", undefined);
    if (file.endsWith(".safetensors")) return resolve(file);
    const beside = `${resolve(file).replace(/\.pth$/, "")}.safetensors`;
    if (await stat(beside).catch(() => undefined))
        throw new MaraError("WRITE_FAILED", `${beside} exists already. Name the file to write with out.`);
    return beside;
}
