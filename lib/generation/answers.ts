/** Answers of many prompts in the parallel sequences of one context, plain or aligned. */
import type {LlamaContext, Token} from "node-llama-cpp";
import {z} from "zod";
import {alignerOf} from "../align/aligned-context.js";
import {decodeFailure, invalidArgument} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";
import {mixed} from "../random.js";
import {check, options as optionsOf} from "../validation/check.js";
import {notify} from "../validation/notify.js";
import {context as contextSchema, func, integer, numberIn, seed as seedSchema, signal} from "../validation/schemas.js";
import {checkPrompts} from "../validation/sources.js";
import {promptTokens, stopTriggers} from "./prompt-tokens.js";
import {type Answer, type SamplingOptions, Slot} from "./slot.js";

export type {Answer, SamplingOptions} from "./slot.js";

/** What `answerAll` takes. */
export interface AnswerOptions extends SamplingOptions {
    /** Longest answer, in tokens. */
    maxTokens: number;
    /** How many prompts are answered at a time. Default: all sequences that the context has left. */
    sequences?: number;
    /** The tokens that are read before each answer, at least one. Default: `promptTokens`. What it throws ends the answering. */
    tokensOf?: (prompt: Prompt, index: number) => Token[];
    /** Called as each answer ends. What it throws or rejects with is told once, as a warning, and disturbs nothing. */
    onAnswer?: (answer: Answer, index: number) => unknown;
    /** Ends the answering between two tokens: the promise rejects with the signal's reason. */
    signal?: AbortSignal;
}

const temperature = z.number("a finite number from 0").min(0, "a finite number from 0");

const schema = optionsOf({
    maxTokens: integer(1),
    sequences: integer(1).optional(),
    tokensOf: func<NonNullable<AnswerOptions["tokensOf"]>>().optional(),
    onAnswer: func<NonNullable<AnswerOptions["onAnswer"]>>().optional(),
    signal: signal.optional(),
    temperature: temperature.optional(),
    topP: numberIn(0, 1).optional(),
    topK: integer(0, 2 ** 31 - 1).optional(),
    minP: numberIn(0, 1).optional(),
    seed: seedSchema.optional()
});

const tokensSchema = z.array(integer(0, 2 ** 31 - 1), "an array of tokens").min(1, "at least one token");

export interface Block {
    answers: Answer[];
    /** End-of-generation tokens included. */
    generatedTokens: number;
    /** Rounds in which every busy sequence took a token: on a plain context the decodes for generated tokens. */
    rounds: number;
    /** Time of these rounds; prompts are read outside of it. */
    seconds: number;
}

/** Prompts of a block, per sequence: enough that a short answer's sequence seldom stands idle at the end. */
const promptsPerSequence = 8;

export function promptsPerBlock(sequences: number): number {
    return sequences * promptsPerSequence;
}

/**
 * Answers every prompt as a new `LlamaChatSession` would, in the order given. A string is a prompt without a system prompt of its own.
 *
 * llama.cpp rounds differently in batches of different sizes, so the sequences go in step: prompts are read one at a time, and
 * every token is decoded with the next ones of all other busy sequences. The tokens that share an answer's batches then depend on
 * the prompts, the options and the number of sequences alone, never on time; in an aligned context also on its waves, which are
 * to be fixed (`waves: [...]`) where the bits matter. With another number of sequences, tokens that are as good as tied may differ.
 *
 * @throws MaraError INVALID_ARGUMENT, also for a prompt that does not fit the context; DECODE_FAILED, also if the context is disposed
 * meanwhile; the signal's reason
 */
export async function answerAll(
    context: LlamaContext,
    prompts: readonly (Prompt | string)[],
    options: AnswerOptions
): Promise<Answer[]> {
    check(contextSchema, context, "context");
    const asked = checkPrompts(prompts);
    const {sequences, onAnswer, ...each} = check(schema, options, "options", "") as AnswerOptions;
    if (context.disposed || context.model.disposed)
        throw invalidArgument("context", "a context that is not disposed", context);
    const pool = new AnswerPool(context, sequences);
    try {
        const answers: Answer[] = [];
        const size = promptsPerBlock(pool.sequences);
        for (let first = 0; first < asked.length; first += size) {
            const block = await pool.answer(asked.slice(first, first + size), {
                ...each,
                firstIndex: first,
                onAnswer: (answer, index) => notify(onAnswer, "onAnswer", answer, index)
            });
            answers.push(...block.answers);
        }
        return answers;
    } finally {
        await pool.close();
    }
}

