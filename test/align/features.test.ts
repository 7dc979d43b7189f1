/** What node-llama-cpp's contexts and sequences do when aligned, as the table in docs/compatibility.md says. */
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaContext, LlamaContextOptions, LlamaModel, SequenceEvaluateOptions, Token} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it, onTestFinished} from "vitest";
import {llamaInternals, modelInternals} from "../../lib/align/node-llama-cpp/internals.js";
import {demoModelPath} from "../../lib/demo/files.js";
import type {MaraAgent} from "../../lib/index.js";
import {acceptAll} from "../support/agents.js";
import {writeLora} from "../support/lora.js";
import {generate, loadTinyModel, precise, testLlama} from "../support/models.js";
import {architectures} from "../zoo/architectures.js";
import {loadZooModel} from "../zoo/model.js";
import {align, modes} from "./harness.js";
import {likePlain} from "./like-plain.js";

let model: LlamaModel;
let agent: MaraAgent;
beforeAll(async () => {
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
    agent = acceptAll(model.embeddingVectorSize);
});
afterAll(() => model?.dispose());

const text = "Tell me about the sea.";
const prompt = () => model.tokenize(text);
const base = {contextSize: 256, threads: 1} as const;

const evaluated = async (context: LlamaContext, options?: SequenceEvaluateOptions) =>
    await generate(context.getSequence(), prompt(), 24, options);

/** Lets llama.cpp's next context come to nothing. @returns a function that ends this */
function failOnce(of: LlamaModel): () => void {
    const holder = llamaInternals(of.llama);
    const stock = holder._bindings;
    let isDone = false;
    const AddonContext = new Proxy(stock.AddonContext, {
        construct(target, args, newTarget) {
            const context = Reflect.construct(target, args, newTarget);
            // node-llama-cpp also constructs contexts on another model, to estimate memory.
            if (!isDone && args[0] === modelInternals(of)._model) {
                Object.defineProperty(context, "init", {value: async () => false});
                isDone = true;
            }
            return context;
        }
    });
    holder._bindings = new Proxy(stock, {
        get: (target, name) => (name === "AddonContext" ? AddonContext : Reflect.get(target, name))
    });
    return () => {
        holder._bindings = stock;
    };
}

