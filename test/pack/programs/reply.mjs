import {getLlama, LlamaChatSession} from "node-llama-cpp";
import {createAlignedContext, MaraAgent} from "node-llama-mara";

/** The demo model's greedy reply, aligned; the same wherever and however often it is asked. */
export async function openReply() {
    const llama = await getLlama({gpu: false, build: "never"});
    const model = await llama.loadModel({modelPath: "model.gguf"});
    const agent = await MaraAgent.load("agent.safetensors");
    return async function reply(options = {}) {
        const {context} = await createAlignedContext(model, {agent, contextSize: 512, threads: 1});
        const session = new LlamaChatSession({contextSequence: context.getSequence()});
        const text = await session.prompt("When does the ferry to Skerra leave?", {maxTokens: 24, ...options});
        await context.dispose();
        return text;
    };
}
