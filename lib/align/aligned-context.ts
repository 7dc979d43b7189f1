import type {LlamaContext, LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {MaraError} from "../errors.js";
import {Aligner, requireAgent} from "./aligner.js";
import {createLanesContext} from "./backend/attach.js";
import type {Backend} from "./backend/backend.js";
import {SerialBackend} from "./backend/serial-backend.js";
import {CandidateSource} from "./decide/candidates.js";
import {ContextHook} from "./hook/context-hook.js";
import {measuring, TokenChooser} from "./hook/token-chooser.js";
import {requireAlignable} from "./node-llama-cpp/alignable.js";
import {requireContextInternals, requireSequenceInternals} from "./node-llama-cpp/compatibility.js";
import {asToken, contextInternals, sequenceInternals, stockContext} from "./node-llama-cpp/internals.js";
import {newContext} from "./node-llama-cpp/new-context.js";
import {withThreads} from "./node-llama-cpp/threads.js";
import {type AlignedContextOptions, checkContextOptions, pickSettings, resolveSettings} from "./options.js";
import {FixedWaves, LearnedWaves, type WaveScheduler} from "./wave/scheduler.js";

/** On a CPU a larger batch costs more time, so more lanes than this would stand idle. */
const cpuLanes = 15;

/**
 * Creates a context whose sequences generate aligned text. Everything that takes a `LlamaContext` or a
 * `LlamaContextSequence` works with it: sessions, completions, grammars, function calling, raw evaluation.
 *
 * The session's `temperature`, `topK`, `topP`, `minP`, `seed` and `xtc` are not used while the aligner is enabled: candidates
 * are drawn with `options.candidates` instead. Grammar, token bias, repeat and DRY penalties apply.
 *
 * @throws MaraError INVALID_ARGUMENT, AGENT_DISPOSED, AGENT_WIDTH, AGENT_FORMAT, MODEL_UNSUPPORTED, LANES_UNAVAILABLE, LANES_LIMIT, CONTEXT_FAILED,
 *   NATIVE_ADDON, UNSUPPORTED_VERSION; the reason of `createSignal`
 */
export async function createAlignedContext(
    model: LlamaModel,
    options: AlignedContextOptions
): Promise<{context: LlamaContext; aligner: Aligner}> {
    const {settings: given, others} = pickSettings(checkContextOptions(options));
    const {mode = "auto", lanes, waves = "auto", ...contextOptions} = others;
    const scheduler = waves === "auto" ? new LearnedWaves() : new FixedWaves(waves);
    requireAlignable(model, contextOptions.swaFullCache);
    requireAgent(given.agent, model.embeddingVectorSize);
    if (model.llama.gpu === "cuda") given.agent._preferCuda();
    const wanted = Math.max(1, resolveSettings(given).topK - 1);
    const request = {lanes, defaultLanes: model.llama.gpu === false ? Math.min(wanted, cpuLanes) : wanted};
    const {context, backend} = await createContext(model, contextOptions, mode, request);
    try {
        requireContextInternals(context);
    } catch (error) {
        await context.dispose();
        throw error;
    }
    const aligner = new Aligner(context, backend.mode, given);
    install(context, backend, scheduler, aligner);
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
    // Hidden states without touching any memory: node-llama-cpp's own switch for embedding contexts.
    const context = await newContext(model, {...options, _embeddings: true} as typeof options);
    return {context, backend: new SerialBackend(stockContext(context), context.batchSize)};
}

const warned = new Set<string>();

function warnOnce(message: string): void {
    if (warned.has(message)) return;
    warned.add(message);
    process.emitWarning(message, "MaraWarning");
}

function install(context: LlamaContext, backend: Backend, scheduler: WaveScheduler, aligner: Aligner): void {
    const {model} = context;
    const addonContext = contextInternals(context)._ctx;
    const stock = stockContext(context);
    const isEndOfGeneration = (token: number) => model.isEogToken(asToken(token));
    const chooser = new TokenChooser({
        backend,
        scheduler,
        stats: aligner._stats,
        candidates: new CandidateSource(context, stock),
        stateOf: (sequence) => aligner._stateOf(sequence),
        isEndOfGeneration,
        samplePlain: (index, sampler, details) =>
            stock.sampleToken(index, sampler, ...(details as [boolean?, boolean?, boolean?, boolean?])),
        onDecision: (decision) => aligner._report(decision),
        withThreads: (run) => withThreads(context, stock, run)
    });
    for (const [name, value] of Object.entries(new ContextHook(stock, backend, chooser).methods))
        Object.defineProperty(addonContext, name, {value, configurable: true});

    const getSequence = context.getSequence;
    context.getSequence = (options = {}) => {
        if (options.tokenPredictor != null)
            throw new MaraError(
                "TOKEN_PREDICTOR",
                "An aligned sequence cannot use a token predictor: predictions skip the decisions. Leave `tokenPredictor` out, " +
                    "or use a plain context."
            );
        const sequence = getSequence.call(context, options);
        requireSequenceInternals(sequence);
        observeSequence(sequence, aligner);
        return sequence;
    };
    context.onDispose.createListener(() => aligner.dispose());
}

/** Learns the sampler configuration of each step, and hands a failed decision to whoever awaits the token. */
function observeSequence(sequence: LlamaContextSequence, aligner: Aligner): void {
    const internals = sequenceInternals(sequence);
    const id = internals._sequenceId;
    aligner._begin(id, sequence);
    const resolve = internals._resolveSamplerConfig;
    internals._resolveSamplerConfig = (options) => {
        const config = resolve.call(sequence, options);
        aligner._stateOf(id).config = config;
        return config;
    };
    const measure = internals.controlledEvaluate;
    internals.controlledEvaluate = async (...args) => await measuring.run(true, () => measure.apply(sequence, args));
    const decode = internals._decodeTokens;
    internals._decodeTokens = async (...args) => {
        // What an evaluation that was broken off left behind is nobody's any more.
        delete aligner._stateOf(id).failure;
        if (decode.length === decodeParameters) {
            if (measuring.getStore() === true) args[mapperAt] = asMeasuring(args[mapperAt] as RowMapper);
            if (sequence.context.totalSequences > 1) args[afterBatchAt] = gathering(args[afterBatchAt] as AfterBatch);
        }
        const result = await decode.apply(sequence, args);
        const state = aligner._stateOf(id);
        const {failure} = state;
        if (failure === undefined) return result;
        delete state.failure;
        throw failure;
    };
}

type RowMapper = (...args: unknown[]) => unknown;
type AfterBatch = ((length: number) => unknown) | undefined;
/** Parameters of `_decodeTokens`, the last two of which are `logitDataMapper` and `afterBatchAction`. */
const decodeParameters = 7;
const mapperAt = decodeParameters - 2;
const afterBatchAt = decodeParameters - 1;

/** `controlledEvaluate` samples in node-llama-cpp's batch loop, which is nobody's asynchronous context. */
function asMeasuring(mapper: RowMapper): RowMapper {
    return (...args) => measuring.run(true, () => mapper(...args));
}

/**
 * node-llama-cpp starts its next batch with whoever waits when the last one ends, before those whose tokens it has just handed
 * out can ask again; sequences once apart would stay apart, and each batch of one would overwrite the rows of the other. So
 * the end of a batch, which waits for this action, is put off to the next turn of the event loop.
 */
function gathering(action: AfterBatch): AfterBatch {
    return async (length) => {
        await action?.(length);
        await new Promise((resolve) => setImmediate(resolve));
    };
}
