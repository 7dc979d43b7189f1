// LangChain's client of OpenAI against mara serve, where nothing but the client is installed.
// Run: npx mara serve, and beside it npm install @langchain/openai @langchain/core zod, then node langchain-openai.mjs
import {ChatOpenAI} from "@langchain/openai";
import {z} from "zod";

// NAME alone is the model, NAME:AGENT the model with that agent.
const {BASE_URL = "http://127.0.0.1:8080/v1", NAME = "demo:agent"} = process.env;
const chat = new ChatOpenAI({model: NAME, apiKey: "any", maxTokens: 64, configuration: {baseURL: BASE_URL}});

for await (const {text} of await chat.stream("Can I bring my dog to the hotel?")) process.stdout.write(text);
console.log();

const schema = z.object({topic: z.enum(["rooms", "food", "parking"]), urgent: z.boolean()});
const sorter = chat.withStructuredOutput(schema, {name: "sorted", method: "jsonSchema"});
console.log(await sorter.invoke("Sort this: Where can I leave my car?"));

const weather = {
    name: "getWeather",
    description: "Current weather of a city",
    schema: z.object({city: z.enum(["Paris", "Rome"])})
};
const {tool_calls} = await chat
    .bindTools([weather], {tool_choice: "getWeather"})
    .invoke("What is the weather in Rome?");
console.log(tool_calls.map(({name, args}) => `${name} in ${args.city}`));
