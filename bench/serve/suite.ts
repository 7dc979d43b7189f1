/** `mara serve` beside the same work without a server. */
import {once} from "node:events";
import {existsSync} from "node:fs";
import {basename} from "node:path";
import {Worker} from "node:worker_threads";
import {getLlama, LlamaChatSession, LlamaLogLevel, type LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../../lib/agent/agent.js";
import {createAlignedContext} from "../../lib/align/aligned-context.js";
import {answerAll} from "../../lib/generation/answers.js";
import {loadPrompts} from "../../lib/prompts/prompts.js";
import {createServer} from "../../lib/server/index.js";
import {listen} from "../../lib/server/listen.js";
import {randomTensors} from "../../test/support/agents.js";
import {medianOf, spreadOf} from "../harness/statistics.js";
import {atLeast, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short, type Table} from "../harness/table.js";
import {benchFile} from "../harness/tools.js";
import {hidden} from "../kernel/cases.js";

export const serveSuite: Suite = {title: "mara serve --parallel 8 beside answerAll, on one thread", run};

const parallel = 8;
const maxTokens = 48;

/** What one round costs. */
interface Sample {
    tokensPerSecond: number;
    /** Milliseconds of all threads, the client's of HTTP included. */
    processorPerToken: number;
}

type Contender = () => Promise<Sample>;

async function run({quick, rounds, threads, log}: BenchOptions): Promise<SuiteResult> {
    const llama = await getLlama({gpu: "auto", build: "never", logLevel: LlamaLogLevel.error});
    // Contexts wait for each other where together they have more threads than this.
    llama.maxThreads = 4 * threads;
    const skipped: Record<string, string> = {};
    const tables: Table[] = [];
    const ratios = new Map<string, number>();
    const data: Record<string, unknown> = {};
    for (const modelPath of [benchFile("../demo/model.gguf"), process.env.MARA_TEST_MODEL]) {
        if (modelPath === undefined || !existsSync(modelPath)) {
            skipped[basename(modelPath ?? "the test model")] = "MARA_TEST_MODEL names no file";
            continue;
        }
        const model = await llama.loadModel({modelPath});
        const name = basename(modelPath);
        const prompts = (await loadPrompts("demo")).slice(0, quick ? parallel : 4 * parallel).map(({prompt}) => prompt);
        const {contenders, close} = await open(model, prompts, threads);
        const samples: Record<string, Sample[]> = {};
        for (const contender of Object.values(contenders)) await contender();
        for (let round = 0; round < (quick ? 1 : rounds); round++) {
            log(`${name}: round ${round + 1}`);
            for (const [who, contender] of Object.entries(contenders))
                samples[who] = [...(samples[who] ?? []), await contender()];
        }
        const first = await firstTokens(model, threads, quick ? 5 : 30);
        await close();
        await model.dispose();
        data[name] = {samples, first};
        const each = (who: string, of: (sample: Sample) => number) => (samples[who] ?? []).map(of);
        for (const how of ["plain", "aligned"]) {
            const [served, direct] = [samples[`served, ${how}`] ?? [], samples[`answerAll, ${how}`] ?? []];
            const round = served.map(({tokensPerSecond}, i) => tokensPerSecond / (direct[i]?.tokensPerSecond ?? 0));
            ratios.set(`${name}, ${how}`, medianOf(round));
        }
        tables.push({
            title: `${name}: median [quartiles]`,
            columns: ["", "tokens per second", "processor time per token, ms"],
            rows: Object.keys(samples).map((who) => [
                who,
                shown(each(who, ({tokensPerSecond}) => tokensPerSecond)),
                shown(each(who, ({processorPerToken}) => processorPerToken))
            ])
        });
        tables.push({
            title: `${name}: milliseconds until an answer of one token has come`,
            columns: ["", "median [quartiles]"],
            rows: Object.entries(first).map(([who, times]) => [who, shown(times)])
        });
    }
    return {
        tables,
        panels: [],
        columns: 1,
        targets: [atLeast("tokens per second of the server ÷ of answerAll, in a round", 0.9, ratios)],
        notes: [
            `${parallel} sequences, ${maxTokens} tokens at most, greedy. The server answers over HTTP to a client on a thread of its own. All take turns.`
        ],
        skipped,
        data
    };
}

async function open(model: LlamaModel, prompts: readonly string[], threads: number) {
    const shape = {sequences: parallel, contextSize: 1024, threads};
    const agent = MaraAgent.fromTensors(randomTensors(model.embeddingVectorSize, 1, {hidden}), {threads});
    const plain = await model.createContext(shape);
    const {context: aligned} = await createAlignedContext(model, {...shape, agent});
    const server = await createServer({model, name: "m", agents: {agent}, parallel, contextSize: 1024, threads});
    const listening = await listen(server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
    const direct =
        (context: typeof plain): Contender =>
        () =>
            measured(async () => {
                const answers = await answerAll(context, prompts, {maxTokens});
                return answers.reduce((total, {tokens}) => total + tokens.length, 0);
            });
    const client = new Client(listening.url);
    const served =
        (name: string): Contender =>
        () =>
            measured(() => client.tokensOf(name, prompts));
    const contenders: Record<string, Contender> = {
        "answerAll, plain": direct(plain),
        "served, plain": served("m"),
        "answerAll, aligned": direct(aligned),
        "served, aligned": served("m:agent")
    };
    const close = async () => {
        await client.close();
        await listening.stop(0);
        await plain.dispose();
        await aligned.dispose();
        agent.dispose();
    };
    return {contenders, close};
}

class Client {
    readonly #worker: Worker;

    constructor(url: string) {
        this.#worker = new Worker(new URL("client-worker.mjs", import.meta.url), {workerData: {url}});
    }

    /** Tokens of the answers to all prompts, asked at once. */
    async tokensOf(model: string, prompts: readonly string[], limit = maxTokens): Promise<number> {
        this.#worker.postMessage(prompts.map((content) => ({model, content, maxTokens: limit})));
        const [count] = await once(this.#worker, "message");
        return count as number;
    }

    async close(): Promise<void> {
        await this.#worker.terminate();
    }
}

async function measured(act: () => Promise<number>): Promise<Sample> {
    const [start, usage] = [performance.now(), process.cpuUsage()];
    const tokens = await act();
    const {user, system} = process.cpuUsage(usage);
    return {
        tokensPerSecond: (tokens * 1000) / (performance.now() - start),
        processorPerToken: (user + system) / 1000 / tokens
    };
}

/** Milliseconds to the first token of one request at a time, with prompts that no sequence has read. */
async function firstTokens(model: LlamaModel, threads: number, times: number): Promise<Record<string, number[]>> {
    const server = await createServer({model, name: "m", parallel: 1, contextSize: 1024, threads});
    const listening = await listen(server, {host: "127.0.0.1", port: 0, hasKey: false, isOpen: false});
    const client = new Client(listening.url);
    const context = await model.createContext({contextSize: 1024, threads});
    // One session for all: finding its chat wrapper takes longer than the answer.
    const session = new LlamaChatSession({contextSequence: context.getSequence()});
    const [served, direct]: [number[], number[]] = [[], []];
    for (let i = 0; i <= times; i++) {
        const prompt = `${i}. Where is the breakfast room, and when does it open on Sundays?`;
        let start = performance.now();
        await client.tokensOf("m", [prompt], 1);
        served.push(performance.now() - start);
        start = performance.now();
        session.resetChatHistory();
        await session.prompt(prompt, {maxTokens: 1, temperature: 0});
        direct.push(performance.now() - start);
    }
    await client.close();
    await listening.stop(0);
    await context.dispose();
    // What only the first request pays for is no part of it.
    return {"the server, over HTTP": served.slice(1), "a LlamaChatSession": direct.slice(1)};
}

function shown(values: readonly number[]): string {
    const {median, low, high} = spreadOf(values);
    return `${short(median)} [${short(low)}–${short(high)}]`;
}
