/** Opens everything that a run reads: model, prompts, pairs, reward, agent to start from. Finds or makes its directory. */
import {readFile} from "node:fs/promises";
import {join, resolve} from "node:path";
import type {Llama, LlamaModel} from "node-llama-cpp";
import {z} from "zod";
import {MaraAgent} from "../../agent/agent.js";
import {requireAlignable} from "../../align/node-llama-cpp/alignable.js";
import {modelInternals} from "../../align/node-llama-cpp/internals.js";
import {orDemo} from "../../demo/files.js";
import {invalidArgument, MaraError} from "../../errors.js";
import {plural} from "../../plural.js";
import {inFormat, loadPairs, loadPrompts, type PreferencePair, type Prompt} from "../../prompts/prompts.js";
import type {Coordinator} from "../../queue/coordinator.js";
import {queueOptions} from "../../queue/options.js";
import {openReward} from "../../rewards/open.js";
import type {Reward} from "../../rewards/reward.js";
import {asPrompt, modelOf} from "../../validation/sources.js";
import {
    checkOptions,
    checkTogether,
    configSchema,
    fittingPreset,
    resolveConfig,
    resumeConfig,
    type TrainConfig,
    type TrainOptions
} from "../options.js";
import {groupOf, tooFewToHoldOut} from "../preference/pair-labels.js";
import {sampledPrompts} from "../seeds.js";
import {bytesInput, fileInput, type InputFile, type InputFiles, requireSame, valueInput} from "./inputs.js";
import type {ActorTensors, Job} from "./job.js";
import {openModelFile} from "./model.js";
import {agentFile, RunDirectory} from "./run-directory.js";

const inputSchema = z.object({path: z.string().nullable(), sha256: z.string()});

/** config.json */
const savedSchema = z.object({
    version: z.literal(1),
    config: configSchema,
    inputs: z.partialRecord(z.enum(["model", "prompts", "pairs", "warmStart"]), inputSchema),
    /** The directory where the run was started: `module:` rewards are relative to it. */
    directory: z.string()
});
type Saved = z.infer<typeof savedSchema>;

/** Everything that a run reads, checked and opened; nothing is written yet. */
export interface Prepared extends Omit<Job, "run"> {
    inputs: InputFiles;
    /** Makes or opens the run's directory. @throws MaraError RUN_DIRECTORY, RUN_DAMAGED, RUN_BUSY, WRITE_FAILED */
    openRun(): Promise<RunDirectory>;
    /** Frees everything opened here; models and rewards passed in stay the caller's. */
    close(): Promise<void>;
}

/**
 * @throws MaraError INVALID_ARGUMENT, PAIRS_TOO_FEW, MODEL_NOT_FOUND, MODEL_UNSUPPORTED, AGENT_WIDTH, RUN_DIRECTORY, RUN_CHANGED, and those of
 * `loadPrompts`, `loadPairs`, `openReward` and `MaraAgent.load`
 */