describe.each(modes)("A context aligned by an agent that accepts everything (%s)", (mode) => {
    it.each([
        ["contextSize and sequences", {contextSize: 512, sequences: 2}],
        ["contextSize chosen by node-llama-cpp", {contextSize: "auto"}],
        ["a range of contextSize", {contextSize: {min: 128, max: 256}}],
        ["contextSize no multiple of 256", {contextSize: 100, sequences: 3}],
        ["batchSize", {batchSize: 64}],
        ["flashAttention", {flashAttention: true}],
        ["threads", {threads: {ideal: 2, min: 1}}],
        ["cache types", {experimentalKvCacheKeyType: "Q8_0", experimentalKvCacheValueType: "F32"}],
        ["ignoreMemorySafetyChecks", {ignoreMemorySafetyChecks: true}]
    ] as [string, LlamaContextOptions][])("the context says what it was asked for: %s", async (_, options) => {
        await likePlain(
            model,
            mode,
            (context) => [
                context.contextSize,
                context.batchSize,
                context.flashAttention,
                context.kvCacheKeyType,
                context.kvCacheValueType,
                context.totalSequences,
                context.sequencesLeft,
                context.idealThreads,
                context.currentThreads,
                context.model === model,
                context.disposed,
                context.getAllocatedContextSize()
            ],
            options
        );
    });

    it.each([
        ["flash attention", {flashAttention: true}],
        [
            "a quantised cache",
            {flashAttention: true, experimentalKvCacheKeyType: "Q8_0", experimentalKvCacheValueType: "Q8_0"}
        ],
        ["small batches", {batchSize: 20}]
    ] as [string, LlamaContextOptions][])("the text is the same with %s", async (_, options) => {
        const {wanted} = await likePlain(model, mode, evaluated, options);
        expect(wanted.length).toBeGreaterThan(10);
    });

    it("the text is the same with swaFullCache", async () => {
        const windowed = await loadZooModel(architectures.gemma3 as (typeof architectures)[string]);
        onTestFinished(() => windowed.dispose());
        const run = (context: LlamaContext) => generate(context.getSequence(), windowed.tokenize("once there was"), 60);
        await likePlain(windowed, mode, run, {swaFullCache: true, flashAttention: false});
    });

    it("the text is the same with a LoRA adapter, and another than without", async () => {
        const tiny = await loadTinyModel();
        const folder = mkdtempSync(join(tmpdir(), "mara-lora-"));
        onTestFinished(() => rmSync(folder, {recursive: true}));
        const filePath = join(folder, "adapter.gguf");
        writeLora(filePath, tiny.embeddingVectorSize);
        const run = (context: LlamaContext) => generate(context.getSequence(), tiny.tokenize("once there was"), 24);
        const {wanted: without} = await likePlain(tiny, mode, run, precise);
        for (const lora of [filePath, {adapters: [{filePath, scale: 0.5}]}]) {
            const {wanted} = await likePlain(tiny, mode, run, {...precise, lora});
            expect(wanted).not.toEqual(without);
        }
    });

    it("a context that finds no memory is tried again, smaller", async () => {
        const options = {
            contextSize: {min: 128, max: 512},
            failedCreationRemedy: {retries: 1, autoContextSizeShrink: 0.5}
        };
        // node-llama-cpp itself holds a model fast once a context of it has failed, so this one is not disposed.
        const own = await (await testLlama()).loadModel({modelPath: demoModelPath});
        const sizes: number[] = [];
        for (const create of [
            () => own.createContext({...base, ...options}),
            async () => (await align(own, {...base, ...options, agent, mode})).context
        ]) {
            const restore = failOnce(own);
            const context = await create().finally(restore);
            sizes.push(context.contextSize);
            expect((await evaluated(context)).length).toBeGreaterThan(10);
            await context.dispose();
        }
        expect(sizes[0]).toBeLessThan(512);
        expect(sizes[1]).toBe(sizes[0]);
    });

    it("batches are dispatched and ordered as the caller says", async () => {
        for (const itemPrioritizationStrategy of ["firstInFirstOut", "maximumParallelism", "own"] as const) {
            const seen = {dispatches: 0, sorted: 0};
            const batching: LlamaContextOptions["batching"] = {
                dispatchSchedule: (dispatch) => {
                    seen.dispatches++;
                    setImmediate(dispatch);
                },
                itemPrioritizationStrategy:
                    itemPrioritizationStrategy !== "own"
                        ? itemPrioritizationStrategy
                        : ({items, size}) => {
                              seen.sorted++;
                              let left = size;
                              return [...items].reverse().map((item) => {
                                  const processAmount = Math.min(item.tokens.length, left);
                                  left -= processAmount;
                                  return {item, processAmount};
                              });
                          }
            };
            await likePlain(
                model,
                mode,
                async (context) => {
                    const texts = [
                        evaluated(context, {evaluationPriority: 1}),
                        evaluated(context, {evaluationPriority: 5})
                    ];
                    return await Promise.all(texts);
                },
                {sequences: 2, batching}
            );
            expect(seen.dispatches).toBeGreaterThan(3);
            if (itemPrioritizationStrategy === "own") expect(seen.sorted).toBeGreaterThan(0);
        }
    });

    it("a pending batch is dispatched when asked for", async () => {
        await likePlain(
            model,
            mode,
            async (context) => {
                const evaluation = context.getSequence().evaluateWithoutGeneratingNewTokens(prompt());
                const ticks = setInterval(() => context.dispatchPendingBatch(), 1);
                await evaluation.finally(() => clearInterval(ticks));
            },
            {batching: {dispatchSchedule: () => {}}}
        );
    });

    it("timings can be had", async () => {
        await likePlain(
            model,
            mode,
            async (context) => {
                await evaluated(context);
                return await context.printTimings();
            },
            {performanceTracking: true}
        );
    });

    it("a sequence says what it holds", async () => {
        await likePlain(model, mode, async (context) => {
            const sequence = context.getSequence();
            await generate(sequence, prompt(), 12);
            const {usedInputTokens, usedOutputTokens} = sequence.tokenMeter;
            return [
                sequence.nextTokenIndex,
                sequence.contextTokens,
                sequence.contextSize,
                sequence.context === context,
                sequence.model === model,
                sequence.stateCellsStartIndex,
                sequence.isLoadedToMemory,
                sequence.tokenPredictor,
                sequence.tokenPredictions,
                sequence.needsCheckpoints,
                sequence.lastCheckpointIndex,
                sequence.checkpointsMemoryUsage,
                sequence.getRestoreToPrefixIndexEvaluationSize(4),
                sequence.compareContextTokens([...prompt(), 5 as Token]),
                sequence.disposed,
                usedInputTokens,
                usedOutputTokens
            ];
        });
    });

    it("a checkpoint is not taken where none is needed", async () => {
        await likePlain(model, mode, async (context) => {
            const sequence = context.getSequence({checkpoints: {max: 4, interval: 2, maxMemory: 1e6}});
            await generate(sequence, prompt(), 6);
            await sequence.takeCheckpoint();
            return [sequence.lastCheckpointIndex, sequence.checkpointsMemoryUsage];
        });
    });
});

