import {statSync} from "node:fs";
import {resolve} from "node:path";
import type {Llama, LlamaContext, LlamaModel} from "node-llama-cpp";
import {invalidArgument, MaraError, reasonOf} from "../../errors.js";
import {sequenceInternals} from "../node-llama-cpp/internals.js";
import type {Guide, GuidedRow, GuidedText} from "../steer/guide.js";
import {Follower} from "./follower.js";
import {guideHostOf} from "./host.js";
import {requireSameVocabulary} from "./vocabulary.js";

/** A model whose logits take part in a guide. */
export interface GuideModel {
    /** What the option is called in messages. */
    name: string;
    /** The file, or the model itself; undefined: the guided model. */
    model: string | LlamaModel | undefined;
    /** Tokens, of the guided model, that take the place of everything before the response. */
    promptOf?: (model: LlamaModel) => readonly number[];
}

/** Changes `logits` by those that each model gives, in the order of the recipe's models. */
type Combine = (logits: Float32Array, others: readonly Float32Array[], row: GuidedRow) => void;

/** One model of a guide beside one guided context. */
class Companion {
    readonly #follower: Follower;
    readonly #prompt: readonly number[] | undefined;

    constructor(follower: Follower, prompt: readonly number[] | undefined) {
        this.#follower = follower;
        this.#prompt = prompt;
    }

    logits({sequence, tokens, responseStart}: GuidedText): Promise<Float32Array> {
        const prompt = this.#prompt;
        const text = prompt === undefined ? tokens : [...prompt, ...tokens.slice(responseStart)];
        return this.#follower.follow(sequenceInternals(sequence)._sequenceId, text);
    }

    async forget(sequence: GuidedText["sequence"]): Promise<void> {
        await this.#follower.follow(sequenceInternals(sequence)._sequenceId, []);
    }
}

/** A guide whose models follow the guided text in contexts of their own, each on its own decode thread. */
export function modelGuide(models: readonly GuideModel[], combine: Combine): Guide {
    const opened = new WeakMap<LlamaContext, {companions: Promise<Companion[]>; ready?: Companion[]}>();
    const open = (context: LlamaContext) => {
        let state = opened.get(context);
        if (state === undefined) {
            const created: {companions: Promise<Companion[]>; ready?: Companion[]} = {
                companions: Promise.all(models.map((one) => openCompanion(context, one)))
            };
            created.companions.then(
                (companions) => {
                    created.ready = companions;
                },
                () => opened.delete(context)
            );
            state = created;
            opened.set(context, state);
        }
        return state;
    };
    return {
        async open(context) {
            await open(context).companions;
        },
        async guide(logits, row) {
            const companions = await open(row.sequence.context).companions;
            combine(logits, await Promise.all(companions.map((one) => one.logits(row))), row);
        },
        decoding(text) {
            for (const one of open(text.sequence.context).ready ?? []) void one.logits(text);
        },
        takenBack({sequence, start}) {
            if (start > 0) return;
            for (const one of opened.get(sequence.context)?.ready ?? []) void one.forget(sequence);
        }
    };
}

async function openCompanion(context: LlamaContext, {name, model, promptOf}: GuideModel): Promise<Companion> {
    const host = guideHostOf(context);
    const own = typeof model === "string" ? await load(context.model.llama, name, model) : undefined;
    const used = own ?? (model as LlamaModel | undefined) ?? context.model;
    try {
        if (used.disposed) throw invalidArgument(name, "a model that is not disposed", used);
        if (used !== context.model) requireSameVocabulary(name, context.model, used);
        const prompt = promptOf?.(context.model);
        const {contextSize, totalSequences} = context;
        const follower = await Follower.open(used, {
            sequences: totalSequences,
            prefix: prompt ?? [],
            context: {...host.options, contextSize}
        });
        host.opened.add(async () => {
            await follower.close();
            await own?.dispose();
        });
        return new Companion(follower, prompt);
    } catch (error) {
        await own?.dispose();
        throw error;
    }
}

/** @throws MaraError MODEL_NOT_FOUND, MODEL_UNSUPPORTED */
async function load(llama: Llama, name: string, file: string): Promise<LlamaModel> {
    const modelPath = resolve(file);
    if (!statSync(modelPath, {throwIfNoEntry: false})?.isFile())
        throw new MaraError("MODEL_NOT_FOUND", `There is no model file ${modelPath} for ${name}. Give a .gguf file.`);
    try {
        return await llama.loadModel({modelPath});
    } catch (error) {
        throw new MaraError("MODEL_UNSUPPORTED", `Could not load ${modelPath} for ${name}: ${reasonOf(error)}`, {
            cause: error
        });
    }
}
