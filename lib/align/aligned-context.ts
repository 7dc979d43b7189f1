import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {invalidArgument, MaraError} from "../errors.js";
import {Aligner, requireJudges, requireLanesForGuides} from "./aligner.js";
import {createLanesContext} from "./backend/attach.js";
import type {Backend} from "./backend/backend.js";
import {KeptStates} from "./backend/kept-states.js";
import {SerialBackend} from "./backend/serial-backend.js";
import {Cascades} from "./cascade/cascade.js";
import {type AlignedContextOptions, checkContextOptions, pickSettings} from "./context-options.js";
import {CandidateSource} from "./decide/candidates.js";
import {Counters} from "./decide/stats.js";
import {Beside} from "./guides/further-sequences.js";
import {type GuideHost, hostGuides} from "./guides/host.js";
import {ownPrompts} from "./guides/model-guide.js";
import {Ahead} from "./hook/ahead.js";
import {ContextHook, type HookParts} from "./hook/context-hook.js";
import {observeSequence} from "./hook/observe-sequence.js";
import {Texts} from "./hook/texts.js";
import {hasRecurrentState, requireAlignable} from "./node-llama-cpp/alignable.js";
import {requireContextInternals, requireSequenceInternals} from "./node-llama-cpp/compatibility.js";
import {DecodeQueue} from "./node-llama-cpp/decode-queue.js";
import {contextInternals, llamaInternals, stockContext} from "./node-llama-cpp/internals.js";
import {newContext} from "./node-llama-cpp/new-context.js";
import {Threads} from "./node-llama-cpp/threads.js";
import {resolveSettings} from "./options.js";
import {countPredictions, drivePredictor} from "./predict/drive-predictor.js";
import {decodeExpected} from "./predict/expected-batch.js";
import {Runs} from "./predict/runs.js";
import {needStates} from "./steer/guide.js";
import {warnOnce} from "./warn-once.js";
import {FixedWaves, LearnedWaves, type WaveScheduler} from "./wave/scheduler.js";
import {Waves} from "./wave/waves.js";

/** A larger batch costs more time on a CPU, so more lanes than this would stand idle. */
const cpuLanes = 15;

/**
 * Creates a context whose sequences generate aligned text. Everything that takes a `LlamaContext` or a
 * `LlamaContextSequence` works with it: sessions, completions, grammars, function calling, raw evaluation.
 *
 * The session's `temperature`, `topK`, `topP`, `minP`, `seed` and `xtc` are not used while the aligner is enabled: candidates
 * are drawn with `options.candidates` instead. Grammar, token bias, repeat and DRY penalties apply. `probabilities` and `confidence` of
 * `evaluateWithMetadata` are of the candidates.
 *
 * @throws MaraError INVALID_ARGUMENT, AGENT_DISPOSED, AGENT_WIDTH, AGENT_FORMAT, MODEL_UNSUPPORTED, LANES_UNAVAILABLE, LANES_LIMIT, CONTEXT_FAILED,
 *   NATIVE_ADDON, UNSUPPORTED_VERSION; what the guides' `open` throws: MODEL_NOT_FOUND, GUIDE_VOCABULARY, VALUE_NETWORK; the reason of `createSignal`
 */
export async function createAlignedContext(
    model: LlamaModel,
    options: AlignedContextOptions
): Promise<{context: LlamaContext; aligner: Aligner}> {
    const {settings: given, others} = pickSettings(checkContextOptions(options));
    const {mode = "auto", lanes, waves = "auto", batches = "auto", ...contextOptions} = others;
    const scheduler = waves === "auto" ? new LearnedWaves() : new FixedWaves(waves);
    requireAlignable(model);
    const isNamed = (["agent", "agents", "judge"] as const).some((name) => name in given);
    if (isNamed || !given.guides?.length) requireJudges(given, model);
    const settings = resolveSettings(given);
    const wanted = Math.max(1, settings.topK - 1);
    const prompts = ownPrompts(settings.guides, model);
    const request = {
        lanes,
        learnsWaves: waves === "auto",
        batches,
        defaultLanes: model.llama.gpu === false ? Math.min(wanted, cpuLanes) : wanted,
        prompts: prompts.map(({tokens}) => tokens.length)
    };
    const {context, backend} = await createContext(model, contextOptions, mode, request);
    const beside = new Beside(context, backend, prompts);
    const guideHost = hostGuides(context, contextOptions, beside);
    try {
        requireContextInternals(context);
        requireLanesForGuides(settings.guides, backend.mode);
        await beside.open();
        for (const guide of settings.guides) await guide.open?.(context);
    } catch (error) {
        await closeGuides(guideHost);
        await context.dispose();
        throw error;
    }
    const aligner = new Aligner(context, backend.mode, given);
    const cascades = new Cascades(model, backend);
    await cascades.of(aligner._settings);
    install(context, backend, {scheduler, aligner, cascades, guideHost});
    aligners.set(context, aligner);
    return {context, aligner};
}

