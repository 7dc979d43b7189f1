import {fileURLToPath} from "node:url";

/** The model and the agent that ship with the package, from lib/demo as from dist/demo. */
export const demoModelPath = fileURLToPath(new URL("../../demo/model.gguf", import.meta.url));
export const demoAgentPath = fileURLToPath(new URL("../../demo/agent.safetensors", import.meta.url));

/** A model this small has nothing to share out: with more threads they mostly wait for each other. */
export const demoThreads = 1;