describe.each(modes)("An aligned context differs (%s)", (mode) => {
    it("memory counts the lanes, and a state the hidden states", async () => {
        const plain = await model.createContext(base);
        onTestFinished(() => plain.dispose());
        const {context} = await align(model, {...base, agent, mode});
        for (const one of [plain, context]) await evaluated(one);
        expect(context.stateSize).toBeGreaterThan(plain.stateSize);
        if (mode === "serial") expect(context.memoryUsage).toEqual(plain.memoryUsage);
        else expect(context.memoryUsage.ram).toBeGreaterThan(plain.memoryUsage.ram);
    });

    it("sequences longer than the model was trained for share one cache, which is rounded up once", async () => {
        // node-llama-cpp itself rounds shorter ones up to a multiple of 256.
        const long = {threads: 1, contextSize: 1100, sequences: 2};
        expect(long.contextSize).toBeGreaterThan(model.trainContextSize);
        const plain = await model.createContext(long);
        onTestFinished(() => plain.dispose());
        const {context} = await align(model, {...long, agent, mode});
        expect(plain.getAllocatedContextSize()).toBe(2 * 1280);
        expect(context.getAllocatedContextSize()).toBe(mode === "lanes" ? 2304 : 2 * 1280);
        expect(context.contextSize).toBe(plain.contextSize);
    });

    it("a checkpoint of a model with windows is not restored, and its text is evaluated anew", async () => {
        const windowed = await loadZooModel(architectures.gemma3 as (typeof architectures)[string]);
        onTestFinished(() => windowed.dispose());
        // The layers with windows have 256 cells, so that the text between overwrites those that the erased text needs.
        const options = {...precise, contextSize: 1024, batchSize: 32} as const;
        const run = async (context: LlamaContext) => {
            const sequence = context.getSequence();
            await generate(sequence, windowed.tokenize("once there was"), 60);
            await sequence.takeCheckpoint();
            const at = sequence.nextTokenIndex;
            await generate(sequence, windowed.tokenize("and"), 320);
            const before = sequence.tokenMeter.usedInputTokens;
            await sequence.eraseContextTokenRanges([{start: at, end: sequence.nextTokenIndex}]);
            const tokens = await generate(sequence, windowed.tokenize("so"), 20);
            const {usedInputTokens} = sequence.tokenMeter;
            return {at, anew: usedInputTokens - before, tokens};
        };
        const plain = await windowed.createContext(options);
        onTestFinished(() => plain.dispose());
        const wanted = await run(plain);
        const {context} = await align(windowed, {...options, agent: acceptAll(windowed.embeddingVectorSize), mode});
        expect(await run(context)).toEqual({...wanted, anew: wanted.at + 1});
        expect(wanted.anew).toBe(1);
    });
});
