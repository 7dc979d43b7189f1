// Functions that the model may call. Run: MODEL=model.gguf AGENT=agent.safetensors node functions.mjs
import {defineChatSessionFunction, getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";

const {MODEL = "model.gguf", AGENT = "agent.safetensors", THREADS} = process.env;
const llama = await getLlama(THREADS && {maxThreads: Number(THREADS)});
const model = await llama.loadModel({modelPath: MODEL});
const agent = await MaraAgent.load(AGENT);
const {context} = await createAlignedContext(model, {agent, contextSize: 1024});

const getWeather = defineChatSessionFunction({
    description: "Current weather of a city",
    params: {type: "object", properties: {city: {type: "string"}}},
    handler: ({city}) => ({city, celsius: 21})
});
const session = new LlamaChatSession({contextSequence: context.getSequence()});
const answer = await session.prompt("What is the weather in Paris?", {functions: {getWeather}, maxTokens: 64});
console.log(answer);
await llama.dispose();
