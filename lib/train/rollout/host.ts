import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {createContext} from "../../align/aligned-context.js";
import type {Backend, HeldRow, PlacedToken} from "../../align/backend/backend.js";
import type {Mode} from "../../align/context-options.js";
import {type Candidate, CandidateSource} from "../../align/decide/candidates.js";
import {logProbabilities} from "../../align/decide/log-probabilities.js";
import {Row} from "../../align/decide/row.js";
import {
    type AddonSampler,
    contextInternals,
    type DetailedSample,
    llamaInternals,
    modelInternals,
    stockContext
} from "../../align/node-llama-cpp/internals.js";
import {Threads} from "../../align/node-llama-cpp/threads.js";
import type {ResolvedSettings} from "../../align/options.js";

/** An engine's foundation: the context and backend of an aligned context, driven directly instead of by node-llama-cpp's batches. */
export class RolloutHost {
    readonly context: LlamaContext;
    readonly backend: Backend;
    readonly threads: Threads;
    readonly #settings: ResolvedSettings;
    readonly #overVocabulary: boolean;
    readonly #stock: ReturnType<typeof stockContext>;
    readonly #source: CandidateSource;
    readonly #sampler: AddonSampler;

    private constructor(context: LlamaContext, backend: Backend, settings: ResolvedSettings, overVocabulary: boolean) {
        this.context = context;
        this.backend = backend;
        this.#settings = settings;
        this.#overVocabulary = overVocabulary;
        this.#stock = stockContext(context);
        this.threads = new Threads(context, this.#stock);
        this.#source = new CandidateSource(context, this.#stock);
        const {_bindings} = llamaInternals(context.model.llama);
        this.#sampler = new _bindings.AddonSampler(modelInternals(context.model)._model);
        // The decode thread must end first, however the context comes to be disposed.
        const native = contextInternals(context)._ctx;
        const dispose = () => {
            backend.close();
            this.#sampler.dispose();
            return this.#stock.dispose();
        };
        Object.defineProperty(native, "dispose", {value: dispose, configurable: true});
    }

    /** @throws MaraError LANES_UNAVAILABLE, LANES_LIMIT */
    static async open(
        model: LlamaModel,
        options: LlamaContextOptions,
        {
            mode,
            lanes,
            settings,
            overVocabulary
        }: {mode: "auto" | Mode; lanes: number; settings: ResolvedSettings; overVocabulary: boolean}
    ): Promise<RolloutHost> {
        const {context, backend} = await createContext(model, options, mode, {lanes, defaultLanes: lanes});
        return new RolloutHost(context, backend, settings, overVocabulary);
    }

    /** Candidates for the token after `token`, most probable first. The row is free afterwards. */
    async read(held: HeldRow, token: PlacedToken): Promise<Candidate[]> {
        const row = new Row(token, held);
        try {
            const {candidates} = await this.#source.take(row, this.#sampler, {}, this.#settings);
            if (!this.#overVocabulary) return candidates;
            const logs = await this.#logProbabilities(row, candidates);
            return candidates.map((candidate, rank) => ({
                ...candidate,
                vocabularyLog: (logs[rank] as number) / this.#settings.temperature
            }));
        } finally {
            row.free();
        }
    }

    /** The candidates' log-probabilities over the whole vocabulary. */
    async #logProbabilities(row: Row, candidates: readonly Candidate[]): Promise<number[]> {
        const logits = row.logits();
        if (logits !== undefined) return logProbabilities(logits, candidates);
        this.#sampler.applyConfig({temperature: 0});
        const sample = await row.read((index) => this.#stock.sampleToken(index, this.#sampler, true));
        const [, pairs = []] = sample as DetailedSample;
        const logs = new Map<number, number>();
        for (let i = 0; i + 1 < pairs.length; i += 2) logs.set(pairs[i] as number, Math.log(pairs[i + 1] as number));
        return candidates.map(({token}) => logs.get(token) as number);
    }

    /** Keeps the context from being disposed while `run` runs. */
    async hold<T>(run: () => Promise<T>): Promise<T> {
        const handle = contextInternals(this.context)._backendContextDisposeGuard.createPreventDisposalHandle();
        try {
            return await run();
        } finally {
            handle.dispose();
        }
    }
}
