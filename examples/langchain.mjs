// LangChain. Run: npm install @langchain/core zod, then MODEL=model.gguf AGENT=agent.safetensors node langchain.mjs
import {StringOutputParser} from "@langchain/core/output_parsers";
import {ChatPromptTemplate} from "@langchain/core/prompts";
import {getLlama} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";
import {ChatMara} from "node-llama-mara/langchain";
import {z} from "zod";

const {MODEL = "model.gguf", AGENT = "agent.safetensors", THREADS} = process.env;
const llama = await getLlama(THREADS && {maxThreads: Number(THREADS)});
const model = await llama.loadModel({modelPath: MODEL});
const agent = await MaraAgent.load(AGENT);
const {context} = await createAlignedContext(model, {agent, contextSize: 1024, sequences: 2});
const chat = new ChatMara({context, maxTokens: 64});

const chain = ChatPromptTemplate.fromMessages([["human", "Can I bring my {animal} to the hotel?"]])
    .pipe(chat)
    .pipe(new StringOutputParser());
for await (const text of await chain.stream({animal: "dog"})) process.stdout.write(text);
console.log();
// Two answers at a time, in the two sequences of the context.
console.log(await chain.batch([{animal: "cat"}, {animal: "parrot"}, {animal: "horse"}]));

const schema = z.object({topic: z.enum(["rooms", "food", "parking"]), urgent: z.boolean()});
console.log(await chat.withStructuredOutput(schema).invoke("Sort this: Where can I leave my car?"));
await llama.dispose();
