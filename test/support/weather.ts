/** A question that a tiny model answers by calling a function, where a scripted judge lets it say the call. */
import {
    defineChatSessionFunction,
    GeneralChatWrapper,
    LlamaChatSession,
    type LlamaContextSequence,
    type LlamaModel,
    type Token,
    TokenBias
} from "node-llama-cpp";
import {firstWord} from "./tiny-model.js";

export const weatherCall = '||call: getWeather({"city": "Paris"})';

/** The session in which the question was asked, and the arguments of every call. */
export async function askForWeather(
    model: LlamaModel,
    contextSequence: LlamaContextSequence
): Promise<{session: LlamaChatSession; calls: unknown[]}> {
    const session = new LlamaChatSession({contextSequence, chatWrapper: new GeneralChatWrapper()});
    const calls: unknown[] = [];
    const getWeather = defineChatSessionFunction({
        description: "Current weather of a city",
        params: {type: "object", properties: {city: {type: "string"}}},
        handler: (params) => {
            calls.push(params);
            return {celsius: 21};
        }
    });
    // With bytes far behind, every letter is among the candidates.
    const tokenBias = TokenBias.for(model);
    for (let token = 3; token < firstWord; token++) tokenBias.set(token as Token, {logit: -20});
    await session.prompt("What is the weather in Paris?", {functions: {getWeather}, tokenBias, maxTokens: 48});
    return {session, calls};
}
