/** Answers of the model itself, made in this process or on workers: the same bits, since a block is answered in step wherever it is. */
import {newContext} from "../../align/node-llama-cpp/new-context.js";
import {type Answer, type AnswerOptions, AnswerPool} from "../../generation/answers.js";
import {promptTokens} from "../../generation/prompt-tokens.js";
import type {Prompt} from "../../prompts/prompts.js";
import type {Job} from "../run/job.js";

type BlockOptions = Omit<AnswerOptions, "sequences" | "tokensOf" | "onAnswer"> & {
    firstIndex: number;
    onAnswer: () => void;
    onTokens: (count: number) => void;
};

export interface AnswerSource {
    /** Blocks that are worth asking for at a time. */
    readonly blocksAtOnce: number;
    /** Answers as many prompts as there are sequences, or fewer. */
    answer(prompts: readonly Prompt[], options: BlockOptions): Promise<Answer[]>;
    close(): Promise<void>;
}

/** Blocks asked of workers at a time. */
const remoteBlocks = 32;

/** @param contextSize tokens of the longest prompt and its response */
export async function openAnswers({config, model, remote}: Job, contextSize: number): Promise<AnswerSource> {
    const {sequences, threads} = config;
    const context = {contextSize, sequences, ...(threads === null ? {} : {threads})};
    if (remote === undefined) {
        const opened = await newContext(model, context);
        const pool = new AnswerPool(opened, sequences);
        return {
            blocksAtOnce: 1,
            answer: async (prompts, options) => (await pool.answer(prompts, options)).answers,
            close: async () => {
                await pool.close();
                await opened.dispose();
            }
        };
    }
    return {
        blocksAtOnce: remoteBlocks,
        answer: async (prompts, {maxTokens, firstIndex, seed = 0, onAnswer, onTokens, signal, ...sampling}) => {
            const texts = prompts.map((prompt) => promptTokens(model, prompt));
            const block = await remote.answer({context, maxTokens, firstIndex, seed, sampling, texts}, signal);
            onTokens(block.generatedTokens);
            return block.answers.map(({text, tokens, ended}, i) => {
                onAnswer();
                const start = (texts[i] as (typeof texts)[number]).length;
                const prompt = prompts[i] as Prompt;
                return {prompt, text, start, tokens: tokens as Answer["tokens"], ended, decisions: []};
            });
        },
        close: async () => undefined
    };
}
