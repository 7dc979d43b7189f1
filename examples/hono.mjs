// Answers that stream over HTTP, with Hono. Run: npm install hono @hono/node-server, then MODEL=model.gguf AGENT=agent.safetensors node hono.mjs
// Then: curl -N -H "Content-Type: application/json" -d '{"prompt": "Can I bring my dog?"}' http://127.0.0.1:3000/answer
import {serve} from "@hono/node-server";
import {Hono} from "hono";
import {bodyLimit} from "hono/body-limit";
import {streamText} from "hono/streaming";
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";

const {MODEL = "model.gguf", AGENT = "agent.safetensors", THREADS, PORT = "3000", HOST = "127.0.0.1"} = process.env;
const llama = await getLlama(THREADS && {maxThreads: Number(THREADS)});
const model = await llama.loadModel({modelPath: MODEL});
const agent = await MaraAgent.load(AGENT);
const {context} = await createAlignedContext(model, {agent, contextSize: 512, sequences: 4});

const app = new Hono();
app.post("/answer", bodyLimit({maxSize: 100_000}), async (c) => {
    const {prompt} = await c.req.json().catch(() => ({}));
    if (typeof prompt !== "string") return c.json({error: "prompt must be a text"}, 400);
    if (context.sequencesLeft === 0) return c.json({error: "All sequences are busy"}, 503);
    const session = new LlamaChatSession({contextSequence: context.getSequence(), autoDisposeSequence: true});
    return streamText(c, async (stream) => {
        // A client that goes away frees its sequence at the next token.
        const gone = new AbortController();
        stream.onAbort(() => gone.abort());
        try {
            const onTextChunk = (text) => void stream.write(text);
            await session.prompt(prompt, {onTextChunk, signal: gone.signal, stopOnAbortSignal: true, maxTokens: 200});
        } finally {
            session.dispose();
        }
    });
});
serve({fetch: app.fetch, port: Number(PORT), hostname: HOST}, ({port}) => console.log(`http://127.0.0.1:${port}`));
