// The AI SDK. Run: npm install ai zod, then MODEL=model.gguf AGENT=agent.safetensors node ai-sdk.mjs
import {generateText, Output, streamText, tool} from "ai";
import {getLlama} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";
import {mara} from "node-llama-mara/ai-sdk";
import {z} from "zod";

const {MODEL = "model.gguf", AGENT = "agent.safetensors", THREADS} = process.env;
const llama = await getLlama(THREADS && {maxThreads: Number(THREADS)});
const model = await llama.loadModel({modelPath: MODEL});
const agent = await MaraAgent.load(AGENT);
const {context} = await createAlignedContext(model, {agent, contextSize: 1024, sequences: 2});
const languageModel = mara(context);

const prompt = "Can I bring my dog to the hotel?";
const streamed = streamText({model: languageModel, prompt, maxOutputTokens: 64});
for await (const text of streamed.textStream) process.stdout.write(text);
const {decisions} = (await streamed.providerMetadata).mara;
console.log(`\n${decisions.filter(({chosenRank}) => chosenRank > 0).length} tokens are not the model's first choice`);

const schema = z.object({topic: z.enum(["rooms", "food", "parking"]), urgent: z.boolean()});
const sorted = await generateText({
    model: languageModel,
    output: Output.object({schema}),
    prompt: "Sort this: Where can I leave my car?"
});
console.log(sorted.output);

const {toolResults} = await generateText({
    model: languageModel,
    prompt: "What is the weather in Paris?",
    tools: {
        getWeather: tool({
            description: "Current weather of a city",
            inputSchema: z.object({city: z.enum(["Paris", "Rome"])}),
            execute: ({city}) => `21 degrees in ${city}`
        })
    },
    toolChoice: "required"
});
console.log(toolResults.map(({output}) => output));
await llama.dispose();
