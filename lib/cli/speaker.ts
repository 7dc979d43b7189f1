import {LlamaChatSession, type LlamaContextSequence, type LlamaModel} from "node-llama-cpp";
import type {Aligner} from "../align/aligner.js";
import type {DecisionEvent} from "../align/decide/record.js";
import type {AlignerStats} from "../align/decide/stats.js";
import type {TraceSettings} from "../report/token-view.js";
import {type Piece, Trace} from "./trace.js";

export interface SpokenAnswer {
    text: string;
    pieces: Piece[];
    /** Empty for a raw side. */
    decisions: DecisionEvent[];
    /** Generated tokens, counted by node-llama-cpp. */
    tokens: number;
    /** Time from the question to the end of the answer, including the reading of the question. */
    seconds: number;
    aborted: boolean;
}

export interface SpeakOptions {
    maxTokens: number;
    signal?: AbortSignal;
    /** Called with the pieces that were added, and with all so far. */
    onPieces?: (added: readonly Piece[], all: readonly Piece[]) => void;
}

export interface SpeakerOptions extends TraceSettings {
    /** Left out for a raw side. */
    aligner?: Aligner | undefined;
    systemPrompt?: string | undefined;
    /** Called before every answer, with the pieces that it will have. */
    onBegin?: ((question: string, pieces: readonly Piece[]) => void) | undefined;
}

/** One side of a conversation: a chat session on a sequence. It must be the only one of its aligner that decides. */
export class Speaker {
    readonly #sequence: LlamaContextSequence;
    readonly #model: LlamaModel;
    readonly #options: SpeakerOptions;
    #session: LlamaChatSession;

    constructor(sequence: LlamaContextSequence, options: SpeakerOptions = {}) {
        this.#sequence = sequence;
        this.#model = sequence.context.model;
        this.#options = options;
        this.#session = this.#open();
    }

    /** Answers a question. Gives the answer so far if `signal` ends it. The temperature is 0, because the aligner draws candidates by its own settings. */
    async answer(question: string, {maxTokens, signal, onPieces}: SpeakOptions): Promise<SpokenAnswer> {
        const {aligner, onBegin} = this.#options;
        const trace = new Trace(this.#model, this.#options);
        onBegin?.(question, trace.pieces);
        const decisions: DecisionEvent[] = [];
        const generated = () => this.stats()?.generatedTokens ?? 0;
        const before = generated();
        const unlisten = aligner?.onDecision((event) => {
            decisions.push(event);
            trace.decided(event, generated() - before - 1);
        });
        const meter = this.#sequence.tokenMeter.getState();
        const start = performance.now();
        let shown = 0;
        const show = () => {
            const added = trace.pieces.slice(shown);
            shown = trace.pieces.length;
            if (added.length > 0) onPieces?.(added, trace.pieces);
        };
        try {
            const text = await this.#session.prompt(question, {
                maxTokens,
                ...(signal === undefined ? {} : {signal, stopOnAbortSignal: true}),
                onResponseChunk: (chunk) => {
                    trace.received(chunk);
                    show();
                }
            });
            const seconds = (performance.now() - start) / 1000;
            trace.finish();
            show();
            const tokens = this.#sequence.tokenMeter.diff(meter).usedOutputTokens;
            return {text, pieces: trace.pieces, decisions, tokens, seconds, aborted: signal?.aborted === true};
        } finally {
            unlisten?.();
        }
    }

    /** The counters of this side alone; undefined for a raw side. */
    stats(): AlignerStats | undefined {
        return this.#options.aligner?.stats(this.#sequence);
    }

    /** Forgets the conversation. */
    async reset(): Promise<void> {
        this.#session.dispose();
        await this.#sequence.clearHistory();
        this.#session = this.#open();
    }

    #open(): LlamaChatSession {
        const {systemPrompt} = this.#options;
        return new LlamaChatSession({
            contextSequence: this.#sequence,
            ...(systemPrompt === undefined ? {} : {systemPrompt})
        });
    }
}
