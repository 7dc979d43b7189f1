import {DisposedError, type LlamaContextSequence} from "node-llama-cpp";
import type {DecodeQueue} from "../node-llama-cpp/decode-queue.js";
import {decodeParameters, gatherSequence} from "../node-llama-cpp/gather.js";
import {type RowMapper, type SamplerConfig, sequenceInternals} from "../node-llama-cpp/internals.js";
import {measuring} from "./step.js";

/** The state kept of a sequence while it lives. */
export interface ObservedSequence {
    config: SamplerConfig;
    failure?: unknown;
}

/** Sequences whose disposal has begun. */
const leaving = new WeakSet<LlamaContextSequence>();

/** True from the beginning of the sequence's disposal. */
export function isLeaving(sequence: LlamaContextSequence | undefined): boolean {
    return sequence !== undefined && leaving.has(sequence);
}

/**
 * Learns the sampler configuration of each step, and hands a failed decision to whoever awaits the token. `beforeCheckpoint` runs before
 * node-llama-cpp copies the sequence's state, which it does in native code that no hook sees.
 */
export function observeSequence(
    sequence: LlamaContextSequence,
    sequences: {_stateOf(id: number): ObservedSequence},
    queue: DecodeQueue,
    beforeCheckpoint: (id: number) => Promise<void>
): void {
    const internals = sequenceInternals(sequence);
    const id = internals._sequenceId;
    sequence.onDispose.createListener(() => void leaving.add(sequence));
    const resolve = internals._resolveSamplerConfig;
    internals._resolveSamplerConfig = (options) => {
        const config = resolve.call(sequence, options);
        sequences._stateOf(id).config = config;
        return config;
    };
    const measure = internals.controlledEvaluate;
    internals.controlledEvaluate = async (...args) => await measuring.run(true, () => measure.apply(sequence, args));
    const checkpoint = internals._takeCheckpoint;
    internals._takeCheckpoint = async (...args) => {
        if (sequence.needsCheckpoints) await beforeCheckpoint(id);
        return await checkpoint.apply(sequence, args);
    };
    const isKnown = internals._decodeTokens.length === decodeParameters;
    gatherSequence(sequence, queue);
    const decode = internals._decodeTokens;
    internals._decodeTokens = async (...args) => {
        // node-llama-cpp goes on until the disposal has ended, when another sequence may have the number already.
        if (leaving.has(sequence)) throw new DisposedError();
        // An earlier evaluation that was broken off may have left a failure; nobody waits for it any more.
        delete sequences._stateOf(id).failure;
        if (isKnown) args[mapperAt] = measuringAsNow(args[mapperAt] as RowMapper);
        const result = await decode.apply(sequence, args);
        const state = sequences._stateOf(id);
        const {failure} = state;
        if (failure === undefined) return result;
        delete state.failure;
        throw failure;
    };
}

/** Where `_decodeTokens` takes `logitDataMapper`. */
const mapperAt = decodeParameters - 2;

/**
 * Has the mapper measure if its caller does. Its rows are sampled in node-llama-cpp's batch loop, whose asynchronous context is that of whoever
 * asked for a batch when none was under way.
 */
function measuringAsNow(mapper: RowMapper): RowMapper {
    const isMeasuring = measuring.getStore() === true;
    return (...args) => measuring.run(isMeasuring, () => mapper(...args));
}
