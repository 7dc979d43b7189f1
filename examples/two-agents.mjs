// Two agents that judge together, and what their weights do. Run: MODEL=model.gguf AGENT=kind.safetensors SECOND=brief.safetensors node two-agents.mjs
import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";

const {MODEL = "model.gguf", AGENT = "kind.safetensors", SECOND = "brief.safetensors", THREADS} = process.env;
const llama = await getLlama(THREADS && {maxThreads: Number(THREADS)});
const model = await llama.loadModel({modelPath: MODEL});
const first = await MaraAgent.load(AGENT);
const second = await MaraAgent.load(SECOND);
const {context, aligner} = await createAlignedContext(model, {
    agents: [{agent: first}, {agent: second}],
    contextSize: 512
});

const sequence = context.getSequence();
for (const weight of [0, 0.5, 1]) {
    const agents = [
        {agent: first, weight: 1 - weight},
        {agent: second, weight}
    ];
    aligner.configure({agents}, sequence);
    const session = new LlamaChatSession({contextSequence: sequence});
    console.log(weight, await session.prompt("Can I bring my dog to the hotel?", {maxTokens: 64}));
    session.dispose();
    await sequence.clearHistory();
}
await llama.dispose();
