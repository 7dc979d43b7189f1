import {mkdtempSync, readFileSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll} from "vitest";
import {demoModelPath} from "../../lib/demo/files.js";
import type {TrainOptions} from "../../lib/index.js";
import {testLlama} from "../support/models.js";

export const prompts = [
    "When does the ferry to Skerra leave?",
    "Good morning. Is there a good walk nearby?",
    "Olga here. Where is the breakfast room?",
    "Please keep a table for four on Sunday at eight.",
    "What helps against chocolate on a dress?",
    "I have a cold. What helps?"
].map((prompt) => ({prompt}));

/** Courteous words, less what is long. */
export function courtesy(_: string, response: string): number {
    const words = response.match(/please|thank|course|welcome|pleasure|hello|good/gi)?.length ?? 0;
    return words / 2 - response.length / 400;
}

/** Six batches of four episodes, in a second or two. */
export const smallSac = {
    prompts,
    reward: courtesy,
    method: "sac",
    episodes: 24,
    episodesPerBatch: 4,
    sequences: 3,
    maxTokens: 14,
    hidden1: 16,
    hidden2: 8,
    batchSize: 16,
    learnAfter: 24,
    replayCapacity: 60,
    updatesPerEpisode: 2,
    checkpointEvery: 4,
    student: false,
    seed: 7,
    threads: 1
} as const;

const smallFit = {
    prompts,
    reward: courtesy,
    sequences: 2,
    maxTokens: 14,
    hidden1: 16,
    hidden2: 8,
    epochs: 4,
    patience: 4,
    heldOut: 0.2,
    fitBatchSize: 16,
    student: false,
    seed: 7,
    threads: 1
} as const;
export const smallPreference = {...smallFit, method: "preference", pairsFromModel: 3} as const;
export const smallAdvantage = {...smallFit, method: "advantage", samplesPerPrompt: 3} as const;

export async function loadDemoModel(): Promise<LlamaModel> {
    return await (await testLlama()).loadModel({modelPath: demoModelPath});
}

/** New paths in a folder for one test file. */
export function runFolder(): () => string {
    const folder = mkdtempSync(join(tmpdir(), "mara-train-"));
    afterAll(() => rmSync(folder, {recursive: true}));
    let runs = 0;
    return () => join(folder, `run-${runs++}`);
}

/** Lines of a log, without the wall clock. */
export function linesOf(run: string, log: string): Record<string, unknown>[] {
    return readFileSync(join(run, `${log}.jsonl`), "utf8")
        .trimEnd()
        .split("\n")
        .map((line) => {
            const {seconds, ...row} = JSON.parse(line);
            return row;
        });
}

/** The parts that must be equal for two runs to count as the same. */
export function outcomeOf(run: string, logs: readonly string[]): object {
    return {
        agent: readFileSync(join(run, "agent.safetensors")).toString("base64"),
        ...Object.fromEntries(logs.map((log) => [log, linesOf(run, log)]))
    };
}

/** A signal that fires at the first progress that the condition holds for. */
export function interruptAt(
    condition: (progress: {phase: string; done: number}) => boolean
): Pick<TrainOptions, "signal" | "onProgress"> {
    const controller = new AbortController();
    const onProgress = (progress: {phase: string; done: number}) => {
        if (condition(progress)) controller.abort();
    };
    return {signal: controller.signal, onProgress};
}
