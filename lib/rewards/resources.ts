/** What the rewards of one specification share: options, and each model loaded once. */
import {statSync} from "node:fs";
import {resolve} from "node:path";
import type {Llama, LlamaModel} from "node-llama-cpp";
import {MaraError} from "../errors.js";

export interface ResourceOptions {
    /** Loads the models of `judge:`, `rank:` and `head:`. Without one, a CPU or GPU instance is opened when it is needed. */
    llama?: Llama;
    /** Threads of each of these models' contexts. Default: node-llama-cpp's choice. */
    threads?: number;
    /** Tokens that such a context holds: prompt, response and what the reward adds. Default 4096, or what the model was trained for. */
    contextSize?: number;
    /** What paths are relative to. Default: the working directory. */
    baseDirectory?: string;
}

export class Resources {
    readonly #options: ResourceOptions;
    readonly #models = new Map<string, Promise<LlamaModel>>();
    readonly #closers: (() => Promise<void>)[] = [];
    #llama: Promise<Llama> | undefined;

    constructor(options: ResourceOptions) {
        this.#options = options;
    }

    /** `file` from the base directory. @throws MaraError REWARD_LOAD if there is no such file */
    path(file: string): string {
        const path = resolve(this.#options.baseDirectory ?? ".", file);
        if (statSync(path, {throwIfNoEntry: false})?.isFile()) return path;
        throw new MaraError(
            "REWARD_LOAD",
            `There is no file ${path}. Paths of rewards start from the working directory.`
        );
    }

    /** @throws MaraError REWARD_LOAD */
    model(file: string): Promise<LlamaModel> {
        const path = this.path(file);
        let model = this.#models.get(path);
        if (model === undefined) {
            model = this.#load(path);
            this.#models.set(path, model);
        }
        return model;
    }

    contextOptions(model: LlamaModel): {contextSize: number; threads?: number} {
        const {threads, contextSize = Math.min(4096, model.trainContextSize ?? 4096)} = this.#options;
        return {contextSize, ...(threads === undefined ? {} : {threads})};
    }

    /** Runs `close` on `dispose`, before the models are freed. */
    own(close: () => Promise<void>): void {
        this.#closers.push(close);
    }

    async dispose(): Promise<void> {
        for (const close of this.#closers.splice(0).reverse()) await close();
        const models = await Promise.allSettled(this.#models.values());
        this.#models.clear();
        for (const model of models) if (model.status === "fulfilled") await model.value.dispose();
        // One that could not be opened has been reported by the reward that asked for it.
        const own = this.#options.llama === undefined ? await this.#llama?.catch(() => undefined) : undefined;
        this.#llama = undefined;
        await own?.dispose();
    }

    async #load(modelPath: string): Promise<LlamaModel> {
        try {
            this.#llama ??= this.#options.llama === undefined ? openLlama() : Promise.resolve(this.#options.llama);
            return await (await this.#llama).loadModel({modelPath});
        } catch (error) {
            const message = `Could not load the model ${modelPath}: ${(error as Error).message}`;
            throw new MaraError("REWARD_LOAD", message, {cause: error});
        }
    }
}

async function openLlama(): Promise<Llama> {
    const {getLlama, LlamaLogLevel} = await import("node-llama-cpp");
    return await getLlama({build: "never", skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error});
}
