import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {createContext} from "../../align/aligned-context.js";
import type {Backend, HeldRow, PlacedToken} from "../../align/backend/backend.js";
import {type Candidate, CandidateSource} from "../../align/decide/candidates.js";
import {Row} from "../../align/hook/row.js";
import {
    type AddonSampler,
    contextInternals,
    llamaInternals,
    modelInternals,
    stockContext
} from "../../align/node-llama-cpp/internals.js";
import {withThreads} from "../../align/node-llama-cpp/threads.js";
import type {Mode, ResolvedSettings} from "../../align/options.js";

/** An engine's foundation: the context and backend of an aligned context, driven directly instead of by node-llama-cpp's batches. */
export class RolloutHost {
    readonly context: LlamaContext;
    readonly backend: Backend;
    readonly #settings: ResolvedSettings;
    readonly #stock: ReturnType<typeof stockContext>;
    readonly #source: CandidateSource;
    readonly #sampler: AddonSampler;

    private constructor(context: LlamaContext, backend: Backend, settings: ResolvedSettings) {
        this.context = context;
        this.backend = backend;
        this.#settings = settings;
        this.#stock = stockContext(context);
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
        {mode, lanes, settings}: {mode: "auto" | Mode; lanes: number; settings: ResolvedSettings}
    ): Promise<RolloutHost> {
        const {context, backend} = await createContext(model, options, mode, {lanes, defaultLanes: lanes});
        return new RolloutHost(context, backend, settings);
    }

    /** Candidates for the token after `token`, most probable first. The row is free afterwards. */
    async read(held: HeldRow, token: PlacedToken): Promise<Candidate[]> {
        const row = new Row(token, held);
        try {
            return (await this.#source.take(row, this.#sampler, {}, this.#settings)).candidates;
        } finally {
            row.free();
        }
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
