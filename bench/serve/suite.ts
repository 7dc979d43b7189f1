/** `mara serve` beside the same work without a server, and beside llama.cpp's server. */
import {existsSync} from "node:fs";
import {basename} from "node:path";
import {getLlama, LlamaLogLevel, type LlamaModel} from "node-llama-cpp";
import {loadPrompts} from "../../lib/prompts/prompts.js";
import {medianOf, spreadOf} from "../harness/statistics.js";
import {atLeast, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short, type Table} from "../harness/table.js";
import {benchFile} from "../harness/tools.js";
import {Client} from "./client.js";
import {type Contender, contextSize, maxTokens, openContenders, ownTime, parallel} from "./contenders.js";
import {type Latency, latencies} from "./latency.js";

export const serveSuite: Suite = {title: "mara serve --parallel 8 beside answerAll and llama-server", run};

const warmUpSeconds = 15;

const system = "You are a helpful assistant.";

const notes = [
    `${parallel} sequences, ${maxTokens} tokens at most, greedy, with the same short system message. The servers answer over HTTP to one client in a process of its own, which asks everything at once. All take turns.`,
    "Processor time is that of the process that answers, without the client's. Tokens are those of the answers' texts, counted by the model's tokenizer alike for all.",
    "llama-server's kernels are those of its own build. Prompt caches are on in all servers, over what their sequences hold.",
    "One request at a time: the first text is of a stream, to a prompt that no sequence has read, behind a system message that all have; its processor time is that of four tokens. The answer of one token is to a chat that was answered just before. What it takes beyond a decode of one token is the request's overhead."
];

/** What one round costs. */
interface Sample {
    tokensPerSecond: number;
    /** Milliseconds. */
    processorPerToken: number;
    texts: string[];
}

async function run({quick, rounds, threads, only, log}: BenchOptions): Promise<SuiteResult> {
    const llama = await getLlama({gpu: "auto", build: "never", logLevel: LlamaLogLevel.error});
    // Contexts wait for each other where together they have more threads than this.
    llama.maxThreads = 8 * threads;
    const skipped: Record<string, string> = {};
    const tables: Table[] = [];
    const ratios = new Map<string, number>();
    const data: Record<string, unknown> = {};
    const models = [
        // The demo's answers are short, and its decodes fast.
        {modelPath: benchFile("../demo/model.gguf"), count: 16 * parallel},
        {modelPath: process.env.MARA_TEST_MODEL, count: 2 * parallel}
    ];
    for (const {modelPath, count} of models) {
        if (modelPath === undefined || !existsSync(modelPath)) {
            skipped[basename(modelPath || "the test model")] = "MARA_TEST_MODEL names no file";
            continue;
        }
        const model = await llama.loadModel({modelPath});
        const name = basename(modelPath);
        const asked = (await loadPrompts("demo")).slice(0, quick ? parallel : count);
        const prompts = asked.map(({prompt}) => ({prompt, system}));
        const client = new Client();
        const gpu = llama.gpu !== false;
        const opened = await openContenders({model, modelPath}, prompts, client, {threads, gpu});
        const {answering, servers, lacking, close} = opened;
        if (lacking !== undefined) skipped["llama-server"] = lacking;
        const samples: Record<string, Sample[]> = {};
        const turns = Object.entries(answering).filter(([who]) => only.test(who));
        for (const [, contender] of turns) await warmUp(contender, quick ? 0 : warmUpSeconds);
        for (let round = 0; round < rounds; round++) {
            log(`${name}: round ${round + 1}`);
            for (const [who, contender] of turns)
                samples[who] = [...(samples[who] ?? []), await measured(model, contender)];
        }
        const times = quick ? 5 : 20;
        const waits = await latencies(model, client, servers, {contextSize, threads, rounds, times, ownTime});
        client.close();
        await close();
        await model.dispose();
        data[name] = {samples, waits};
        for (const [who, of] of Object.entries(samples)) {
            if (!who.startsWith("served")) continue;
            const direct = samples[directOf(who)] ?? [];
            const round = of.map(({tokensPerSecond}, i) => tokensPerSecond / (direct[i]?.tokensPerSecond ?? 0));
            ratios.set(`${name}, ${who}`, medianOf(round));
        }
        tables.push(throughputTable(name, samples), latencyTable(name, waits));
    }
    return {
        tables,
        panels: [],
        columns: 1,
        targets: [atLeast("tokens per second of the server ÷ of answerAll, in a round", 0.9, ratios)],
        notes,
        skipped,
        data
    };
}

/** A server runs for days, so what V8 compiles on the way does not count. */
async function warmUp({answer}: Contender, seconds: number): Promise<void> {
    const start = performance.now();
    do await answer();
    while (performance.now() - start < seconds * 1000);
}

async function measured(model: LlamaModel, {answer, processorTime}: Contender): Promise<Sample> {
    const [start, before] = [performance.now(), processorTime()];
    const texts = await answer();
    const [seconds, processor] = [(performance.now() - start) / 1000, processorTime() - before];
    const tokens = texts.reduce((total, text) => total + model.tokenize(text).length, 0);
    return {tokensPerSecond: tokens / seconds, processorPerToken: processor / tokens, texts};
}

/** "answerAll, plain" of "served, plain". */
function directOf(who: string): string {
    return who.replace(/^.*,/, "answerAll,");
}

function throughputTable(name: string, samples: Readonly<Record<string, Sample[]>>): Table {
    return {
        title: `${name}: median [quartiles]`,
        columns: ["", "tokens per second", "processor time per token, ms", "answers as answerAll's"],
        rows: Object.entries(samples).map(([who, of]) => {
            const texts = of.at(-1)?.texts ?? [];
            const direct = samples[directOf(who)]?.at(-1)?.texts ?? [];
            const same = texts.filter((text, i) => text.trim() === direct[i]?.trim()).length;
            return [
                who,
                shown(of.map(({tokensPerSecond}) => tokensPerSecond)),
                shown(of.map(({processorPerToken}) => processorPerToken)),
                `${same} of ${texts.length}`
            ];
        })
    };
}

function latencyTable(name: string, waits: Readonly<Record<string, Latency>>): Table {
    return {
        title: `${name}, one request at a time: milliseconds, median [quartiles]`,
        columns: [
            "",
            "first text of a stream",
            "processor time of it",
            "GET /v1/models",
            "one token again",
            "processor time of it"
        ],
        rows: Object.entries(waits).map(([who, {firstText, streamProcessor, models, again, againProcessor}]) => [
            who,
            ...[firstText, streamProcessor, models, again, againProcessor].map(shown)
        ])
    };
}

function shown(values: readonly number[]): string {
    const {median, low, high} = spreadOf(values);
    return Number.isFinite(median) ? `${short(median)} [${short(low)}–${short(high)}]` : "–";
}
