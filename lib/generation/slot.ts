import type {LlamaContextSequence, LlamaModel, Token} from "node-llama-cpp";
import type {Aligner} from "../align/aligner.js";
import type {DecisionRecord} from "../align/decide/record.js";
import type {Prompt} from "../prompts/prompts.js";
import type {StopTriggers} from "./prompt-tokens.js";

/** One answer of `answerAll`. */
export interface Answer {
    /** As it was given; a string as `{prompt}`. */
    prompt: Prompt;
    /** Up to the end, or to a stop text of the chat template. */
    text: string;
    /** Index in the context of the answer's first token: its decisions' positions count from there. */
    start: number;
    /** Without the end-of-generation token. */
    tokens: Token[];
    /** "eog" if the model ended the answer, "length" if `maxTokens` did. */
    ended: "eog" | "length";
    /** Decisions in order of position, including the one about the end. Empty on plain contexts. */
    decisions: DecisionRecord[];
}

/** How tokens are drawn on a plain context. An aligned one draws candidates by its aligner's settings. */
export interface SamplingOptions {
    /** Default 0: greedy. */
    temperature?: number;
    /** From 0 to 1. Default: node-llama-cpp's. */
    topP?: number;
    /** 0 takes all tokens. Default: node-llama-cpp's. */
    topK?: number;
    /** From 0 to 1. Default: node-llama-cpp's. */
    minP?: number;
    /** Mixed with each prompt's index. Default 0. */
    seed?: number;
}

/** One prompt to be answered. */
export interface Task {
    prompt: Prompt;
    promptTokens: Token[];
    maxTokens: number;
    sampling: SamplingOptions;
    finish: (answer: Answer) => void;
}

/** One sequence and the answer that it is giving. */
export class Slot {
    readonly #sequence: LlamaContextSequence;
    readonly #model: LlamaModel;
    readonly #aligner: Aligner | undefined;
    readonly #stop: StopTriggers;
    #task: Task | undefined;
    #steps: ReturnType<LlamaContextSequence["evaluate"]> | undefined;
    #tokens: Token[] = [];
    #decisions: DecisionRecord[] = [];
    #ended = false;
    #unlisten: (() => void) | undefined;

    constructor(
        sequence: LlamaContextSequence,
        {model, aligner, stop}: {model: LlamaModel; aligner: Aligner | undefined; stop: StopTriggers}
    ) {
        this.#sequence = sequence;
        this.#model = model;
        this.#aligner = aligner;
        this.#stop = stop;
    }

    get busy(): boolean {
        return this.#task !== undefined;
    }

    /** Reads the prompt but for its last token, which starts the answer. */
    async begin(task: Task): Promise<void> {
        this.#task = task;
        this.#tokens = [];
        this.#decisions = [];
        this.#ended = false;
        const {promptTokens, sampling} = task;
        const head = promptTokens.slice(0, -1);
        if (head.length > 0) await this.#sequence.evaluateWithoutGeneratingNewTokens(head);
        if (this.#aligner !== undefined) {
            // The draws of the random strategy must not depend on earlier answers of this sequence.
            this.#aligner.configure({seed: sampling.seed ?? 0}, this.#sequence);
            this.#unlisten = this.#aligner.onDecision(({sequence: _, ...decision}) => {
                this.#decisions.push(decision);
            }, this.#sequence);
        }
        this.#steps = this.#sequence.evaluate(promptTokens.slice(-1), {...sampling, yieldEogToken: true});
    }

    async step(): Promise<void> {
        const {value} = (await this.#steps?.next()) ?? {};
        if (typeof value !== "number") throw new Error("node-llama-cpp ended the generation without a token");
        if (this.#model.isEogToken(value) || this.#stop.tokens.has(value)) this.#ended = true;
        else this.#tokens.push(value);
    }

    async finishIfEnded(): Promise<void> {
        const task = this.#task;
        if (task === undefined) return;
        const tokens = this.#tokens;
        let text = "";
        if (this.#stop.texts.length > 0 || this.#ended || tokens.length === task.maxTokens) {
            text = this.#model.detokenize(tokens);
            const cut = this.#stop.texts.map((stop) => text.indexOf(stop)).filter((at) => at >= 0);
            if (cut.length > 0) {
                text = text.slice(0, Math.min(...cut));
                while (this.#model.detokenize(tokens).length > text.length) tokens.pop();
                this.#ended = true;
            }
        }
        if (!this.#ended && tokens.length < task.maxTokens) return;
        const decisions = this.#decisions;
        await this.clear();
        const {prompt, promptTokens} = task;
        const ended = this.#ended ? "eog" : "length";
        task.finish({prompt, text, start: promptTokens.length, tokens, ended, decisions});
    }

    /** Leaves the sequence empty. */
    async clear(): Promise<void> {
        this.#unlisten?.();
        this.#unlisten = undefined;
        await this.#steps?.return(undefined);
        this.#steps = undefined;
        this.#task = undefined;
        if (!this.#sequence.disposed && this.#sequence.nextTokenIndex > 0) await this.#sequence.clearHistory();
    }

    dispose(): void {
        this.#sequence.dispose();
    }
}
