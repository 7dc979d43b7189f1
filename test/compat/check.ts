/**
 * One release of node-llama-cpp, tried in a process of its own: `tsx check.ts ENTRY`, where ENTRY is its dist/index.js.
 * Prints one JSON object (`Outcome`).
 */
import {pathToFileURL} from "node:url";
import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {createAlignedContext, MaraAgent, MaraError, type Mode} from "../../lib/index.js";

export interface ModeOutcome {
    /** Accepting everything gave the tokens of plain greedy generation. */
    sameAsPlain?: boolean;
    /** Tokens generated and decodes run while everything is accepted: a token costs one, as in plain generation. */
    tokens?: number;
    decodes?: number;
    /** The tokens that the demo's agent let pass, to be compared between the modes. */
    aligned?: string[];
    /** Decisions in which the agent's choice was not the top candidate. */
    rejections?: number;
    error?: string;
}

export interface Outcome {
    version: string;
    llamaCpp: string;
    /** The mode that `mode: "auto"` took. */
    auto: Mode | "none";
    warnings: string[];
    lanes: ModeOutcome;
    serial: ModeOutcome;
}

const questions = [
    "Can I bring my dog to the hotel?",
    "How do I reset the alarm?",
    "Where is my parcel?",
    "When is breakfast?",
    "Is the pool open?"
];
const options = {contextSize: 256, batchSize: 128, threads: 1} as const;

const {getLlama, getModuleVersion, LlamaChatSession, LlamaLogLevel, resolveChatWrapper} = (await import(
    pathToFileURL(process.argv[2] as string).href
)) as typeof import("node-llama-cpp");
const warnings: string[] = [];
process.on("warning", (warning) => void (warning.name === "MaraWarning" && warnings.push(warning.message)));

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: demoModelPath});
const agent = await MaraAgent.load(demoAgentPath);
// Once: it tries out the model's template in many ways.
const chatWrapper = resolveChatWrapper(model);

const context = await model.createContext(options);
const plain = await answers(context);
await context.dispose();

const outcome: Outcome = {
    version: await getModuleVersion(),
    llamaCpp: llama.llamaCppRelease.release,
    auto: "none",
    warnings,
    lanes: await tryMode(model, "lanes"),
    serial: await tryMode(model, "serial")
};
try {
    const {context, aligner} = await createAlignedContext(model, {...options, agent});
    outcome.auto = aligner.mode;
    await context.dispose();
} catch (error) {
    outcome.warnings.push(describe(error));
}
await new Promise(setImmediate);
console.log(JSON.stringify(outcome));
await llama.dispose();

async function tryMode(model: LlamaModel, mode: Mode): Promise<ModeOutcome> {
    try {
        const {context, aligner} = await createAlignedContext(model, {...options, agent, mode, threshold: 0});
        const accepted = await answers(context);
        const {decodes, generatedTokens} = aligner.stats();
        aligner.configure({threshold: 0.5});
        aligner.resetStats();
        const aligned = await answers(context);
        const {decisions, acceptedRanks} = aligner.stats();
        await context.dispose();
        return {
            sameAsPlain: JSON.stringify(accepted) === JSON.stringify(plain),
            tokens: generatedTokens,
            decodes,
            aligned,
            rejections: decisions - (acceptedRanks[0] ?? 0)
        };
    } catch (error) {
        return {error: describe(error)};
    }
}

async function answers(context: LlamaContext): Promise<string[]> {
    const texts: string[] = [];
    for (const question of questions) {
        const contextSequence = context.getSequence();
        const session = new LlamaChatSession({contextSequence, chatWrapper});
        texts.push(await session.prompt(question, {maxTokens: 48}));
        session.dispose({disposeSequence: false});
        await contextSequence.dispose();
    }
    return texts;
}

function describe(error: unknown): string {
    return error instanceof MaraError ? `${error.code}: ${error.message}` : String(error);
}
