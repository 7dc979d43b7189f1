import type {LlamaContextSequence, Token, TokenPredictor} from "node-llama-cpp";
import {sequenceInternals} from "../node-llama-cpp/internals.js";
import type {ResolvedSettings} from "../options.js";
import {PredictionAccount} from "./account.js";
import {Predictions} from "./predictions.js";
import type {Runs} from "./runs.js";

/** What of a sequence's state this needs. */
interface PredictingSequence {
    readonly settings: ResolvedSettings;
    predictions?: Predictions;
}

/**
 * Lets a sequence's token predictor say what it expects, for waves to decode along. It takes the place of node-llama-cpp's own use, which samples
 * from predicted tokens before those that they follow are emitted, when penalties do not know these yet.
 * `runs`: undefined where predicted tokens cannot be decoded along, so that the predictor is not asked.
 */
export function drivePredictor(
    sequence: LlamaContextSequence,
    sequences: {_stateOf(id: number): PredictingSequence},
    runs: Runs | undefined
): void {
    const internals = sequenceInternals(sequence);
    const id = internals._sequenceId;
    const account = new PredictionAccount();
    internals._speculativeEvaluate = async function* (tokens, metadata, {tokenPredictor: predictor, ...options}) {
        const owner = {};
        internals._tokenPredictorOwner = owner;
        const predictions = new Predictions(account);
        const isOwner = () => internals._tokenPredictorOwner === owner;
        const evaluation = internals._evaluate.call(sequence, tokens, metadata, options);
        let given: Token | Token[] | undefined;
        try {
            while (true) {
                const {value, done} = await evaluation.next(given);
                if (done) return;
                given = yield value;
                const next = Array.isArray(given) ? given : [given ?? value.token];
                if (runs === undefined || !isOwner()) continue;
                const state = sequences._stateOf(id);
                state.predictions = predictions;
                if (internals._resetTokenPredictor) {
                    await predictor.reset({
                        stateTokens: [...internals._contextTokens, ...next],
                        evaluateOptions: optionsOf(options, state.settings),
                        targetSequence: sequence
                    });
                    if (!isOwner()) continue;
                    internals._resetTokenPredictor = false;
                } else predictor.pushTokens(next);
                if (runs.next(id) !== undefined) continue;
                // By the next turn of the event loop, predictors have taken the tokens in.
                await new Promise((resolve) => setImmediate(resolve));
                const position = internals._nextTokenIndex + next.length;
                const expected = needsOneToken(state.settings) ? [] : await answerOf(predictor, sequence);
                // node-llama-cpp leaves the last place of a context free. A run must not make it shift the text.
                predictions.expect(position, expected.slice(0, Math.max(0, sequence.contextSize - 1 - position)));
            }
        } finally {
            if (isOwner()) {
                delete sequences._stateOf(id).predictions;
                predictor.stop();
            }
            await evaluation.return(undefined);
        }
    };
}

/** Between questions whether a predictor that takes its time goes on, in milliseconds. */
const patience = 10;

/**
 * What the predictor expects. A `DraftSequenceTokenPredictor` that is told of a token which it did not expect breaks off its writing, and may go
 * on only when it is told of further ones, be they none. It never answers once it is disposed, as it is with its sequence.
 */
async function answerOf(predictor: TokenPredictor, sequence: LlamaContextSequence): Promise<readonly Token[]> {
    const answer = predictor.predictTokens();
    if (!(answer instanceof Promise)) return answer;
    return await new Promise((resolve, reject) => {
        const timer = setInterval(() => {
            if (!sequence.disposed) return predictor.pushTokens([]);
            clearInterval(timer);
            resolve([]);
        }, patience);
        answer.then(resolve, reject).finally(() => clearInterval(timer));
    });
}

/** Strategies that weigh all candidates have the next ones in hand before they choose. */
function needsOneToken(settings: ResolvedSettings): boolean {
    return decides(settings) && settings.strategy !== "first";
}

/** True if tokens are decided, rather than drawn by the session's options. */
function decides({enabled, panel}: ResolvedSettings): boolean {
    return enabled && panel.members.length > 0;
}

/** How a draft model is to write: as node-llama-cpp would have it, and while tokens are decided, the most probable ones. */
function optionsOf(
    {contextShiftOptions, grammarEvaluationState, ...options}: Record<string, unknown>,
    settings: ResolvedSettings
): Record<string, unknown> {
    const grammar = typeof grammarEvaluationState === "function" ? grammarEvaluationState() : grammarEvaluationState;
    return {
        ...options,
        ...(decides(settings) && {temperature: 0, xtc: undefined}),
        grammarEvaluationState: (grammar as {clone(): object} | undefined)?.clone(),
        contextShift: contextShiftOptions,
        yieldEogToken: true
    };
}

/** Counts predicted tokens that were decoded as node-llama-cpp does, for `tokenPredictions`. Each that comes true is used at once. */
export function countPredictions(
    sequence: LlamaContextSequence | undefined,
    {validated, refuted}: {validated: number; refuted: number}
): void {
    if (sequence === undefined) return;
    const internals = sequenceInternals(sequence);
    internals._validatedTokenPredictions += validated;
    internals._usedTokenPredictions += validated;
    internals._refutedTokenPredictions += refuted;
}
