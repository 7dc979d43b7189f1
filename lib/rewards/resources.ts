/** The resources that the rewards of one specification share: options, and each model loaded once. */

import {statSync} from "node:fs";
import {resolve} from "node:path";
import type {Llama, LlamaModel} from "node-llama-cpp";
import {MaraError} from "../errors.js";
import {loadModelFile} from "../model-file.js";
import {cut} from "./expression.js";

export interface ResourceOptions {
    /** Loads the models of `judge:`, `rank:` and `head:`. Without one, a CPU or GPU instance is opened when it is needed. */
    llama?: Llama;
    /** Threads of each of these models' contexts. Default: node-llama-cpp's choice. */
    threads?: number;
    /**
     * Tokens that such a context holds: prompt, response and what the reward adds. Default 4096, and
     * never more than the model was trained for.
     */
    contextSize?: number;
    /** The folder that paths are relative to. Default: the working directory. */
    baseDirectory?: string;
    /** Milliseconds that the import of a `module:` may take. Default 60 000. */
    moduleTimeoutMs?: number;
}

/** Where rewards find the files that they name, instead of from the base directory. */
export type FindFile = (file: string) => string;

export class Resources {
    readonly #options: ResourceOptions;
    readonly #findFile: FindFile | undefined;
    readonly #models = new Map<string, Promise<LlamaModel>>();
    readonly #closers: (() => Promise<void>)[] = [];
    #llama: Promise<Llama> | undefined;

    constructor(options: ResourceOptions, findFile?: FindFile) {
        this.#options = options;
        this.#findFile = findFile;
    }

    get moduleTimeoutMs(): number {
        return this.#options.moduleTimeoutMs ?? 60_000;
    }

    /** `file` from the base directory. @throws MaraError REWARD_LOAD if there is no such file */
    path(file: string): string {
        if (this.#findFile !== undefined) return this.#findFile(file);
        const path = resolve(this.#options.baseDirectory ?? ".", file);
        if (statSync(path, {throwIfNoEntry: false})?.isFile()) return path;
        throw new MaraError(
            "REWARD_LOAD",
            `There is no file ${cut(path)}. Paths of rewards start from the working directory.`
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
        const {threads, contextSize = 4096} = this.#options;
        // An encoder has no positions beyond its training context, and llama.cpp ends the process when it meets one.
        const max = model.trainContextSize ?? contextSize;
        return {contextSize: Math.min(contextSize, max), ...(threads === undefined ? {} : {threads})};
    }

    /** A context of one of the models, to be disposed before them. @throws MaraError REWARD_LOAD: `failure`, and why */
    async context<Context extends {dispose(): Promise<void>}>(
        failure: string,
        create: () => Promise<Context>
    ): Promise<Context> {
        let context: Context;
        try {
            context = await create();
        } catch (error) {
            throw new MaraError("REWARD_LOAD", `${failure}: ${(error as Error).message}`, {cause: error});
        }
        this.#closers.push(() => context.dispose());
        return context;
    }

    async dispose(): Promise<void> {
        for (const close of this.#closers.splice(0).reverse()) await close();
        const models = await Promise.allSettled(this.#models.values());
        this.#models.clear();
        for (const model of models) if (model.status === "fulfilled") await model.value.dispose();
        // A model that could not be opened has been reported by the reward that asked for it.
        const own = this.#options.llama === undefined ? await this.#llama?.catch(() => undefined) : undefined;
        this.#llama = undefined;
        await own?.dispose();
    }

    async #load(modelPath: string): Promise<LlamaModel> {
        try {
            this.#llama ??=
                this.#options.llama === undefined ? openDefaultLlama() : Promise.resolve(this.#options.llama);
            return await loadModelFile(await this.#llama, modelPath);
        } catch (error) {
            const message = `Could not load the model ${modelPath}: ${(error as Error).message}`;
            throw new MaraError("REWARD_LOAD", message, {cause: error});
        }
    }
}

async function openDefaultLlama(): Promise<Llama> {
    const {getLlama, LlamaLogLevel} = await import("node-llama-cpp");
    return await getLlama({build: "never", skipDownload: true, progressLogs: false, logLevel: LlamaLogLevel.error});
}
