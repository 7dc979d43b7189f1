import {AsyncLocalStorage} from "node:async_hooks";
import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {invalidArgument, MaraError} from "../../errors.js";
import {fromNative, type NativeLaneContext, native} from "../../native.js";
import type {Batches} from "../context-options.js";
import {hasRecurrentState} from "../node-llama-cpp/alignable.js";
import {
    type AddonContextParams,
    contextInternals,
    llamaInternals,
    modelInternals
} from "../node-llama-cpp/internals.js";
import {newContext} from "../node-llama-cpp/new-context.js";
import {withoutOverflowWarning} from "../node-llama-cpp/quiet.js";
import {LanesBackend} from "./lanes-backend.js";
import {isRoundedAlike} from "./rounded-alike.js";

/** llama.cpp's LLAMA_MAX_SEQ. */
const maxSequences = 256;
/** llama.cpp pads contexts to this many cells. */
const cellPadding = 256;
/** llama.cpp decodes the candidates of recurrent models one after the other, so more lanes would only hold more states. */
const lanesIfRecurrent = 1;

export interface LanesRequest {
    /** How many lanes were asked for, or undefined for `defaultLanes` cut to what fits. */
    lanes: number | undefined;
    defaultLanes: number;
    /** The clock decides how many candidates a wave has. Default false. */
    learnsWaves?: boolean;
    /** Default "auto". */
    batches?: Batches;
    /** Lengths of prompts, for each of which every sequence gets a further one, and the prompt one of its own. Default none. */
    prompts?: readonly number[];
}

interface Attempt {
    model: object;
    request: LanesRequest;
    ropeLimit: number | undefined;
    /** The model is recurrent or hybrid: each sequence has another that keeps its state. */
    recurrent: boolean;
    /** The cells per sequence that the context constructed last asked for. */
    cellsPerSequence?: number;
    /** The context constructed last. node-llama-cpp tries again with a smaller one when memory runs out. */
    result?: {context: object; lanes: NativeLaneContext; laneCount: number; extraCells: number; sequences: number};
    problem?: MaraError;
}

const attempts = new AsyncLocalStorage<Attempt>();

/**
 * Creates a context with lanes: between the construction of node-llama-cpp's native context and its `init()`, the layout is
 * verified and a unified KV cache with spare sequences is asked for.
 *
 * @throws MaraError LANES_UNAVAILABLE, LANES_LIMIT, CONTEXT_FAILED; no context is left behind then
 */
export async function createLanesContext(
    model: LlamaModel,
    options: LlamaContextOptions,
    request: LanesRequest
): Promise<{context: LlamaContext; backend: LanesBackend}> {
    const recurrent = hasRecurrentState(model);
    const attempt: Attempt = {model: modelInternals(model)._model, request, ropeLimit: ropeLimit(model), recurrent};
    const create = () => withObservedContexts(model, () => newContext(model, options));
    const isWithinTraining = () => (attempt.cellsPerSequence ?? 0) <= model.trainContextSize;
    const context = await withoutOverflowWarning(model.llama, isWithinTraining, () => attempts.run(attempt, create));
    try {
        if (attempt.problem !== undefined) throw attempt.problem;
        if (attempt.result === undefined || attempt.result.context !== contextInternals(context)._ctx)
            throw new MaraError("LANES_UNAVAILABLE", "node-llama-cpp no longer creates contexts through its bindings");
        const {lanes, laneCount, extraCells, sequences} = attempt.result;
        const tiled = model.llama.gpu === false;
        const {learnsWaves = false, batches = "auto"} = request;
        const {width, batchSize, window} = lanes.attach(tiled, learnsWaves, isRoundedAlike(context), batches);
        const alone = batches === "alone";
        if (alone && (!tiled || window > 0 || recurrent))
            throw invalidArgument(
                "batches",
                '"auto" or "whole" on a GPU, and for models with windows or recurrent layers,',
                batches
            );
        if (width !== model.embeddingVectorSize)
            throw new MaraError(
                "LANES_UNAVAILABLE",
                `the attached model's states have width ${width} where ${model.embeddingVectorSize} was expected`
            );
        const shape = {sequences, lanes: laneCount, extraCells, batchSize, tiled, alone, window, recurrent};
        return {context, backend: new LanesBackend(lanes, shape)};
    } catch (error) {
        await context.dispose();
        throw fromNative(error);
    }
}

const observed = new WeakMap<object, {users: number; stock: object}>();

