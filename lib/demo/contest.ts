/** Raw against aligned on the demo's prompts: which is preferred, and at what speed. */
import type {LlamaContext, LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import type {MaraAgent} from "../agent/agent.js";
import {createAlignedContext} from "../align/aligned-context.js";
import type {Mode} from "../align/context-options.js";
import {promptTokens} from "../generation/prompt-tokens.js";
import {wilsonInterval} from "../statistics/intervals.js";
import {type GuestPrompt, prefer, score} from "./world.js";

export interface ContestOptions {
    prompts: readonly GuestPrompt[];
    mode?: "auto" | Mode;
    /** Accept probability that a token must exceed. */
    threshold?: number;
    threads?: number;
    onProgress?: (answered: number) => void;
}

export interface Proportion {
    count: number;
    rate: number;
    /** Wilson score interval of the rate. */
    interval95: [low: number, high: number];
}

export interface ContestantResult {
    /** Tokens generated, including those that end a reply. */
    tokens: number;
    /** Time from a prompt that has been read to the end of the reply, over all prompts. */
    seconds: number;
    tokensPerSecond: number;
    /** Mean of the world's score of a reply, 0 to 10. */
    meanScore: number;
}

export interface ContestResult {
    prompts: number;
    alignedPreferred: Proportion;
    rawPreferred: Proportion;
    tie: Proportion;
    raw: ContestantResult;
    aligned: ContestantResult;
    /** Forward passes per generated token of the aligned side; a raw model takes one. */
    decodesPerToken: number;
    /** Decisions per generated token, decisions that emitted another than the top candidate, and that accepted none. */
    decisionsPerToken: number;
    changedPerToken: number;
    fallbacksPerToken: number;
    /** Share of the decisions that the agent's student took alone, before anything was decoded. */
    decidedByStudent: number;
    mode: Mode;
}

/** Long enough for every reply that ends by itself. */
export const replyTokens = 96;
export const contestContextSize = 512;
/** Prompts that one side answers before the other has its turn, so that other work on the machine slows both alike. */
const turn = 10;

/**
 * Both sides decode greedily, one prompt after the other, on contexts of the same size and number of threads: a plain one of
 * stock node-llama-cpp, and an aligned one.
 */
export async function contest(model: LlamaModel, agent: MaraAgent, options: ContestOptions): Promise<ContestResult> {
    const {prompts, mode = "auto", threshold = 0.5, threads, onProgress} = options;
    const shape = {contextSize: contestContextSize, ...(threads === undefined ? {} : {threads})};
    const plain = await model.createContext(shape);
    const {context, aligner} = await createAlignedContext(model, {...shape, agent, mode, threshold});
    const sides = {raw: new Contestant(plain), aligned: new Contestant(context)};
    try {
        // The first decodes of a context are slower for either side, so they are not timed.
        for (const side of Object.values(sides)) await side.warmUp(prompts.slice(0, 2));
        aligner.resetStats();
        for (let first = 0; first < prompts.length; first += turn) {
            const block = prompts.slice(first, first + turn);
            const order = [sides.raw, sides.aligned];
            for (const side of (first / turn) % 2 === 0 ? order : order.reverse()) await side.answer(block);
            onProgress?.(first + block.length);
        }
        const {generatedTokens, decodes, decisions, studentDecisions, acceptedRanks, fallbacks} = aligner.stats();
        const topAccepted = acceptedRanks[0] ?? 0;
        return {
            prompts: prompts.length,
            ...preferences(prompts, sides.raw.replies, sides.aligned.replies),
            raw: sides.raw.result(prompts),
            aligned: sides.aligned.result(prompts),
            decodesPerToken: decodes / generatedTokens,
            decisionsPerToken: decisions / generatedTokens,
            changedPerToken: (decisions - topAccepted - fallbacks) / generatedTokens,
            fallbacksPerToken: fallbacks / generatedTokens,
            decidedByStudent: decisions === 0 ? 0 : studentDecisions / decisions,
            mode: aligner.mode
        };
    } finally {
        await context.dispose();
        await plain.dispose();
    }
}

class Contestant {
    readonly replies: string[] = [];
    readonly #sequence: LlamaContextSequence;
    #tokens = 0;
    #seconds = 0;

    constructor(context: LlamaContext) {
        this.#sequence = context.getSequence();
    }

    async warmUp(prompts: readonly GuestPrompt[]): Promise<void> {
        for (const {text} of prompts) await this.#reply(text);
    }

    async answer(prompts: readonly GuestPrompt[]): Promise<void> {
        for (const {text} of prompts) {
            const {reply, tokens, seconds} = await this.#reply(text);
            this.replies.push(reply);
            this.#tokens += tokens;
            this.#seconds += seconds;
        }
    }

    result(prompts: readonly GuestPrompt[]): ContestantResult {
        const total = prompts.reduce((sum, prompt, i) => sum + score(prompt, this.replies[i] ?? "").value, 0);
        return {
            tokens: this.#tokens,
            seconds: this.#seconds,
            tokensPerSecond: this.#tokens / this.#seconds,
            meanScore: total / prompts.length
        };
    }

    /** The reply that a LlamaChatSession would give. The prompt is read before the clock starts, because one side's replies are longer. */
    async #reply(text: string): Promise<{reply: string; tokens: number; seconds: number}> {
        const sequence = this.#sequence;
        const {model} = sequence;
        const prompt = promptTokens(model, {prompt: text});
        await sequence.clearHistory();
        await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
        const generated: Token[] = [];
        const start = performance.now();
        for await (const token of sequence.evaluate(prompt.slice(-1), {yieldEogToken: true})) {
            generated.push(token);
            if (generated.length >= replyTokens || model.isEogToken(token)) break;
        }
        const seconds = (performance.now() - start) / 1000;
        return {reply: model.detokenize(generated), tokens: generated.length, seconds};
    }
}

function preferences(
    prompts: readonly GuestPrompt[],
    raw: readonly string[],
    aligned: readonly string[]
): Record<"alignedPreferred" | "rawPreferred" | "tie", Proportion> {
    const outcomes = prompts.map((prompt, i) => prefer(prompt, aligned[i] ?? "", raw[i] ?? ""));
    const share = (wanted: "a" | "b" | "tie"): Proportion => {
        const count = outcomes.filter((outcome) => outcome === wanted).length;
        return {count, rate: count / prompts.length, interval95: wilsonInterval(count, prompts.length)};
    };
    return {alignedPreferred: share("a"), rawPreferred: share("b"), tie: share("tie")};
}
