// A worker thread of the soak: one text, with nothing disposed at the end.
import {parentPort, workerData} from "node:worker_threads";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {createAlignedContext} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";

const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: workerData as string});
const agent = randomAgent(model.embeddingVectorSize, 5);
const {context} = await createAlignedContext(model, {agent, mode: "lanes", contextSize: 256, threads: 1});
const tokens: number[] = [];
for await (const token of context.getSequence().evaluate(model.tokenize("The house by the"), {yieldEogToken: true})) {
    tokens.push(token);
    if (tokens.length === 24) break;
}
parentPort?.postMessage(tokens.join());