/** Runs `create` while contexts constructed through this Llama's bindings are seen by the current attempt. */
async function withObservedContexts<T>(model: LlamaModel, create: () => Promise<T>): Promise<T> {
    const llama = llamaInternals(model.llama);
    const state = observed.get(llama) ?? {users: 0, stock: llama._bindings};
    observed.set(llama, state);
    if (state.users++ === 0) llama._bindings = observeContexts(llama._bindings);
    try {
        return await create();
    } finally {
        if (--state.users === 0) {
            llama._bindings = state.stock as typeof llama._bindings;
            observed.delete(llama);
        }
    }
}

function observeContexts<T extends {AddonContext: new (...args: never[]) => object}>(bindings: T): T {
    const observedClass = new Proxy(bindings.AddonContext, {
        construct(target, args, newTarget) {
            const context = Reflect.construct(target, args, newTarget) as object;
            const attempt = attempts.getStore();
            // node-llama-cpp also constructs contexts on another model, to estimate memory.
            if (attempt !== undefined && args[0] === attempt.model)
                prepare(attempt, context, args[1] as AddonContextParams);
            return context;
        }
    });
    return new Proxy(bindings, {
        get: (target, name) => (name === "AddonContext" ? observedClass : Reflect.get(target, name))
    });
}

function prepare(attempt: Attempt, context: object, params: AddonContextParams): void {
    const {sequences, batchSize, contextSize} = params;
    attempt.cellsPerSequence = contextSize / sequences;
    const {recurrent} = attempt;
    // llama.cpp keeps one output row per sequence and allows no more rows than the batch size; one sequence is the cache's own.
    const {prompts = []} = attempt.request;
    const further = prompts.length * (sequences + 1);
    const max = Math.min(maxSequences, batchSize) - (recurrent ? 2 : 1) * sequences - 1 - further;
    const wanted = recurrent ? Math.min(attempt.request.defaultLanes, lanesIfRecurrent) : attempt.request.defaultLanes;
    const {lanes = Math.min(wanted, max)} = attempt.request;
    delete attempt.problem;
    delete attempt.result;
    if (lanes > max || max < 1) {
        attempt.problem = new MaraError(
            attempt.request.lanes === undefined ? "LANES_UNAVAILABLE" : "LANES_LIMIT",
            `${Math.max(1, lanes)} lanes do not fit beside ${sequences + further} sequences: at most ${max} are possible with a batch size of ` +
                `${batchSize} (llama.cpp allows ${maxSequences} sequences and one per place of a batch). ` +
                "Ask for fewer lanes, or raise `batchSize`."
        );
        return;
    }
    const expected = {
        contextSize,
        batchSize,
        sequences,
        swaFull: params.swaFullCache ?? false,
        recurrent,
        noPerf: !params.performanceTracking
    };
    // A further sequence's text is its prompt and what was generated.
    const furtherCells = prompts.reduce((sum, length) => sum + contextSize + (sequences + 1) * length, 0);
    const extraCells = padded(lanes) + padded(furtherCells);
    const limit = attempt.ropeLimit ?? Number.POSITIVE_INFINITY;
    // Such a context gets no lanes, because with them it would give other text than a plain context.
    if (contextSize / sequences <= limit && contextSize + extraCells > limit) {
        attempt.problem = new MaraError(
            "LANES_UNAVAILABLE",
            `the model has other RoPE factors for more than ${limit} tokens, and lanes would take its ${contextSize} of context to ` +
                `${contextSize + extraCells}`
        );
        return;
    }
    try {
        const Lanes = native().LaneContext;
        const laneContext = new Lanes(context, attempt.model, expected, lanes + further, extraCells);
        attempt.result = {context, lanes: laneContext, laneCount: lanes, extraCells, sequences};
    } catch (error) {
        attempt.problem = fromNative(error) as MaraError;
    }
}

function padded(cells: number): number {
    return Math.ceil(cells / cellPadding) * cellPadding;
}

/**
 * Models that hold two sets of RoPE factors pick one by the context size per sequence (llama.cpp: get_rope_factors), of which
 * this is the largest for the first set. A unified cache counts as the context of every sequence. Undefined for other models.
 */
function ropeLimit({fileInfo, trainContextSize}: LlamaModel): number | undefined {
    const isFactors = ({name}: {name: string}) => /(^|\.)rope_factors_(long|short)\./.test(name);
    if (!(fileInfo.fullTensorInfo ?? fileInfo.tensorInfo ?? []).some(isFactors)) return undefined;
    const {rope} = fileInfo.architectureMetadata as {rope?: {scaling?: {original_context_length?: number}}};
    return rope?.scaling?.original_context_length ?? trainContextSize;
}
