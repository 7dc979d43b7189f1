import {LlamaChatSession, type LlamaContext} from "node-llama-cpp";

/** The first answer of a new chat session in the context, up to 12 tokens; its sequence is given back. */
export async function sessionAnswer(context: LlamaContext, prompt: string, systemPrompt?: string): Promise<string> {
    const sequence = context.getSequence();
    const session = new LlamaChatSession({contextSequence: sequence, ...(systemPrompt && {systemPrompt})});
    const answer = await session.prompt(prompt, {maxTokens: 12});
    session.dispose({disposeSequence: true});
    return answer;
}
