/** The same chats through `answerAll`, through `mara serve`, and through llama-server. */
import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../../lib/agent/agent.js";
import {createAlignedContext} from "../../lib/align/aligned-context.js";
import {answerAll} from "../../lib/generation/answers.js";
import type {Prompt} from "../../lib/prompts/prompts.js";
import {createServer} from "../../lib/server/index.js";
import {listen} from "../../lib/server/listen.js";
import {randomTensors} from "../../test/support/agents.js";
import {hidden} from "../kernel/cases.js";
import {type Client, chatRequest} from "./client.js";
import type {Answering} from "./latency.js";
import {startLlamaServer} from "./llama-server.js";

export const parallel = 8;
export const maxTokens = 48;
export const contextSize = 1024;

export interface Contender {
    /** Texts of the answers to all prompts. */
    answer(): Promise<string[]>;
    /** Milliseconds of processor time that its process has taken. */
    processorTime(): number;
}

/** Milliseconds of processor time that this process has taken. */
export function ownTime(): number {
    const {user, system} = process.cpuUsage();
    return (user + system) / 1000;
}

/** Whoever answers, in the order of their turns. */
export interface Contenders {
    /** By name and, behind a comma, "plain" or "aligned". */
    answering: Record<string, Contender>;
    /** Those who answer plain chats over HTTP. */
    servers: Record<string, Answering>;
    /** Why llama-server is not among them. */
    lacking: string | undefined;
    close(): Promise<void>;
}

export async function openContenders(
    {model, modelPath}: {model: LlamaModel; modelPath: string},
    prompts: readonly Prompt[],
    client: Client,
    {threads, gpu}: {threads: number; gpu: boolean}
): Promise<Contenders> {
    const shape = {sequences: parallel, contextSize, threads};
    const agent = MaraAgent.fromTensors(randomTensors(model.embeddingVectorSize, 1, {hidden}), {threads});
    const plain = await model.createContext(shape);
    const {context: aligned} = await createAlignedContext(model, {...shape, agent});
    const open = async (agents: Record<string, MaraAgent>) => {
        const size = {parallel, contextSize, threads, queue: prompts.length};
        const server = await createServer({model, name: "m", agents, ...size});
        return await listen(server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
    };
    const [simple, withAgent] = [await open({}), await open({agent})];
    let lacking: string | undefined;
    const peer = await startLlamaServer(modelPath, {parallel, contextSize, threads, gpu}).catch(({message}) => {
        lacking = message;
        return undefined;
    });
    const direct = (context: LlamaContext): Contender => ({
        processorTime: ownTime,
        answer: async () => (await answerAll(context, prompts, {maxTokens})).map(({text}) => text)
    });
    const served = ({url, processorTime}: Answering, name = "m"): Contender => ({
        processorTime,
        answer: async () =>
            await client.answers(
                url,
                prompts.map((prompt) => chatRequest(name, prompt, {max_tokens: maxTokens}))
            )
    });
    const ours = ({url}: {url: string}): Answering => ({url, processorTime: ownTime});
    return {
        answering: {
            "answerAll, plain": direct(plain),
            "served, plain": served(ours(simple)),
            ...(peer && {"llama-server, plain": served(peer)}),
            "served with an agent, plain": served(ours(withAgent)),
            "answerAll, aligned": direct(aligned),
            "served with an agent, aligned": served(ours(withAgent), "m:agent")
        },
        servers: {"mara serve": ours(simple), ...(peer && {"llama-server": peer})},
        lacking,
        close: async () => {
            peer?.stop();
            for (const listening of [simple, withAgent]) await listening.stop(0);
            for (const context of [plain, aligned]) await context.dispose();
            agent.dispose();
        }
    };
}