export async function prepare(options: TrainOptions): Promise<Prepared> {
    checkOptions(options);
    const path = resolve(options.runDirectory);
    const saved = options.resume ? await RunDirectory.readConfig(path, savedSchema) : undefined;
    if (saved === undefined) await RunDirectory.requireEmpty(path);
    const directory = saved?.directory ?? process.cwd();
    const given = saved === undefined ? options : withSaved(options, saved);

    const opened = new Opened();
    try {
        const llama = await opened.openLlama(given);
        const config =
            saved === undefined ? resolveConfig(options, fittingPreset(llama)) : resumeConfig(options, saved.config);
        checkTogether(given, config);
        const inputs: InputFiles = {};
        const texts = await opened.readTexts(given, inputs);
        const prompts = inFormat(texts.prompts ?? [], config.promptFormat);
        const alone = prompts.find(({leaveAlone}) => leaveAlone);
        if (alone !== undefined && config.method !== "advantage")
            throw invalidArgument("prompts", 'no leaveAlone but with method "advantage"', alone);
        const pairs = texts.pairs && inFormat(texts.pairs, config.promptFormat);
        const queue = await opened.openQueue(given);
        const warmStart = await opened.readWarmStart(given, inputs);
        const model = await opened.openModel(given, llama, inputs);
        const learnt = pairs ?? sampledPrompts(config, prompts.length).map((i) => prompts[i] as Prompt);
        // Known before anything is sampled, which may take hours.
        if (config.method !== "sac" && new Set(learnt.map(groupOf)).size < 2)
            throw tooFewToHoldOut(plural(learnt.length, pairs === undefined ? "prompt" : "pair"));
        if (saved !== undefined) requireSameInputs(saved.inputs, inputs);
        requireWidth(warmStart, model.embeddingVectorSize);
        const remote =
            queue &&
            new queue.RemoteModel(queue.coordinator, {
                model,
                sha256: inputs.model?.sha256 ?? "",
                states: queue.states
            });
        const rewards = queue?.rewards ? queue.coordinator : undefined;
        const reward =
            pairs === undefined ? await opened.openReward(given, config, directory, rewards ?? model.llama) : undefined;
        const {onProgress: listener, signal} = options;
        const record: Saved = {version: 1, config, inputs, directory};
        const openRun = () => (saved === undefined ? RunDirectory.create(path, record) : RunDirectory.open(path));
        const close = () => opened.close();
        const parts = {config, inputs, model, prompts, reward, pairs, warmStart, remote};
        return {...parts, listener, signal, openRun, close};
    } catch (error) {
        await opened.close();
        throw error;
    }
}

/** The inputs of a run that goes on: those given, and else those that it was started with. */
function withSaved(options: TrainOptions, {config, inputs}: Saved): TrainOptions {
    const {model, prompts, pairs, warmStart} = inputs;
    const again = (name: "model" | "prompts" | "pairs" | "warmStart", input: InputFile | undefined) => {
        if (options[name] !== undefined || input === undefined) return {};
        if (input.path === null)
            throw invalidArgument(name, `the ${name} that the run was started with (they were no file)`, undefined);
        return {[name]: input.path};
    };
    if (options.reward === undefined && config.reward !== null && !config.rewardByName)
        throw invalidArgument(
            "reward",
            `the reward "${config.reward}" that the run was started with (it has no name to open it by)`,
            undefined
        );
    return {
        ...options,
        ...(options.modelPath === undefined ? again("model", model) : {}),
        ...again("prompts", prompts),
        ...again("pairs", pairs),
        ...again("warmStart", warmStart),
        ...(options.reward === undefined && config.reward !== null ? {reward: config.reward} : {})
    };
}

function requireSameInputs(saved: InputFiles, found: InputFiles): void {
    for (const name of ["model", "prompts", "pairs", "warmStart"] as const) {
        const input = found[name];
        if (input !== undefined) requireSame(name, saved[name], input);
    }
}

class Opened {
    readonly #close: (() => Promise<void>)[] = [];

    async readTexts(
        {prompts, pairs}: TrainOptions,
        inputs: InputFiles
    ): Promise<{prompts?: readonly Prompt[]; pairs?: readonly PreferencePair[]}> {
        if (typeof pairs === "string") {
            const file = orDemo(pairs, "pairs");
            const loaded = await loadPairs(file);
            inputs.pairs = await fileInput(file, "PROMPTS_NOT_FOUND");
            return {pairs: loaded};
        }
        if (pairs !== undefined) {
            inputs.pairs = valueInput(pairs);
            return {pairs};
        }
        if (typeof prompts === "string") {
            const file = orDemo(prompts, "trainingPrompts");
            const loaded = await loadPrompts(file);
            inputs.prompts = await fileInput(file, "PROMPTS_NOT_FOUND");
            return {prompts: loaded};
        }
        const asked = Array.from(prompts ?? [], asPrompt);
        inputs.prompts = valueInput(asked);
        return {prompts: asked};
    }

