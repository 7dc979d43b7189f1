/** What one request at a time waits for, and what it costs. */
import {LlamaChatSession, type LlamaModel, type Token} from "node-llama-cpp";
import type {Prompt} from "../../lib/prompts/prompts.js";
import {type Client, chatRequest, type Request} from "./client.js";

/** Who answers, with the milliseconds of processor time that its process has taken. */
export interface Answering {
    url: string;
    processorTime(): number;
}

/** Milliseconds of each request. */
export interface Latency {
    /** Until the first text of a streamed answer whose prompt no sequence has read. */
    firstText: number[];
    /** Processor time of such an answer, of four tokens, one mean per round. */
    streamProcessor: number[];
    /** Until the answer to `GET /v1/models`. */
    models: number[];
    /** Until an answer of one token to a chat that was answered just before. */
    again: number[];
    /** Processor time of such an answer, one mean per round. */
    againProcessor: number[];
}

interface Measured {
    firstText?(prompts: readonly Prompt[]): Promise<number[]>;
    models?(times: number): Promise<number[]>;
    again(times: number): Promise<number[]>;
    processorTime(): number;
}

/** Tokens of a streamed answer. */
const streamed = 4;

const chat: Prompt = {system: "You are a helpful assistant.", prompt: "Where is the breakfast room?"};

/** The servers and a `LlamaChatSession` in turns, and a decode of one token by itself. */
export async function latencies(
    model: LlamaModel,
    client: Client,
    servers: Readonly<Record<string, Answering>>,
    options: {contextSize: number; threads: number; rounds: number; times: number; ownTime: () => number}
): Promise<Record<string, Latency>> {
    const {rounds, times, ownTime, ...shape} = options;
    const context = await model.createContext({...shape, sequences: 2});
    // One session for all: finding its chat wrapper takes longer than the answer.
    const session = new LlamaChatSession({contextSequence: context.getSequence(), systemPrompt: chat.system as string});
    const bare = context.getSequence();
    const [token] = model.tokenize("breakfast");
    const contenders: Record<string, Measured> = {
        ...Object.fromEntries(Object.entries(servers).map(([who, server]) => [who, overHttp(client, server)])),
        "a LlamaChatSession": {
            firstText: (prompts) => firstTexts(session, prompts),
            again: async (count) =>
                await timesOf(count, async () => {
                    session.resetChatHistory();
                    await session.prompt(chat.prompt, {maxTokens: 1, temperature: 0});
                }),
            processorTime: ownTime
        },
        "a decode of one token alone": {
            again: async (count) =>
                await timesOf(count, async () => {
                    await bare.eraseContextTokenRanges([{start: 0, end: bare.nextTokenIndex}]);
                    for await (const _ of bare.evaluate([token as Token], {temperature: 0})) break;
                }),
            processorTime: ownTime
        }
    };
    const results = Object.fromEntries(
        Object.keys(contenders).map((who): [string, Latency] => [
            who,
            {firstText: [], streamProcessor: [], models: [], again: [], againProcessor: []}
        ])
    );
    // What only the first requests pay for is no part of it.
    for (let round = -1; round < rounds; round++)
        for (const [who, {firstText, models, again, processorTime}] of Object.entries(contenders)) {
            const fresh = Array.from({length: times}, (_, i) => ({
                ...chat,
                prompt: `${round * times + i}. Where is the breakfast room, and when does it open on Sundays?`
            }));
            let before = processorTime();
            const streams = (await firstText?.(fresh)) ?? [];
            const stream = (processorTime() - before) / streams.length;
            const listed = (await models?.(times)) ?? [];
            await again(1);
            before = processorTime();
            const repeated = await again(4 * times);
            const processor = (processorTime() - before) / repeated.length;
            if (round < 0) continue;
            const result = results[who] as Latency;
            result.firstText.push(...streams);
            result.streamProcessor.push(stream);
            result.models.push(...listed);
            result.again.push(...repeated);
            result.againProcessor.push(processor);
        }
    await context.dispose();
    return results;
}

function overHttp(client: Client, {url, processorTime}: Answering): Measured {
    const repeat = (request: Request, times: number) => client.whole(url, new Array(times).fill(request));
    return {
        processorTime,
        firstText: (prompts) =>
            client.firstText(
                url,
                prompts.map((prompt) => chatRequest("m", prompt, {max_tokens: streamed, stream: true}))
            ),
        models: (times) => repeat({path: "/v1/models"}, times),
        again: (times) => repeat(chatRequest("m", chat, {max_tokens: 1}), times)
    };
}

async function firstTexts(session: LlamaChatSession, prompts: readonly Prompt[]): Promise<number[]> {
    const times: number[] = [];
    for (const {prompt} of prompts) {
        const start = performance.now();
        let first = Number.NaN;
        session.resetChatHistory();
        await session.prompt(prompt, {
            maxTokens: streamed,
            temperature: 0,
            onTextChunk: () => {
                if (Number.isNaN(first)) first = performance.now() - start;
            }
        });
        times.push(first);
    }
    return times;
}

async function timesOf(count: number, act: () => Promise<void>): Promise<number[]> {
    const times: number[] = [];
    for (let i = 0; i < count; i++) {
        const start = performance.now();
        await act();
        times.push(performance.now() - start);
    }
    return times;
}
