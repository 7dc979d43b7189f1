// An answer as JSON of a schema. Run: MODEL=model.gguf AGENT=agent.safetensors node json.mjs
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";

const {MODEL = "model.gguf", AGENT = "agent.safetensors", THREADS} = process.env;
const llama = await getLlama(THREADS && {maxThreads: Number(THREADS)});
const model = await llama.loadModel({modelPath: MODEL});
const agent = await MaraAgent.load(AGENT);
const {context} = await createAlignedContext(model, {agent, contextSize: 1024});

const grammar = await llama.createGrammarForJsonSchema({
    type: "object",
    properties: {topic: {enum: ["rooms", "food", "parking"]}, urgent: {type: "boolean"}}
});
const session = new LlamaChatSession({contextSequence: context.getSequence()});
const text = await session.prompt("Sort this request: Where can I leave my car?", {grammar, maxTokens: 64});
console.log(grammar.parse(text));
await llama.dispose();
