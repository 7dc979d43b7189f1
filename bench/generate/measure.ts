import {InputLookupTokenPredictor, type LlamaContext, type LlamaContextSequence, type LlamaModel} from "node-llama-cpp";
import type {BatchToken} from "../../lib/align/backend/backend.js";
import {LanesBackend} from "../../lib/align/backend/lanes-backend.js";
import {SerialBackend} from "../../lib/align/backend/serial-backend.js";
import {type AddonContext, contextInternals} from "../../lib/align/node-llama-cpp/internals.js";
import {type Aligner, createAlignedContext, MaraAgent} from "../../lib/index.js";
import {medianOf} from "../harness/statistics.js";
import {generateAll, laneSizes, loadModel, longPrompt, memoryUse, promptTokens} from "./model.js";
import type {GenerateResult, GenerateWork} from "./work.js";

const warmUpTokens = 32;

export async function measureGeneration(work: GenerateWork): Promise<GenerateResult> {
    const {modelPath, agentPath, tokens, prefillTokens, mode} = work;
    const model = await loadModel(modelPath);
    const afterModel = memoryUse();
    const agent = agentPath === undefined ? undefined : await MaraAgent.load(agentPath);
    const batches = recordBatches();
    const {context, aligner} = await createContext(model, work, agent);
    if (mode === "plain") recordPlain(context, batches);
    const sequences = Array.from({length: work.sequences}, () =>
        context.getSequence({...(work.predictor && {tokenPredictor: new InputLookupTokenPredictor()})})
    );
    const ready = memoryUse();

    // The aligner learns its wave sizes meanwhile.
    await generateAll(sequences, Math.min(tokens, warmUpTokens), work.copying);
    const prefill =
        prefillTokens === 0 ? null : await measurePrefill(sequences[0] as LlamaContextSequence, prefillTokens);
    aligner?.resetStats();
    batches.length = 0;
    const {texts, tokensPerSecond, processorMs} = await generateAll(sequences, tokens, work.copying);

    const stats = aligner?.stats();
    const generated = tokens * sequences.length;
    const perToken = (value: number) => value / generated;
    const counted: Record<number, number> = {};
    for (const size of batches) counted[size] = (counted[size] ?? 0) + 1 / generated;
    return {
        tokensPerSecond,
        processorMs,
        decodesPerToken: perToken(batches.length),
        batches: counted,
        topAcceptance: stats === undefined ? null : (stats.acceptedRanks[0] ?? 0) / Math.max(1, stats.decisions),
        time:
            stats === undefined
                ? null
                : {
                      decode: perToken(stats.time.decode),
                      kernel: perToken(stats.time.kernel),
                      rest: perToken(stats.time.rest)
                  },
        prefillTokensPerSecond: prefill,
        memory: {model: afterModel, ready, end: memoryUse()},
        sizes: {
            packed: agent?._native.bytes ?? 0,
            loaded: agent === undefined ? 0 : agent.parameters * 4,
            ...laneSizes(model, mode, defaultLanes)
        },
        prompt: promptTokens(model, 0),
        texts
    };
}

const defaultLanes = 15;

async function createContext(
    model: LlamaModel,
    {mode, sequences, contextSize, threads}: GenerateWork,
    agent: MaraAgent | undefined
): Promise<{context: LlamaContext; aligner?: Aligner}> {
    const options = {sequences, contextSize, threads};
    if (mode === "plain" || agent === undefined) return {context: await model.createContext(options)};
    return await createAlignedContext(model, {...options, agent, mode});
}

/** Sizes of the batches that the backends decode to generate, prompts left out. */
export function recordBatches(): number[] {
    const sizes: number[] = [];
    const {wave} = LanesBackend.prototype;
    LanesBackend.prototype.wave = function (tokens, threads) {
        sizes.push(tokens.length);
        return wave.call(this, tokens, threads);
    };
    for (const {prototype} of [LanesBackend, SerialBackend]) {
        const {decode} = prototype;
        prototype.decode = function (this: LanesBackend & SerialBackend, tokens: readonly BatchToken[]) {
            if (tokens.some(({output}) => output)) sizes.push(tokens.length);
            return decode.call(this, tokens);
        };
    }
    return sizes;
}

/** Sizes of the batches that a plain context decodes to generate. */
export function recordPlain(context: LlamaContext, sizes: number[]): void {
    const native = contextInternals(context)._ctx;
    const {addToBatch, decodeBatch} = native;
    let [size, outputs] = [0, 0];
    const methods: Partial<AddonContext> = {
        addToBatch: (sequence, position, tokens, wanted) => {
            size += tokens.length;
            outputs += wanted.length;
            return addToBatch.call(native, sequence, position, tokens, wanted);
        },
        decodeBatch: () => {
            if (outputs > 0) sizes.push(size);
            [size, outputs] = [0, 0];
            return decodeBatch.call(native);
        }
    };
    for (const [name, value] of Object.entries(methods)) Object.defineProperty(native, name, {value});
}

async function measurePrefill(sequence: LlamaContextSequence, length: number): Promise<number> {
    const prompt = longPrompt(sequence.model, length);
    const rates: number[] = [];
    for (let i = 0; i < 3; i++) {
        await sequence.clearHistory();
        const start = performance.now();
        await sequence.evaluateWithoutGeneratingNewTokens(prompt);
        rates.push((length * 1000) / (performance.now() - start));
    }
    return medianOf(rates);
}
