import {statSync} from "node:fs";
import {resolve} from "node:path";
import type {Llama, LlamaContext, LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {invalidArgument, MaraError, reasonOf} from "../../errors.js";
import {loadModelFile} from "../../model-file.js";
import {maxTimeoutMs} from "../../rewards/time-limit.js";
import {sequenceInternals} from "../node-llama-cpp/internals.js";
import type {Guide, GuidedRow, GuidedText} from "../steer/guide.js";
import {AcceptanceRates} from "../wave/acceptance-rates.js";
import type {TextFollower} from "./followed-texts.js";
import {Follower} from "./follower.js";
import type {OwnPrompt} from "./further-sequences.js";
import {guideHostOf} from "./host.js";
import {onScaleOf} from "./logits.js";
import {MappedLogits, type MappedShare} from "./mapped.js";
import {haveSameVocabulary, mapTokens} from "./vocabulary.js";

/** A model whose logits take part in a guide. */
export interface GuideModel {
    /** What the option is called in messages. */
    name: string;
    /** The file, or the model itself; undefined: the guided model. */
    model: string | LlamaModel | undefined;
    /** Tokens, of the guided model, that take the place of everything before the response. */
    promptOf?: (model: LlamaModel) => readonly number[];
    /** Its logits are changes of logits rather than logits. */
    isChange?: boolean;
    /** The mean share of probability that must be mapped where the vocabularies differ. */
    minMapped?: number;
}

/** A guide by other models. */
export interface ModelGuide extends Guide {
    /** How well the vocabularies of its models fit that of the context's, for those that differ. */
    mapped(context: LlamaContext): MappedShare[];
}

/** Changes `logits` by those that each model gives, in the order of the recipe's models. */
type Combine = (logits: Float32Array, others: readonly Float32Array[], row: GuidedRow) => void;

/** How many times as many tokens as the text has there is room for in another vocabulary. */
const longerSpelling = 2;

/** The text without its beginning where it is longer than `size`, cut so that the next tokens do not move the cut. */
function lastOf(text: readonly number[], size: number): readonly number[] {
    const step = Math.ceil(size / 2);
    return text.slice(Math.ceil(Math.max(0, text.length - size) / step) * step);
}

/** One model of a guide beside one guided context. */
class Companion {
    readonly #follower: TextFollower;
    readonly #prompt: readonly number[] | undefined;
    /** Undefined where the vocabulary is that of the guided model. */
    readonly mapping: MappedLogits | undefined;

    constructor(follower: TextFollower, {prompt, mapping}: Pick<Companion, "mapping"> & {prompt?: readonly number[]}) {
        this.#follower = follower;
        this.#prompt = prompt;
        this.mapping = mapping;
    }

    follow(text: GuidedText): void {
        this.#follower.follow(numberOf(text), this.#spell(text));
    }

    /** The logits that the text leads to. */
    async logits(text: GuidedText): Promise<Float32Array> {
        return await this.#follower.logits(numberOf(text), this.#spell(text));
    }

    /** The same where the last token may be taken back. */
    try(text: GuidedText): void {
        const spelt = this.#spell(text);
        const {canTakeBack, size} = this.#follower;
        if (canTakeBack && spelt.length <= size) this.#follower.follow(numberOf(text), spelt);
    }

    #spell({tokens, responseStart}: GuidedText): readonly number[] {
        const prompt = this.#prompt;
        const text = prompt === undefined ? tokens : [...prompt, ...tokens.slice(responseStart)];
        return this.mapping === undefined ? text : lastOf(this.mapping.spell(text), this.#follower.size);
    }

    /**
     * One logit per token of the guided model, whose own are `own`; NaN for tokens that could not be mapped. Where some cannot, a constant that
     * all other logits share is no longer nothing, so logits are put on the scale of `own`.
     */
    translate(logits: Float32Array, own: Float32Array, isMapped: boolean): Float32Array {
        if (this.mapping !== undefined) return this.mapping.map(logits, own);
        return isMapped ? onScaleOf(own, logits) : logits;
    }

    /** Lets the one sequence begin with what is decoded of the other's text. */
    copy({from, to}: {from: LlamaContextSequence; to: LlamaContextSequence}): void {
        this.#follower.copy(numberOf({sequence: from}), numberOf({sequence: to}));
    }

    forget(text: Pick<GuidedText, "sequence">): void {
        this.#follower.follow(numberOf(text), []);
    }
}

function numberOf({sequence}: Pick<GuidedText, "sequence">): number {
    return sequenceInternals(sequence)._sequenceId;
}

/**
 * Tells whether candidates are worth decoding when they are tried. One that is emitted saves the time of a decode, one that is not
 * costs it, so they are worth it where at least every second one is emitted.
 */
class Trials {
    readonly #rates = new AcceptanceRates();
    /** The candidate that each sequence tried last, and its index in the text. */
    readonly #tried = new Map<number, {index: number; token: number}>();

    /** Notes the last token of the text. */
    note(text: GuidedText): void {
        const index = text.tokens.length - 1;
        this.#tried.set(numberOf(text), {index, token: text.tokens[index] as number});
    }

    /** Sees whether the text goes on with what was tried. */
    observe(text: GuidedText): void {
        const tried = this.#tried.get(numberOf(text));
        if (tried === undefined || !this.#tried.delete(numberOf(text))) return;
        this.#rates.observe(1, text.tokens[tried.index] === tried.token);
    }

    get areWorthIt(): boolean {
        return this.#rates.at(0) >= 0.5;
    }
}

/** What a guide has opened beside one context. */
interface Opened {
    companions: Promise<Companion[]>;
    ready?: Companion[];
    trials: Trials;
}

/** A guide whose models follow the guided text in contexts of their own, each on its own decode thread. */
export function modelGuide(models: readonly GuideModel[], combine: Combine): ModelGuide {
    const opened = new WeakMap<LlamaContext, Opened>();
    const open = (context: LlamaContext) => {
        let state = opened.get(context);
        if (state === undefined) {
            const created: Opened = {
                companions: Promise.all(models.map((one) => openCompanion(context, one, guide))),
                trials: new Trials()
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
    const guide: ModelGuide = {
        // A long prompt takes as long as it takes.
        timeoutMs: maxTimeoutMs,
        async open(context) {
            await open(context).companions;
        },
        async guide(logits, row) {
            const companions = await open(row.sequence.context).companions;
            const found = await Promise.all(companions.map((one) => one.logits(row)));
            const isMapped = companions.some(({mapping}) => mapping !== undefined);
            const inOwnTerms = companions.map((one, i) => one.translate(found[i] as Float32Array, logits, isMapped));
            combine(logits, inOwnTerms, row);
        },
        decoding(text) {
            const {ready = [], trials} = open(text.sequence.context);
            trials.observe(text);
            for (const one of ready) one.follow(text);
        },
        trying(text) {
            const {ready = [], trials} = open(text.sequence.context);
            trials.note(text);
            if (trials.areWorthIt) for (const one of ready) one.try(text);
        },
        takenBack({sequence, start}) {
            if (start > 0) return;
            for (const one of opened.get(sequence.context)?.ready ?? []) one.forget({sequence});
        },
        copied({from, to}) {
            for (const one of opened.get(to.context)?.ready ?? []) one.copy({from, to});
        },
        mapped(context) {
            const mappings = (opened.get(context)?.ready ?? []).map(({mapping}) => mapping?.share);
            return mappings.filter((share) => share !== undefined);
        }
    };
    const [{model, promptOf}] = models as [GuideModel];
    if (model === undefined && promptOf !== undefined) prompts.set(guide, promptOf);
    return guide;
}

/** How guides by the guided model itself give their prompts. */
const prompts = new WeakMap<Guide, (model: LlamaModel) => readonly number[]>();

/** The prompts of those guides for which a context needs further sequences. */
export function ownPrompts(guides: readonly Guide[], model: LlamaModel): OwnPrompt[] {
    return [...new Set(guides)].flatMap((guide) => {
        const tokens = prompts.get(guide)?.(model);
        return tokens === undefined ? [] : [{guide, tokens}];
    });
}

async function openCompanion(context: LlamaContext, one: GuideModel, guide: Guide): Promise<Companion> {
    const {name, model, promptOf, isChange = false, minMapped = 0} = one;
    const host = guideHostOf(context);
    const prompt = promptOf?.(context.model);
    const further = host.beside.of(guide);
    if (further !== undefined) return new Companion(further, {mapping: undefined, ...(prompt && {prompt})});
    const own = typeof model === "string" ? await load(context.model.llama, name, model) : undefined;
    const used = own ?? (model as LlamaModel | undefined) ?? context.model;
    try {
        if (used.disposed) throw invalidArgument(name, "a model that is not disposed", used);
        const mapping = haveSameVocabulary(context.model, used)
            ? undefined
            : new MappedLogits(name, mapTokens(name, context.model, used), {least: minMapped, isChange});
        const {totalSequences} = context;
        const contextSize = context.contextSize * (mapping === undefined ? 1 : longerSpelling);
        const follower = await Follower.open(used, {
            sequences: totalSequences,
            prefix: prompt ?? [],
            context: {...host.options, contextSize}
        });
        host.opened.add(async () => {
            await follower.close();
            await own?.dispose();
        });
        return new Companion(follower, {mapping, ...(prompt && {prompt})});
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
        return await loadModelFile(llama, modelPath);
    } catch (error) {
        throw new MaraError("MODEL_UNSUPPORTED", `Could not load ${modelPath} for ${name}: ${reasonOf(error)}`, {
            cause: error
        });
    }
}