    async readWarmStart({warmStart}: TrainOptions, inputs: InputFiles): Promise<ActorTensors | undefined> {
        if (warmStart === undefined) return undefined;
        const file = typeof warmStart === "string" ? await agentPath(orDemo(warmStart, "agent")) : undefined;
        const own = file === undefined ? undefined : await MaraAgent.load(file);
        const tensors = (own ?? (warmStart as MaraAgent)).tensors();
        own?.dispose();
        const {sha256} = bytesInput(Object.values(tensors).map(({data}) => new Uint8Array(data.buffer)));
        inputs.warmStart = {path: file === undefined ? null : resolve(file), sha256};
        return tensors;
    }

    /** The instance that runs the model: the caller's, or one of its own. */
    async openLlama({llama: given, ...options}: TrainOptions): Promise<Llama> {
        const model = modelOf(options);
        if (typeof model !== "string") return model.llama;
        if (given !== undefined) return given;
        // node-llama-cpp is loaded here, because the command line does without it where it can.
        const {getLlama, LlamaLogLevel} = await import("node-llama-cpp");
        const llama = await getLlama({build: "never", logLevel: LlamaLogLevel.error});
        this.#close.push(() => llama.dispose());
        return llama;
    }

    /** A queue's code is loaded here, because few need it. */
    async openQueue({queue}: TrainOptions) {
        if (queue === undefined) return undefined;
        const {url, ...others} = queueOptions(queue);
        const [{Coordinator}, {RemoteModel}] = await Promise.all([
            import("../../queue/coordinator.js"),
            import("../../queue/remote-model.js")
        ]);
        const coordinator = await Coordinator.open(url);
        this.#close.push(() => coordinator.close());
        return {coordinator, RemoteModel, ...others};
    }

    async openModel(options: TrainOptions, llama: Llama, inputs: InputFiles): Promise<LlamaModel> {
        const model = modelOf(options);
        const path = typeof model === "string" ? resolve(orDemo(model, "model")) : modelInternals(model)._modelPath;
        inputs.model = await fileInput(path, "MODEL_NOT_FOUND");
        if (typeof model !== "string") return alignable(model);
        const opened = await openModelFile(path, llama);
        this.#close.push(opened.close);
        return alignable(opened.model);
    }

    async openReward(
        {reward, judgeQuestion}: TrainOptions,
        config: TrainConfig,
        baseDirectory: string,
        by: Llama | Coordinator
    ): Promise<Reward> {
        const question = judgeQuestion ?? config.judgeQuestion ?? undefined;
        if ("putAgent" in by) {
            const {remoteReward} = await import("../../queue/remote-reward.js");
            return await remoteReward(by, reward, {
                baseDirectory,
                ...(question === undefined ? {} : {judgeQuestion: question})
            });
        }
        const opened = await openReward(reward as string, {
            llama: by,
            baseDirectory,
            ...(config.threads === null ? {} : {threads: config.threads}),
            ...(question === undefined ? {} : {judgeQuestion: question})
        });
        this.#close.push(() => opened.dispose());
        return opened;
    }

    async close(): Promise<void> {
        for (const close of this.#close.splice(0).reverse()) await close();
    }
}

function alignable(model: LlamaModel): LlamaModel {
    requireAlignable(model);
    return model;
}

/** The agent in a run's directory, if it is one. */
export async function agentPath(path: string): Promise<string> {
    const inRun = join(path, agentFile);
    return (await readFile(inRun).then(
        () => true,
        () => false
    ))
        ? inRun
        : path;
}

function requireWidth(warmStart: ActorTensors | undefined, width: number): void {
    const found = warmStart?.["ln.weight"]?.data.length ?? width;
    if (found === width) return;
    throw new MaraError(
        "AGENT_WIDTH",
        `The agent to start from reads states of width ${found}, but the model's embedding size is ${width}.`
    );
}
