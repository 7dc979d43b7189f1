import type {LlamaContext, LlamaContextSequence} from "node-llama-cpp";
import {MaraError} from "../../errors.js";
import {hasRecurrentState} from "./alignable.js";
import {contextInternals, llamaInternals, modelInternals, sequenceInternals} from "./internals.js";

const contextMethods = [
    "initBatch",
    "addToBatch",
    "decodeBatch",
    "sampleToken",
    "setThreads",
    "getThreads",
    "getEmbedding",
    "removeTokenCellsFromSequence",
    "getSequenceKvCacheMinPosition",
    "getSequenceKvCacheMaxPosition",
    "disposeSequence",
    "dispose"
];
const contextPrivates = [
    "_dispatchErrorForQueuedDecodesAndDequeue",
    "_decodeTokens",
    "_scheduleDecode",
    "_scheduleToFreeReservedThreads",
    "_reclaimUnusedSequenceId"
];
const sequenceMethods = ["_resolveSamplerConfig", "_decodeTokens", "controlledEvaluate"];

/**
 * Checks that the private parts of node-llama-cpp that both modes need are there. Their behaviour cannot be seen from outside; the
 * versions with which it was tested are listed in docs/compatibility.md.
 * @throws MaraError UNSUPPORTED_VERSION
 */
export function requireContextInternals(context: LlamaContext): void {
    const {model} = context;
    const bindings = llamaInternals(model.llama)._bindings;
    requireMethods("AddonContext", contextInternals(context)._ctx, contextMethods);
    requireMethods("LlamaContext", contextInternals(context), contextPrivates);
    if (!Array.isArray(contextInternals(context)._queuedDecodes)) throw unsupported("LlamaContext._queuedDecodes");
    requireMethods("bindings", bindings, ["AddonContext", "AddonSampler", "AddonGrammarEvaluationState"]);
    requireMethods("AddonSampler", bindings.AddonSampler.prototype, ["applyConfig", "dispose"]);
    requireMethods("AddonSampler", bindings.AddonSampler, ["acceptGrammarEvaluationStateToken"]);
    if (hasRecurrentState(model)) {
        requireMethods("AddonContext", contextInternals(context)._ctx, ["restoreCheckpoint"]);
        requireMethods("bindings", bindings, ["AddonContextSequenceCheckpoint"]);
    }
    if (typeof modelInternals(model)._model !== "object") throw unsupported("LlamaModel._model");
}

/** @throws MaraError UNSUPPORTED_VERSION */
export function requireSequenceInternals(sequence: LlamaContextSequence): void {
    const ofState = hasRecurrentState(sequence.model) ? ["_takeCheckpoint"] : [];
    const ofPredictor = sequence.tokenPredictor == null ? [] : ["_evaluate", "_speculativeEvaluate"];
    const needed = [...sequenceMethods, ...ofState, ...ofPredictor];
    requireMethods("LlamaContextSequence", sequenceInternals(sequence), needed);
    if (typeof sequenceInternals(sequence)._sequenceId !== "number")
        throw unsupported("LlamaContextSequence._sequenceId");
}

function requireMethods(owner: string, object: object | undefined, names: readonly string[]): void {
    for (const name of names)
        if (typeof (object as Record<string, unknown> | undefined)?.[name] !== "function")
            throw unsupported(`${owner}.${name}`);
}

function unsupported(member: string): MaraError {
    return new MaraError(
        "UNSUPPORTED_VERSION",
        `This version of node-llama-cpp has no ${member}, which alignment stands on. ` +
            "Install a version that docs/compatibility.md lists, or a newer node-llama-mara."
    );
}
