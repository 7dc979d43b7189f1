/** A language model and an agent, from what the command line names. */

import {existsSync, statSync} from "node:fs";
import {resolve} from "node:path";
import {type Command, Option} from "commander";
import type {Llama, LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../agent/agent.js";
import {demoModelPath, demoName, demoThreads} from "../demo/files.js";
import {invalidArgument, MaraError} from "../errors.js";
import {loadModelFile} from "../model-file.js";
import {bytes, percent} from "./format.js";
import {Progress} from "./output.js";
import {choiceOption, integerOption} from "./parse.js";
import {measuredThreads} from "./thread-choice.js";

export interface PairOptions {
    model?: string;
    agent?: string;
    gpu: string;
    threads?: number;
}

export interface OpenModel {
    llama: Llama;
    model: LlamaModel;
    /** Options of a context for this model. */
    threads: {threads?: number};
    /** Frees everything, so that the process can end. */
    close(): Promise<void>;
}

export interface ModelWithAgent extends OpenModel {
    agent: MaraAgent;
    /** All that were named; `agent` is the first. */
    agents: [MaraAgent, ...MaraAgent[]];
}

/** @throws MaraError INVALID_ARGUMENT for a second agent, beside which the first would be left out */
function onlyOne(path: string, before: string | undefined): string {
    if (before === undefined) return path;
    throw invalidArgument("--agent", `one agent here, since ${before} is named already,`, path);
}

/** `several`: the option `--agent` may be given more than once. */
export function addPairOptions(command: Command, gpuByDefault: "auto" | "off", several = false): Command {
    const oneOrMore = several ? "; may be given more than once" : "";
    const agentOption = new Option(
        "-a, --agent <path>",
        `agent: a .safetensors or .pth file${oneOrMore} (default: the demo's)`
    );
    return command
        .option(
            "-m, --model <path|uri>",
            "language model: a .gguf file, or an hf: URI to download (default: the demo's)"
        )
        .addOption(
            several
                ? agentOption.argParser((path, before: string[] = []) => [...before, path])
                : agentOption.argParser(onlyOne)
        )
        .addOption(
            choiceOption(
                "--gpu <type>",
                "where the model runs",
                ["auto", "off", "cuda", "metal", "vulkan"],
                gpuByDefault
            )
        )
        .addOption(
            integerOption(
                "--threads <n>",
                "threads of the model on the CPU (default: what mara doctor measured for it, else node-llama-cpp's choice; 1 for the demo's)",
                1,
                256
            )
        );
}

/** @throws MaraError MODEL_NOT_FOUND, AGENT_NOT_FOUND, AGENT_FORMAT and the other refusals of `MaraAgent.load` */
export async function openPair(
    options: Omit<PairOptions, "agent"> & {agent?: string | string[]}
): Promise<ModelWithAgent> {
    if (!isDemo(options.model) && options.agent === undefined)
        throw new MaraError(
            "INVALID_ARGUMENT",
            "--model needs --agent: the demo's agent fits the demo's model only. Give an agent for this model's width."
        );
    const modelPath = await resolveModel(options.model);
    const agents: MaraAgent[] = [];
    for (const path of [options.agent ?? demoName].flat()) agents.push(await MaraAgent.load(path));
    const opened = await openModel(modelPath, options);
    const close = async () => {
        await opened.close();
        for (const agent of agents) agent.dispose();
    };
    const [agent] = agents as [MaraAgent];
    return {...opened, agent, agents: agents as [MaraAgent], close};
}

/** The model alone, for what needs no agent. @throws MaraError MODEL_UNSUPPORTED */
export async function openModel(modelPath: string, options: Pick<PairOptions, "gpu" | "threads">): Promise<OpenModel> {
    const llama = await openLlama(options.gpu);
    const model = await loadModel(llama, modelPath);
    const threads = options.threads ?? threadsFor(llama, modelPath);
    return {llama, model, threads: threads === undefined ? {} : {threads}, close: () => llama.dispose()};
}

/** Threads of a model for which none were asked: what `mara doctor` measured; undefined leaves it to node-llama-cpp. */
export function threadsFor(llama: Llama, modelPath: string): number | undefined {
    if (modelPath === demoModelPath) return demoThreads;
    return llama.gpu === false ? measuredThreads(modelPath) : undefined;
}

/** Never builds or downloads: a command either runs or says what is missing. */
export async function openLlama(gpu: string): Promise<Llama> {
    const {getLlama, LlamaLogLevel, NoBinaryFoundError} = await import("node-llama-cpp");
    try {
        return await getLlama({
            gpu: gpu === "off" ? false : (gpu as "auto"),
            build: "never",
            skipDownload: true,
            progressLogs: false,
            logLevel: LlamaLogLevel.error
        });
    } catch (error) {
        if (!(error instanceof NoBinaryFoundError)) throw error;
        const wanted = gpu === "auto" || gpu === "off" ? "this platform" : `--gpu ${gpu}`;
        throw new Error(`node-llama-cpp has no working binary for ${wanted}. Run: npx node-llama-cpp source download`, {
            cause: error
        });
    }
}

export async function loadModel(llama: Llama, modelPath: string): Promise<LlamaModel> {
    try {
        return await loadModelFile(llama, modelPath);
    } catch (error) {
        throw new MaraError("MODEL_UNSUPPORTED", `Could not load the model ${modelPath}: ${(error as Error).message}`, {
            cause: error
        });
    }
}

/** True if a model's name, or the lack of one, means the demo's model. */
export function isDemo(model: string | undefined): model is undefined | typeof demoName {
    return model === undefined || model === demoName;
}

/** The path of a model file, downloaded first if it is an `hf:` URI. @throws MaraError MODEL_NOT_FOUND */
export async function resolveModel(spec: string | undefined): Promise<string> {
    if (isDemo(spec)) {
        if (existsSync(demoModelPath)) return demoModelPath;
        throw new MaraError(
            "MODEL_NOT_FOUND",
            "The demo's model is not in this installation. Reinstall the package, or give --model and --agent."
        );
    }
    if (spec.startsWith("hf:")) return await download(spec);
    if (/^[a-z]+:\/\//i.test(spec)) throw invalidArgument("--model", "a file or an hf: URI", spec);
    const path = resolve(spec);
    if (!statSync(path, {throwIfNoEntry: false})?.isFile())
        throw new MaraError("MODEL_NOT_FOUND", `There is no model file ${path}. Give a .gguf file or an hf: URI.`);
    return path;
}

async function download(uri: string): Promise<string> {
    const {resolveModelFile} = await import("node-llama-cpp");
    const progress = new Progress();
    try {
        return await resolveModelFile(uri, {
            cli: false,
            onProgress: ({downloadedSize, totalSize}) =>
                progress.show(
                    `${uri}  ${bytes(downloadedSize)} of ${bytes(totalSize)}  ${percent(downloadedSize / totalSize)}`
                )
        });
    } catch (error) {
        throw new MaraError("MODEL_NOT_FOUND", `Could not get ${uri}: ${(error as Error).message}`, {cause: error});
    } finally {
        progress.clear();
    }
}
