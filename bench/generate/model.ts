import {readFileSync} from "node:fs";
import {getLlama, type LlamaContextSequence, LlamaLogLevel, type LlamaModel, type Token} from "node-llama-cpp";
import {copyingPrompt, type GenerateMode, type MemoryUse, prompts} from "./work.js";

export async function loadModel(modelPath: string): Promise<LlamaModel> {
    const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    return await llama.loadModel({modelPath});
}

/** The results of the timed part of a generation. */
export interface Generation {
    texts: number[][];
    /** Measured over the time in which every sequence was generating. */
    tokensPerSecond: number;
    /** The process's processor time per token, over the whole generation. */
    processorMs: number;
}

/**
 * Generates with all sequences at once, greedily where nothing aligns. The prompts are in the cache beforehand, but for their
 * last token; end-of-generation tokens end nothing.
 */
export async function generateAll(
    sequences: readonly LlamaContextSequence[],
    tokens: number,
    copying = false
): Promise<Generation> {
    const starts: Token[] = [];
    for (const [i, sequence] of sequences.entries()) {
        await sequence.clearHistory();
        const prompt = copying ? tokensOf(sequence.model, copyingPrompt) : promptTokens(sequence.model, i);
        sequence.tokenPredictor?.updateInputTokens?.(prompt);
        await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(0, -1));
        starts.push(prompt.at(-1) as Token);
    }
    const processor = process.cpuUsage();
    const runs = await Promise.all(
        sequences.map(async (sequence, i) => {
            const text: number[] = [];
            const times: number[] = [];
            for await (const token of sequence.evaluate([starts[i] as Token], {yieldEogToken: true})) {
                times.push(performance.now());
                text.push(token);
                if (text.length === tokens) break;
            }
            return {text, times};
        })
    );
    const {user, system} = process.cpuUsage(processor);
    const from = Math.max(...runs.map(({times}) => times[0] as number));
    const until = Math.min(...runs.map(({times}) => times.at(-1) as number));
    const within = runs.flatMap(({times}) => times.filter((time) => time > from && time <= until)).length;
    return {
        texts: runs.map(({text}) => text),
        tokensPerSecond: (within * 1000) / (until - from),
        processorMs: (user + system) / 1000 / (tokens * sequences.length)
    };
}

/** Generates behind the prompt, going on from where it stopped. */
export function generator(sequence: LlamaContextSequence, prompt: readonly Token[]): (count: number) => Promise<void> {
    let next = prompt;
    return async (count) => {
        let left = count;
        for await (const token of sequence.evaluate([...next], {yieldEogToken: true})) {
            next = [token];
            if (--left === 0) break;
        }
    };
}

export function promptTokens(model: LlamaModel, index: number): Token[] {
    return tokensOf(model, prompts[index % prompts.length] as string);
}

function tokensOf(model: LlamaModel, text: string): Token[] {
    const tokens = model.tokenize(text);
    const {bos} = model.tokens;
    return bos !== null && model.tokens.shouldPrependBosToken ? [bos, ...tokens] : tokens;
}

/** A prompt of exactly `length` tokens. */
export function longPrompt(model: LlamaModel, length: number): Token[] {
    const tokens: Token[] = [];
    for (let i = 0; tokens.length < length; i++) tokens.push(...promptTokens(model, i));
    return tokens.slice(0, length);
}

export function memoryUse(): MemoryUse {
    for (let i = 0; i < 2; i++) (globalThis as {gc?: () => void}).gc?.();
    let status = "";
    try {
        status = readFileSync("/proc/self/status", "utf8");
    } catch {}
    const anonymous = /^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1];
    const {rss} = process.memoryUsage();
    return {rss, anonymous: anonymous === undefined ? rss : Number(anonymous) * 1024};
}

/** Bytes of the KV cells and output rows that lanes add (llama.cpp: an F16 cache, F32 logits and states). */
export function laneSizes(model: LlamaModel, mode: GenerateMode, lanes: number) {
    if (mode !== "lanes") return {laneCells: 0, laneRows: 0};
    const {attention, embedding_length, block_count} = model.fileInfo.architectureMetadata as {
        attention: {head_count: number; head_count_kv?: number; key_length?: number; value_length?: number};
        embedding_length: number;
        block_count: number;
    };
    const heads = attention.head_count_kv ?? attention.head_count;
    const length = embedding_length / attention.head_count;
    const perLayer = heads * ((attention.key_length ?? length) + (attention.value_length ?? length));
    const cells = Math.ceil(lanes / 256) * 256;
    const vocabulary = [...model.iterateAllTokens()].length;
    return {
        laneCells: cells * block_count * perLayer * 2,
        // They count once where the graph computes them, and once where llama.cpp hands them out.
        laneRows: 2 * lanes * (vocabulary + model.embeddingVectorSize) * 4
    };
}
