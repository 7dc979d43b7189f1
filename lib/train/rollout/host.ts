import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {createContext} from "../../align/aligned-context.js";
import type {Backend} from "../../align/backend/backend.js";
import {type Candidate, CandidateSource} from "../../align/decide/candidates.js";
import type {TopLogits} from "../../align/decide/top-logits.js";
import {
    type AddonSampler,
    contextInternals,
    llamaInternals,
    modelInternals,
    stockContext
} from "../../align/node-llama-cpp/internals.js";
import {withThreads} from "../../align/node-llama-cpp/threads.js";
import type {Mode, ResolvedSettings} from "../../align/options.js";

/** What an engine stands on: the context and backend of an aligned context, driven directly instead of by node-llama-cpp's batches. */
export class RolloutHost {
    readonly context: LlamaContext;
    readonly backend: Backend;
    readonly #settings: ResolvedSettings;
    readonly #stock: ReturnType<typeof stockContext>;
    readonly #source: CandidateSource;
    /** One per row that is read at the same time. */
    readonly #samplers: AddonSampler[] = [];

    private constructor(context: LlamaContext, backend: Backend, settings: ResolvedSettings) {
        this.context = context;
        this.backend = backend;
        this.#settings = settings;
        this.#stock = stockContext(context);
        this.#source = new CandidateSource(context, this.#stock);
        // However the context comes to be disposed, the decode thread ends first.
        const native = contextInternals(context)._ctx;
        const dispose = () => {
            backend.close();
            for (const sampler of this.#samplers.splice(0)) sampler.dispose();
            return this.#stock.dispose();
        };
        Object.defineProperty(native, "dispose", {value: dispose, configurable: true});
    }

    /** @throws MaraError LANES_UNAVAILABLE, LANES_LIMIT */
    static async open(
        model: LlamaModel,
        options: LlamaContextOptions,
        {mode, lanes, settings}: {mode: "auto" | Mode; lanes: number; settings: ResolvedSettings}
    ): Promise<RolloutHost> {
        const {context, backend} = await createContext(model, options, mode, {lanes, defaultLanes: lanes});
        return new RolloutHost(context, backend, settings);
    }

    /** How many of a row's largest logits spare reading it. */
    get top(): number {
        return this.#settings.topK;
    }

    /** Candidates for the tokens that these rows of the last decode lead to, most probable first. */
    async read(rows: readonly {row: number; best: TopLogits | undefined}[]): Promise<Candidate[][]> {
        const {_bindings} = llamaInternals(this.context.model.llama);
        const {_model} = modelInternals(this.context.model);
        while (this.#samplers.length < rows.length) this.#samplers.push(new _bindings.AddonSampler(_model));
        return await Promise.all(
            rows.map(async ({row, best}, i) => {
                const sampler = this.#samplers[i] as AddonSampler;
                return (await this.#source.take(row, sampler, {}, this.#settings, best)).candidates;
            })
        );
    }

    withThreads<T>(run: (threads: number) => Promise<T>): Promise<T> {
        return withThreads(this.context, this.#stock, run);
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
