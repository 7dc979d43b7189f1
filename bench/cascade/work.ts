import type {CascadeOption} from "../../lib/index.js";

export interface AnswerWork {
    modelPath: string;
    /** Undefined: plain generation. */
    agentPath?: string;
    cascade?: CascadeOption;
    sequences: number;
    /** node-llama-cpp's `InputLookupTokenPredictor` on every sequence. */
    predictor: boolean;
    promptsFile: string;
    /** How many of the file's prompts are answered. */
    prompts: number;
    maxTokens: number;
    threads: number;
}

export interface AnswerResult {
    /** End-of-generation tokens are not among them. */
    tokens: number;
    /** From the first prompt to the end of the last answer, prompts included. */
    seconds: number;
    /** Processor time of the process meanwhile. */
    cpuSeconds: number;
    decodesPerToken: number;
    /** Share of the decisions that were the student's alone; null without an agent. */
    byStudent: number | null;
    /** In the order of the prompts. */
    texts: string[];
}
