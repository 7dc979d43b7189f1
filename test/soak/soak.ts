/** Eight sequences of one aligned context under everything that a caller does, for as long as asked. */
import {mkdtempSync, rmSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import {setTimeout as sleep} from "node:timers/promises";
import {
    DisposedError,
    getLlama,
    type LlamaContext,
    type LlamaContextSequence,
    LlamaLogLevel,
    type LlamaModel,
    resolveChatWrapper
} from "node-llama-cpp";
import {type AlignedContextOptions, type Aligner, createAlignedContext} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {lastCell} from "../support/cells.js";
import {type Random, seededRandom} from "../support/random.js";
import {statesOfPrompts} from "../support/states.js";
import {type Counts, count, type Materials, runJob, type Trace} from "./job.js";
import {Memory} from "./memory.js";
import {lastRecording, type Recording, recordLanes, writeFinding} from "./recorder.js";
import {replyInWorker} from "./worker-pool.js";

export interface SoakOptions {
    minutes: number;
    modelPath: string;
    seed: number;
    /** MB that are lost with each context, to see that it is noticed. */
    leak: number;
}

export interface SoakResult {
    counts: Counts;
    /** The failures, in words; empty when there were none. */
    failures: string[];
    memory: Memory;
}

const sequences = 8;
const lanes = 12;
/** One with company, one alone. */
const contextsPerRound = 2;
const contextOptions = {
    mode: "lanes",
    sequences,
    lanes,
    contextSize: 256,
    // A prompt is cut to what its batch has room for, and a piece is rounded otherwise than the whole.
    batchSize: sequences * 256,
    // More than the cores that are free makes llama.cpp many times slower; and several share a token's work otherwise than a batch's.
    threads: 1
} as const satisfies AlignedContextOptions;

const prompts = [
    "When is breakfast, and where do I find it? I have come by the night train and am hungry.",
    "Tell me about the sea, the ships in the harbour, and the people who live from both.",
    "How do I get from the station to the house, with two suitcases and a child?",
    "1, 2, 3, 4, 5, 6, 7,",
    "Dear Sir or Madam, I am writing to you since the heating in my room does not work.",
    "Once upon a time there was a hen who"
];

/** A job whose text is to be repeated alone. */
interface Sample {
    seed: number;
    id: number;
    trace: Trace;
    /** How its generation was to end. */
    ending: string;
    /** Milliseconds since the process began. */
    from: number;
    to: number;
}

export async function soak(
    {minutes, modelPath, seed, leak}: SoakOptions,
    say: (line: string) => void
): Promise<SoakResult> {
    const end = performance.now() + minutes * 60_000;
    const roundMs = Math.min(20_000, Math.max(3000, (minutes * 60_000) / 40));
    const random = seededRandom(seed);
    const folder = mkdtempSync(join(tmpdir(), "mara-soak-"));
    recordLanes();
    const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    const model = await llama.loadModel({modelPath});
    const result: SoakResult = {counts: {}, failures: [], memory: new Memory()};
    const materials = await gather(model);
    const soaked = {model, modelPath, materials, folder, result, roundMs, end};
    const lost: Buffer[] = [];
    for (let round = 0; performance.now() < end; round++) {
        await result.memory.measure();
        const before = result.failures.length;
        await playRound(soaked, random);
        for (let context = 0; context < contextsPerRound; context++) lost.push(Buffer.alloc(leak * 2 ** 20, 1));
        for (const failure of result.failures.slice(before)) say(failure);
        count(result.counts, "rounds");
        say(
            `round ${round + 1}: ${result.counts.tokens} tokens, ${result.memory.last} MB, ${result.failures.length} failures`
        );
    }
    await result.memory.measure();
    for (const agent of materials.agents) agent.dispose();
    await llama.dispose();
    rmSync(folder, {recursive: true});
    return result;
}

async function gather(model: LlamaModel): Promise<Materials> {
    const states = await statesOfPrompts(
        model,
        prompts.map((prompt) => model.tokenize(prompt))
    );
    const makeAgent = (seed: number) => randomAgent(model.embeddingVectorSize, seed, {states, bias: (seed % 3) - 1.5});
    const grammar = await model.llama.createGrammarForJsonSchema({
        type: "object",
        properties: {
            name: {type: "string", maxLength: 12},
            colour: {enum: ["red", "green", "blue"]},
            ripe: {type: "boolean"}
        }
    });
    return {agents: [1, 2, 3].map(makeAgent), makeAgent, grammar, chatWrapper: resolveChatWrapper(model), prompts};
}

interface Soaked {
    model: LlamaModel;
    modelPath: string;
    materials: Materials;
    folder: string;
    result: SoakResult;
    /** How long a context lives, and how long its texts are repeated. */
    roundMs: number;
    /** No context lives longer than until then. */
    end: number;
}

/** The life of one context: jobs in all sequences, then the same jobs alone. */
async function playRound(soaked: Soaked, random: Random): Promise<void> {
    const {model, materials, result, modelPath} = soaked;
    const {context, aligner} = await createAlignedContext(model, {
        ...contextOptions,
        agent: materials.agents[0] as never
    });
    const recording = lastRecording();
    const end = Math.min(performance.now() + soaked.roundMs, soaked.end);
    const samples: Sample[] = [];
    const round = {context, aligner, samples, end, isClosing: false};
    const seeds = Array.from({length: sequences}, () => random.integer(0, 2 ** 31 - 1));
    const playing = seeds.map((seed) => play(soaked, round, seededRandom(seed)));
    const disturbing = disturb(soaked, round, seededRandom(random.integer(0, 2 ** 31 - 1)));
    const worker = random.integer(0, 2) === 0 ? replyInWorker(modelPath) : undefined;
    if (random.integer(0, 1) === 0) {
        await sleep(Math.max(0, end - performance.now()));
        round.isClosing = true;
        await context.dispose();
        count(result.counts, "contexts disposed in mid-generation");
    }
    await Promise.all([...playing, disturbing]);
    if (!context.disposed) {
        for (let lane = sequences; lane < sequences + lanes; lane++)
            if (lastCell(context, lane) !== -1) result.failures.push(`Lane ${lane - sequences} was not given back`);
        await context.dispose();
    }
    if (worker !== undefined) {
        const problem = await worker;
        count(result.counts, "worker threads");
        if (problem !== undefined) result.failures.push(problem);
    }
    await repeatAlone(soaked, samples, random, recording);
}

interface Round {
    context: LlamaContext;
    aligner: Aligner;
    samples: Sample[];
    end: number;
    /** The context is being disposed, which ends every generation. */
    isClosing: boolean;
}

/** One of the sequences: a job after the other. */
async function play(soaked: Soaked, round: Round, random: Random): Promise<void> {
    const {materials, folder, result} = soaked;
    const {context, aligner} = round;
    let sequence = context.getSequence();
    while (performance.now() < round.end && !round.isClosing) {
        const {_sequenceId: id} = sequence as unknown as {_sequenceId: number};
        const ending = random.integer(0, 5) === 0 ? "abort" : random.integer(0, 5) === 0 ? "dispose" : "end";
        const stopAt = ending === "end" ? Number.POSITIVE_INFINITY : random.integer(1, 60);
        const trace: Trace = {tokens: [], verdicts: [], finished: false};
        const from = performance.now();
        const seed = random.integer(0, 2 ** 31 - 1);
        let disposal: Promise<void> | undefined;
        const stop = ({tokens}: Trace) => {
            if (performance.now() >= round.end) return true;
            if (tokens.length < stopAt) return false;
            if (ending === "abort") return true;
            disposal ??= sleep(random.integer(0, 3)).then(() => sequence.dispose());
            return false;
        };
        try {
            const stateFile = join(folder, `${id}.state`);
            await runJob({seed, sequence, aligner, materials, counts: result.counts, stateFile, stop}, trace);
            if (!trace.finished) count(result.counts, "generations aborted");
        } catch (error) {
            const isExpected = error instanceof DisposedError && (round.isClosing || disposal !== undefined);
            if (!isExpected) result.failures.push(`Job ${seed}: ${error instanceof Error ? error.stack : error}`);
        }
        if (trace.tokens.length > 0) round.samples.push({seed, id, trace, ending, from, to: performance.now()});
        if (disposal === undefined) continue;
        await disposal;
        count(result.counts, "sequences disposed");
        if (!round.isClosing) sequence = context.getSequence();
    }
}

/** Changes of the whole context, which sequences with settings of their own must not notice. */
async function disturb({materials, result}: Soaked, round: Round, random: Random): Promise<void> {
    while (performance.now() < round.end && !round.isClosing) {
        await sleep(random.integer(5, 100));
        if (round.aligner.disposed) return;
        round.aligner.configure({
            agent: random.pick(materials.agents),
            threshold: random.uniform(),
            strategy: random.pick(["first", "random", "max-prob"] as const),
            enabled: random.integer(0, 1) === 0
        });
        if (random.integer(0, 9) === 0) round.aligner.resetStats();
        count(result.counts, "configurations of the context");
    }
}

/** Repeats a share of the jobs, each with the context to itself, and compares token by token and verdict by verdict. */
async function repeatAlone(
    soaked: Soaked,
    samples: readonly Sample[],
    random: Random,
    recording: Recording
): Promise<void> {
    const {model, materials, folder, result, roundMs} = soaked;
    const {context, aligner} = await createAlignedContext(model, {
        ...contextOptions,
        agent: materials.agents[0] as never
    });
    // The "random" strategy draws by the sequence's number, so a job is repeated under the one that it had.
    const all: LlamaContextSequence[] = Array.from({length: sequences}, () => context.getSequence());
    const start = performance.now();
    const shuffled = [...samples].sort(() => random.uniform() - 0.5);
    for (const sample of shuffled) {
        if (performance.now() - start > roundMs) break;
        const {seed, id, trace} = sample;
        const sequence = all.find((one) => (one as unknown as {_sequenceId: number})._sequenceId === id);
        const alone: Trace = {tokens: [], verdicts: [], finished: false};
        const stateFile = join(folder, "alone.state");
        // A job that was cut short ends at the same token here.
        const stop = ({tokens}: Trace) => !trace.finished && tokens.length >= trace.tokens.length;
        const run = {seed, sequence: sequence as LlamaContextSequence, aligner, materials, counts: {}, stateFile, stop};
        await runJob(run, alone);
        count(result.counts, "generations repeated alone");
        count(result.counts, "verdicts repeated alone", alone.verdicts.length);
        const difference = differenceOf(trace, alone);
        if (difference === undefined) continue;
        const beside = samples.filter(({from, to}) => from < sample.to && to > sample.from);
        const finding = {sample, alone, beside, contextOptions, calls: recording.calls};
        const file = writeFinding(tmpdir(), `mara-soak-${process.pid}-${seed}`, finding);
        result.failures.push(`Job ${seed} of sequence ${id}: alone ${difference}. What happened meanwhile: ${file}`);
    }
    await context.dispose();
}

/** Where the texts part, or a verdict that both have differs; undefined where they are the same. */
function differenceOf(trace: Trace, alone: Trace): string | undefined {
    const parted = alone.tokens.findIndex((token, i) => token !== trace.tokens[i]);
    const decision = alone.verdicts.findIndex((ranks, i) =>
        ranks.some((verdict, rank) => {
            const other = trace.verdicts[i]?.[rank] ?? null;
            // Which candidates are tried at once depends on time.
            return verdict !== null && other !== null && verdict !== other;
        })
    );
    if (parted < 0 && decision < 0 && alone.tokens.length === trace.tokens.length) return undefined;
    return (
        `its decision ${decision} is the first with another verdict, and it parts at token ${parted} ` +
        `(${alone.tokens.length} tokens, with company ${trace.tokens.length})`
    );
}