/** Sequences of a context that answer blocks of prompts; one block at a time. */
export class AnswerPool {
    readonly #context: LlamaContext;
    readonly #slots: Slot[];

    /** @throws MaraError INVALID_ARGUMENT */
    constructor(context: LlamaContext, sequences = context.sequencesLeft) {
        check(integer(1, context.sequencesLeft), sequences, "sequences");
        this.#context = context;
        const shared = {model: context.model, aligner: alignerOf(context), stop: stopTriggers(context.model)};
        this.#slots = Array.from({length: sequences}, () => new Slot(context.getSequence(), shared));
    }

    get sequences(): number {
        return this.#slots.length;
    }

    /**
     * `firstIndex`, default 0, is the index of the first prompt: seeds depend on it. `onTokens` is called after each round with the number
     * of tokens that it gave. No other block leaves a trace in this one.
     */
    async answer(
        prompts: readonly Prompt[],
        options: Omit<AnswerOptions, "sequences"> & {firstIndex?: number; onTokens?: (count: number) => void}
    ): Promise<Block> {
        const {maxTokens, firstIndex = 0, onAnswer, onTokens, signal, seed = 0, tokensOf, ...sampling} = options;
        check(integer(1, this.#context.contextSize), maxTokens, "maxTokens");
        const {model} = this.#context;
        const tokens = prompts.map((prompt, i) => {
            if (tokensOf === undefined) return promptTokens(model, prompt);
            return check(
                tokensSchema,
                tokensOf(prompt, firstIndex + i),
                `tokensOf(prompts[${firstIndex + i}])`
            ) as Token[];
        });
        for (const [i, {length}] of tokens.entries()) this.#requireRoom(firstIndex + i, length, maxTokens);
        const answers: Answer[] = [];
        const block: Block = {answers, generatedTokens: 0, rounds: 0, seconds: 0};
        let next = 0;
        try {
            for (;;) {
                for (const slot of this.#slots) {
                    if (slot.busy || next === prompts.length) continue;
                    signal?.throwIfAborted();
                    const index = next++;
                    await decoding(
                        slot.begin({
                            prompt: prompts[index] as Prompt,
                            promptTokens: tokens[index] as Token[],
                            maxTokens,
                            sampling: {...sampling, seed: seedOf(seed, firstIndex + index)},
                            finish: (answer) => {
                                answers[index] = answer;
                                onAnswer?.(answer, firstIndex + index);
                            }
                        })
                    );
                }
                const busy = this.#slots.filter((slot) => slot.busy);
                if (busy.length === 0) return block;
                // Not before node-llama-cpp's batch loop has ended, or it might start the next batch with some of them only.
                await nextTurn();
                signal?.throwIfAborted();
                const start = performance.now();
                const steps = await Promise.allSettled(busy.map((slot) => slot.step()));
                block.seconds += (performance.now() - start) / 1000;
                for (const step of steps) if (step.status === "rejected") throw decodeFailure(step.reason);
                block.rounds++;
                block.generatedTokens += busy.length;
                onTokens?.(busy.length);
                for (const slot of busy) await decoding(slot.finishIfEnded());
            }
        } finally {
            for (const slot of this.#slots) await decoding(slot.clear());
        }
    }

    async close(): Promise<void> {
        if (this.#context.disposed) return;
        const free = this.#context.sequencesLeft + this.#slots.length;
        for (const slot of this.#slots) slot.dispose();
        // node-llama-cpp takes the sequences back once its lock is free; the next caller should find them.
        for (let turns = 0; this.#context.sequencesLeft < free && turns < 100; turns++) await nextTurn();
    }

    /** @throws MaraError INVALID_ARGUMENT where node-llama-cpp would silently drop the beginning of the prompt */
    #requireRoom(index: number, promptLength: number, maxTokens: number): void {
        const {contextSize} = this.#context;
        if (promptLength + maxTokens < contextSize) return;
        throw invalidArgument(
            "contextSize",
            `more than the ${promptLength} tokens of prompt ${index + 1} and ${maxTokens} of its answer`,
            contextSize
        );
    }
}

async function decoding<T>(work: Promise<T>): Promise<T> {
    try {
        return await work;
    } catch (error) {
        throw decodeFailure(error);
    }
}

/** A seed of its own for every index. */
function seedOf(seed: number, index: number): number {
    return mixed(seed ^ Math.imul(index + 1, 0x9e3779b1)) >>> 0;
}

function nextTurn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
}