const aligners = new WeakMap<LlamaContext, Aligner>();

/** @internal The aligner of a context that `createAlignedContext` made; undefined for others. */
export function alignerOf(context: LlamaContext): Aligner | undefined {
    return aligners.get(context);
}

/** @internal A context and what decodes in it, nothing replaced yet. */
export async function createContext(
    model: LlamaModel,
    options: Parameters<LlamaModel["createContext"]>[0] & object,
    mode: "auto" | "lanes" | "serial",
    request: Parameters<typeof createLanesContext>[2]
): Promise<{context: LlamaContext; backend: Backend}> {
    if (mode !== "serial") {
        try {
            return await createLanesContext(model, options, request);
        } catch (error) {
            if (mode === "lanes" || !(error instanceof MaraError) || error.code !== "LANES_UNAVAILABLE") throw error;
            warnOnce(`node-llama-mara uses its slower serial mode: ${error.message}`);
        }
    }
    if (request.batches === "alone") throw invalidArgument("batches", '"auto" or "whole" in serial mode', "alone");
    // This asks for hidden states by node-llama-cpp's own switch for embedding contexts; no memory is touched.
    const context = await newContext(model, {...options, _embeddings: true} as typeof options);
    const shape = {
        batchSize: context.batchSize,
        sequences: context.totalSequences,
        tiled: model.llama.gpu === false
    };
    return {context, backend: new SerialBackend(stockContext(context), shape, keptStates(context))};
}

function keptStates(context: LlamaContext): KeptStates | undefined {
    if (!hasRecurrentState(context.model)) return undefined;
    const {AddonContextSequenceCheckpoint} = llamaInternals(context.model.llama)._bindings;
    return new KeptStates(stockContext(context), contextInternals(context)._ctx, AddonContextSequenceCheckpoint);
}

async function closeGuides({opened}: GuideHost): Promise<void> {
    for (const close of opened) await close();
    opened.clear();
}

interface Parts {
    scheduler: WaveScheduler;
    aligner: Aligner;
    cascades: Cascades;
    guideHost: GuideHost;
}

function install(context: LlamaContext, backend: Backend, {scheduler, aligner, cascades, guideHost}: Parts): void {
    const stock = stockContext(context);
    const counters = new Counters(aligner._stats, aligner);
    const threads = new Threads(context, stock);
    const {beside} = guideHost;
    const runs = new Runs(backend, (id, predictions) => countPredictions(aligner._stateOf(id).sequence, predictions));
    const parts: HookParts = {
        sequences: aligner,
        counters,
        candidates: new CandidateSource(context, stock),
        waves: new Waves({backend, scheduler, counters, threads, runs, beside}),
        ahead: new Ahead(backend, runs),
        cascades,
        texts: new Texts(),
        beside,
        width: context.model.embeddingVectorSize,
        keepStates: () => backend.keepStates(),
        decodeExpected: (batch, expecting) => decodeExpected(batch, expecting, {backend, scheduler, threads, runs})
    };
    if (needStates(aligner._settings.guides)) parts.keepStates();
    const queue = new DecodeQueue(context);
    const hook = new ContextHook(stock, backend, parts, queue);
    const {dispose} = hook.methods;
    const disposeAfterGuides = async () => {
        await closeGuides(guideHost);
        return await (dispose as () => Promise<void>)();
    };
    for (const [name, value] of Object.entries({...hook.methods, dispose: disposeAfterGuides}))
        Object.defineProperty(contextInternals(context)._ctx, name, {value, configurable: true});

    const getSequence = context.getSequence;
    context.getSequence = (options = {}) => {
        const sequence = getSequence.call(context, options);
        requireSequenceInternals(sequence);
        aligner._begin(sequence);
        if (sequence.tokenPredictor != null) drivePredictor(sequence, aligner, backend.judgesRuns ? runs : undefined);
        queue.observe(sequence);
        observeSequence(sequence, aligner, queue, async (id) => {
            if (backend.recurrent) await hook.withoutAhead(id);
        });
        return sequence;
    };
    context.onDispose.createListener(() => aligner.dispose());
}
