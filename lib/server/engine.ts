/** The model, its context and agents, and what serves requests in them. */
import {basename} from "node:path";
import type {ChatWrapper, LlamaContext, LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import {MaraAgent} from "../agent/agent.js";
import {createAlignedContext} from "../align/aligned-context.js";
import type {Aligner} from "../align/aligner.js";
import {modelInternals} from "../align/node-llama-cpp/internals.js";
import {demoModelPath, demoName} from "../demo/files.js";
import {MaraError} from "../errors.js";
import {wrapperOf} from "../generation/prompt-tokens.js";
import {openModelFile} from "../train/run/model.js";
import {ApiError} from "./api-error.js";
import type {ResolvedOptions} from "./options.js";
import {Scheduler} from "./scheduler.js";
import {Tap} from "./tap.js";

/** The types of tokens that are looked for as texts before anything else: unknown, control, user-defined. */
const partitioning = [2, 3, 4];

/** Characters that llama.cpp may look through for special tokens: behind each that it finds it looks through the rest of the text again. */
const mostSearched = 2 ** 28;

export class Engine {
    readonly model: LlamaModel;
    readonly context: LlamaContext;
    /** Undefined where the server has no agents. */
    readonly aligner: Aligner | undefined;
    readonly name: string;
    readonly agents: ReadonlyMap<string, MaraAgent>;
    readonly scheduler: Scheduler;
    readonly wrapper: ChatWrapper;
    /** Seconds since 1970. */
    readonly created = Math.floor(Date.now() / 1000);
    readonly #taps = new WeakMap<LlamaContextSequence, Tap>();
    readonly #closing: (() => unknown)[];
    #special: string[] | undefined;

    private constructor(parts: {
        model: LlamaModel;
        context: LlamaContext;
        aligner: Aligner | undefined;
        name: string;
        agents: ReadonlyMap<string, MaraAgent>;
        queue: number;
        closing: (() => unknown)[];
    }) {
        const {model, context, aligner, name, agents, queue, closing} = parts;
        this.model = model;
        this.context = context;
        this.aligner = aligner;
        this.name = name;
        this.agents = agents;
        this.wrapper = wrapperOf(model);
        this.scheduler = new Scheduler(context, queue);
        this.#closing = closing;
    }

    /** @throws MaraError as the loading of models and agents and `createAlignedContext` do */
    static async open(options: ResolvedOptions): Promise<Engine> {
        const closing: (() => unknown)[] = [];
        try {
            const agents = new Map<string, MaraAgent>();
            for (const [name, source] of Object.entries(options.agents)) {
                const agent = source instanceof MaraAgent ? source : await MaraAgent.load(source);
                if (agent !== source) closing.unshift(() => agent.dispose());
                agents.set(name, agent);
            }
            const model = await openModel(options.model, closing);
            const {parallel: sequences, contextSize, threads, mode, queue} = options;
            const shape = {sequences, contextSize: {max: contextSize}, ...(threads === undefined ? {} : {threads})};
            const [agent] = agents.values();
            const {context, aligner} =
                agent === undefined
                    ? {context: await model.createContext(shape), aligner: undefined}
                    : await createAlignedContext(model, {agent, enabled: false, mode, ...shape});
            closing.unshift(() => context.dispose());
            // Agents besides the first are checked too, before anyone asks for them.
            for (const other of agents.values()) aligner?.configure({agent: other});
            if (agent !== undefined) aligner?.configure({agent});
            const name = options.name ?? nameOf(model);
            return new Engine({model, context, aligner, name, agents, queue, closing});
        } catch (error) {
            for (const close of closing) await close();
            throw error;
        }
    }

    /** Names that the field `model` may have: the model's alone, and with each agent's behind a colon. */
    get modelNames(): string[] {
        return [this.name, ...[...this.agents.keys()].map((agent) => `${this.name}:${agent}`)];
    }

    tapOf(sequence: LlamaContextSequence): Tap {
        const tap = this.#taps.get(sequence) ?? new Tap(sequence, this.aligner);
        this.#taps.set(sequence, tap);
        return tap;
    }

    /** @throws ApiError 400 for a text that llama.cpp would take too long to split, in a call that nothing else runs beside */
    requireTokenizable(text: string, param: string): void {
        const {tokens, token_type: types = []} = this.model.fileInfo.metadata.tokenizer.ggml;
        this.#special ??= tokens.filter((one, i) => one !== "" && partitioning.includes(types[i] ?? 0));
        let found = 0;
        for (const special of this.#special)
            for (let at = text.indexOf(special); at >= 0; at = text.indexOf(special, at + special.length))
                if (++found * text.length > mostSearched)
                    throw new ApiError(400, `${param}: too many special tokens are written in it. Send it in parts.`, {
                        param,
                        code: "invalid_value"
                    });
    }

    /** Most tokens that an answer to these can have. @throws ApiError 400 if there is no room for one */
    roomFor(tokens: readonly Token[], param: string): number {
        const {contextSize} = this.context;
        // node-llama-cpp keeps the last place of a context free.
        const room = contextSize - tokens.length - 1;
        if (tokens.length === 0) throw new ApiError(400, `${param} has no tokens`, {param});
        if (room > 0) return room;
        throw new ApiError(
            400,
            `The context holds ${contextSize} tokens, and ${param} alone has ${tokens.length}. Shorten it, or start the server with a larger context.`,
            {param, code: "context_length_exceeded"}
        );
    }

    async close(): Promise<void> {
        for (const close of this.#closing.splice(0)) await close();
    }
}

async function openModel(given: string | LlamaModel, closing: (() => unknown)[]): Promise<LlamaModel> {
    if (typeof given !== "string") {
        if (given.disposed) throw new MaraError("MODEL_UNSUPPORTED", "The model is disposed. Load it again.");
        return given;
    }
    const {model, close} = await openModelFile(given === demoName ? demoModelPath : given, undefined);
    closing.unshift(close);
    return model;
}

function nameOf(model: LlamaModel): string {
    return basename(modelInternals(model)._modelPath)
        .replace(/\.gguf$/i, "")
        .replaceAll(":", "-");
}
