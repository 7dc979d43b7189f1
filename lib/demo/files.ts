/** The files that ship with the package under the name `demo`: a model, an agent, prompts and pairs. */
import {fileURLToPath} from "node:url";

/** From lib/demo as from dist/demo. */
const inDemo = (file: string) => fileURLToPath(new URL(`../../demo/${file}`, import.meta.url));

export const demoModelPath = inDemo("model.gguf");
export const demoAgentPath = inDemo("agent.safetensors");

/** Understood wherever a model, an agent, prompts, pairs or a reward is asked for. A file of that name is `./demo`. */
export const demoName = "demo";

const files = {
    model: demoModelPath,
    agent: demoAgentPath,
    /** Prompts that were not used in training. */
    prompts: inDemo("prompts/held-out.jsonl"),
    trainingPrompts: inDemo("prompts/train.jsonl"),
    pairs: inDemo("prompts/pairs.jsonl")
} as const;

/** `path`, or the demo's file where it is `demo`. */
export function orDemo(path: string, what: keyof typeof files): string {
    return path === demoName ? files[what] : path;
}

/** A model this small has no work to share out: more threads would mostly wait for each other. */
export const demoThreads = 1;
