import type {MaraAgent} from "../../agent/agent.js";
import {resolveSettings} from "../../align/options.js";
import {MaraError, type MaraErrorCode} from "../../errors.js";
import type {Prompt} from "../../prompts/prompts.js";
import {sampledParts} from "../advantage/sampled.js";
import type {TrainConfig} from "../options.js";
import type {InputFiles} from "../run/inputs.js";
import type {Job} from "../run/job.js";
import {studentDefaults} from "./defaults.js";
import {type MakeStudent, makeStudent} from "./make.js";
import {defaultThreads} from "./train-student.js";

export const decisions = 4000;
/** The student of a short run is made from as many responses as the run itself, but at least these. */
export const minResponses = 64;
/** Most bytes of states that a student learns from besides those of its decisions. */
export const maxStateBytes = 2 ** 29;
/** Reasons that leave an agent without a student, which is as good an agent. */
const noStudent = new Set<MaraErrorCode>(["STUDENT_TOO_FEW", "MODEL_UNSUPPORTED"]);

/**
 * Gives the agent of a finished run its student.
 * @returns false if the signal ended it early
 */
export async function addStudent(job: Job, inputs: InputFiles, agent: MaraAgent): Promise<boolean> {
    const {config, model, listener, signal} = job;
    const {sequences, candidates, fallbackIndex, threads} = config;
    try {
        const {completed} = await makeStudent({
            model,
            modelHash: inputs.model?.sha256 ?? "",
            agent,
            prompts: promptsOf(job),
            threshold: resolveSettings({agent}).threshold,
            decisions,
            responses: Math.max(minResponses, responsesOf(config, countsOf(job))),
            epochs: studentDefaults.epochs,
            seed: config.seed,
            threads: threads ?? defaultThreads,
            maxTokens: config.maxTokens,
            rollouts: {sequences, candidates, fallbackIndex, ...(threads === null ? {} : {threads})},
            preset: config.preset,
            listener,
            signal,
            ...(config.method === "advantage" ? {drawn: drawnOf(job)} : {})
        });
        return completed;
    } catch (error) {
        if (!(error instanceof MaraError) || !noStudent.has(error.code)) throw error;
        if (signal?.aborted) return false;
        process.emitWarning(`The agent gets no student. ${error.message}`, {type: "MaraWarning", code: error.code});
        return true;
    }
}

/** What an `advantage` run sampled, as far as its states fit the memory that they may take. */
function drawnOf(job: Job): MakeStudent["drawn"] {
    const {config, model} = job;
    const bytes =
        responsesOf(config, countsOf(job)) *
        config.maxTokens *
        model.embeddingVectorSize *
        Float32Array.BYTES_PER_ELEMENT;
    return {
        parts: sampledParts(job),
        minP: config.candidates.minP,
        temperature: config.sampleTemperature,
        stride: Math.ceil(bytes / maxStateBytes)
    };
}

/** Responses that a run learns from, of so many prompts, or of so many given pairs. */
export function responsesOf(config: TrainConfig, counts: {prompts: number; pairs: number | null}): number {
    if (config.method === "sac") return config.episodes;
    if (counts.pairs !== null) return 2 * counts.pairs;
    const each = config.method === "advantage" ? config.samplesPerPrompt : config.pairsFromModel;
    return Math.min(counts.prompts, config.samplePrompts) * each;
}

function countsOf({prompts, pairs}: Job): {prompts: number; pairs: number | null} {
    return {prompts: prompts.length, pairs: pairs?.length ?? null};
}

/** The run's prompts; where pairs were given, those of the pairs, each once. */
function promptsOf({prompts, pairs}: Job): readonly Prompt[] {
    if (pairs === undefined) return prompts;
    const found = new Map(
        pairs.map(({prompt, system, format}) => [
            JSON.stringify([system, prompt]),
            {prompt, ...(system === undefined ? {} : {system}), ...(format === undefined ? {} : {format})}
        ])
    );
    return [...found.values()];
}
