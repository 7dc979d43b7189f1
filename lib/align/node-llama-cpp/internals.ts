/**
 * The private parts of node-llama-cpp (3.18 to 3.22) that alignment stands on, typed in one place.
 * Other files reach underscored members of node-llama-cpp through these types only.
 */
import type {Llama, LlamaContext, LlamaContextSequence, LlamaModel, Token, TokenPredictor} from "node-llama-cpp";

/** `AddonSampler`: one sampler chain. */
export interface AddonSampler {
    applyConfig(config: SamplerConfig): void;
    dispose(): void;
}

/** The plain object that `LlamaContextSequence._resolveSamplerConfig` builds. */
export interface SamplerConfig {
    temperature?: number;
    minP?: number;
    topK?: number;
    topP?: number;
    seed?: number;
    xtcProbability?: number;
    xtcThreshold?: number;
    dryRepeatPenaltyStrength?: number;
    dryRepeatPenaltyLastTokens?: number;
    dryRepeatPenaltySequenceBreakers?: readonly string[] | false;
    tokenBiasKeys?: Uint32Array;
    tokenBiasValues?: Float32Array;
    grammarEvaluationState?: object;
    repeatPenalty?: number;
    repeatPenaltyMaxTokens?: number;
    repeatPenaltyTokens?: Uint32Array;
    repeatPenaltyPresencePenalty?: number;
    repeatPenaltyFrequencyPenalty?: number;
    readonly [other: string]: unknown;
}

/** The result of `sampleToken` when probabilities, a confidence or logits are asked for. */
export type DetailedSample = [token: number, probabilities?: number[], confidence?: number, logits?: number[]];

/** `[tokens, includeMax, includeMin, includeSelected, includeTop]` */
export type LogitsFilter = [tokens: number[], max: boolean, min: boolean, selected: boolean, top: number];

/** `AddonContext`: the native boundary of a `LlamaContext`. */
export interface AddonContext {
    initBatch(size: number): void;
    addToBatch(
        sequence: number,
        firstPosition: number,
        tokens: Uint32Array,
        outputIndexes: Uint32Array
    ): ArrayLike<number>;
    decodeBatch(): Promise<void>;
    sampleToken(
        row: number,
        sampler: AddonSampler,
        probabilities?: boolean,
        confidence?: boolean,
        logits?: boolean | LogitsFilter,
        totalLogitWeight?: boolean
    ): Promise<number | DetailedSample>;
    setThreads(threads: number): void;
    getThreads(): number;
    getEmbedding(inputTokens: number): Float64Array;
    getContextSize(): number;
    removeTokenCellsFromSequence(sequence: number, start: number, end: number): boolean;
    getSequenceKvCacheMinPosition(sequence: number): number;
    getSequenceKvCacheMaxPosition(sequence: number): number;
    disposeSequence(sequence: number): void;
    restoreCheckpoint(checkpoint: object, lastPosition: number, sequence: number): Promise<boolean>;
    dispose(): Promise<void>;
}

/** `AddonContextSequenceCheckpoint`: a copy of a sequence's recurrent state. */
export interface SequenceCheckpoint {
    init(context: object, sequence: number): Promise<void>;
    dispose(): void;
}

/** The native classes that candidates are drawn with. */
export interface SamplerBindings {
    AddonGrammarEvaluationState: new (existing: object) => object;
    AddonSampler: {
        new (model: object): AddonSampler;
        acceptGrammarEvaluationStateToken(state: object, token: number): void;
    };
}

interface Bindings extends SamplerBindings {
    AddonContext: new (model: object, params: AddonContextParams) => AddonContext;
    AddonContextSequenceCheckpoint: new () => SequenceCheckpoint;
}

export interface AddonContextParams {
    contextSize: number;
    batchSize: number;
    sequences: number;
    swaFullCache?: boolean;
    performanceTracking?: boolean;
}

/** `ThreadsSplitterConsumer`: a context's claim on the threads that all contexts share. */
interface ThreadsConsumer {
    getAllocationToConsume(): ThreadsAllocation | Promise<ThreadsAllocation>;
}
type ThreadsAllocation = [threads: number, handle: {dispose(): void}] | null;

interface LlamaInternals {
    _bindings: Bindings;
}
interface ModelInternals {
    readonly _model: object;
    /** Absolute path of its file. */
    readonly _modelPath: string;
}
/** Tokens of a sequence that wait for the next batches. */
export interface QueuedDecode {
    readonly sequenceId: number;
    /** Whether the row behind each token that is not decoded yet is wanted. */
    readonly logits: readonly unknown[];
    readonly logitDataMapper: RowMapper;
}
export type RowMapper = (...args: unknown[]) => unknown;
interface ContextInternals {
    readonly _ctx: AddonContext;
    readonly _loraAdapters?: ReadonlySet<unknown>;
    readonly _threadSplitterConsumer?: ThreadsConsumer;
    readonly _queuedDecodes: QueuedDecode[];
    _decodeTokens(request: Pick<QueuedDecode, "logits">, mapper: RowMapper): Promise<unknown>;
    _scheduleDecode(): void;
    _scheduleToFreeReservedThreads(): void;
    _reclaimUnusedSequenceId(sequence: number): unknown;
    _dispatchErrorForQueuedDecodesAndDequeue(queued: ReadonlySet<QueuedDecode>, error: Error): void;
    /** The context is not disposed before every handle is. */
    readonly _backendContextDisposeGuard: {createPreventDisposalHandle(): {dispose(): void}};
}
type Evaluation = AsyncGenerator<{token: Token}, void, Token | Token[] | undefined>;

interface SequenceInternals {
    readonly _sequenceId: number;
    _resolveSamplerConfig(options: unknown): SamplerConfig;
    _decodeTokens(...args: unknown[]): Promise<unknown>;
    _takeCheckpoint(...args: unknown[]): Promise<unknown>;
    /** Public, but typed differently in each release. */
    controlledEvaluate(...args: unknown[]): Promise<unknown>;
    /** Generates without a token predictor. */
    _evaluate(tokens: Token[], metadata: object, options: object): Evaluation;
    /** Generates with one. */
    _speculativeEvaluate(
        tokens: Token[],
        metadata: object,
        options: Record<string, unknown> & {tokenPredictor: TokenPredictor}
    ): Evaluation;
    /** Whoever asks the token predictor now. */
    _tokenPredictorOwner: object;
    /** The predictor's text is not the sequence's. */
    _resetTokenPredictor: boolean;
    readonly _contextTokens: readonly Token[];
    readonly _nextTokenIndex: number;
    _usedTokenPredictions: number;
    _validatedTokenPredictions: number;
    _refutedTokenPredictions: number;
}

export const llamaInternals = (llama: Llama): LlamaInternals => llama as unknown as LlamaInternals;
export const modelInternals = (model: LlamaModel): ModelInternals => model as unknown as ModelInternals;
export const contextInternals = (context: LlamaContext): ContextInternals => context as unknown as ContextInternals;
export const sequenceInternals = (sequence: LlamaContextSequence): SequenceInternals =>
    sequence as unknown as SequenceInternals;

/** A context's stock methods, even after a hook has replaced them on the object. */
export function stockContext(context: LlamaContext): AddonContext {
    return new Proxy(contextInternals(context)._ctx, {
        get: (target, name) => {
            const method = Reflect.get(Object.getPrototypeOf(target), name, target);
            return typeof method === "function" ? method.bind(target) : method;
        }
    });
}

export const asToken = (token: number): Token => token as Token;
