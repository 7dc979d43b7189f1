// Answers that stream over HTTP, with Express. Run: npm install express, then MODEL=model.gguf AGENT=agent.safetensors node express.mjs
// Then: curl -N -H "Content-Type: application/json" -d '{"prompt": "Can I bring my dog?"}' http://127.0.0.1:3000/answer
import express from "express";
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";

const {MODEL = "model.gguf", AGENT = "agent.safetensors", THREADS, PORT = "3000"} = process.env;
const llama = await getLlama(THREADS && {maxThreads: Number(THREADS)});
const model = await llama.loadModel({modelPath: MODEL});
const agent = await MaraAgent.load(AGENT);
const {context} = await createAlignedContext(model, {agent, contextSize: 512, sequences: 4});

const app = express();
app.post("/answer", express.json({limit: "100kb"}), async (request, response) => {
    const {prompt} = request.body ?? {};
    if (typeof prompt !== "string") return response.status(400).json({error: "prompt must be a text"});
    if (context.sequencesLeft === 0) return response.status(503).json({error: "All sequences are busy"});
    const session = new LlamaChatSession({contextSequence: context.getSequence(), autoDisposeSequence: true});
    // A client that goes away frees its sequence at the next token.
    const gone = new AbortController();
    response.on("close", () => gone.abort());
    response.type("text/plain");
    try {
        const onTextChunk = (text) => void response.write(text);
        await session.prompt(prompt, {onTextChunk, signal: gone.signal, stopOnAbortSignal: true, maxTokens: 200});
    } finally {
        session.dispose();
        response.end();
    }
});
const server = app.listen(Number(PORT), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
