/** The work that one sequence does in one go, all of it drawn from a seed, so that it can be repeated alone. */
import {rmSync} from "node:fs";
import {
    type ChatWrapper,
    LlamaChatSession,
    type LlamaContextSequence,
    type LlamaGrammar,
    LlamaGrammarEvaluationState,
    type Token
} from "node-llama-cpp";
import type {Aligner, AlignerSettings, Guide, Judge, MaraAgent} from "../../lib/index.js";
import {type Random, seededRandom} from "../support/random.js";

/** The materials that jobs draw from. */
export interface Materials {
    agents: readonly MaraAgent[];
    /** An agent that its job disposes. */
    makeAgent(seed: number): MaraAgent;
    grammar: LlamaGrammar;
    /** Finding the model's wrapper blocks the main thread for longer than most jobs last. */
    chatWrapper: ChatWrapper;
    prompts: readonly string[];
}

/** How often each thing was done. */
export type Counts = Record<string, number>;

export interface Trace {
    tokens: number[];
    /** Accept probabilities of every decision, by rank; null where a candidate was not tried. */
    verdicts: (number | null)[][];
    /** True if the job came to its end; otherwise its continuation is unknown. */
    finished: boolean;
}

export interface JobRun {
    seed: number;
    sequence: LlamaContextSequence;
    aligner: Aligner;
    materials: Materials;
    counts: Counts;
    /** A file of its own for the sequence's state. */
    stateFile: string;
    /** Asked after each token: true ends the job there. */
    stop(trace: Trace): boolean;
}

/** The job was stopped in mid-generation. */
class Stopped extends Error {}

/** Runs the job of a seed. What it throws comes after `trace` has been filled as far as it came. */
export async function runJob(run: JobRun, trace: Trace): Promise<void> {
    const random = seededRandom(run.seed);
    const own = random.integer(0, 3) === 0 ? run.materials.makeAgent(run.seed) : undefined;
    let unsubscribe = () => {};
    try {
        // An aborted job's last token may still be decided until then.
        await run.sequence.clearHistory();
        unsubscribe = run.aligner.onDecision(
            ({candidates}) => trace.verdicts.push(candidates.map(({acceptProbability}) => acceptProbability)),
            run.sequence
        );
        configure(run, random, own);
        if (random.integer(0, 3) === 0) await chat(run, random, trace);
        else await write(run, random, trace);
        trace.finished = true;
    } catch (error) {
        if (!(error instanceof Stopped)) throw error;
    } finally {
        unsubscribe();
        own?.dispose();
    }
}

function configure({aligner, sequence, materials, counts}: JobRun, random: Random, own?: MaraAgent): void {
    const judged: AlignerSettings =
        own === undefined && random.integer(0, 5) === 0
            ? {judge: judgeOf(random.integer(0, 1) === 0)}
            : {agent: own ?? random.pick(materials.agents)};
    const guides = random.integer(0, 4) === 0 ? [guideOf(random.integer(2, 9))] : [];
    const settings: AlignerSettings = {
        ...judged,
        guides,
        candidates: {
            topK: random.pick([2, 5, 12, 40]),
            topP: random.pick([0.9, 1]),
            minP: 0,
            temperature: random.pick([0.5, 1])
        },
        strategy: random.pick(["first", "first", "random", "max-prob"] as const),
        order: random.pick(["best-first", "best-first", "top-last", "reverse"] as const),
        threshold: random.pick([0.2, 0.5, 0.8]),
        fallbackIndex: random.pick([0, 0, 3]),
        seed: random.integer(0, 1000),
        enabled: random.integer(0, 6) > 0
    };
    aligner.configure(settings, sequence);
    count(counts, "configurations");
    if (settings.judge !== undefined) count(counts, "judges");
    if (guides.length > 0) count(counts, "guides");
}

/** Accepts a state with the share of its numbers above zero as probability; nothing is summed, so that it is exact. */
function judgeOf(waits: boolean): Judge {
    return {
        judge: async ({states, width, candidates}) => {
            if (waits) await new Promise((resolve) => setImmediate(resolve));
            return candidates.map((_, i) => {
                const state = states.subarray(i * width, (i + 1) * width);
                return state.filter((value) => value > 0).length / width;
            });
        }
    };
}

function guideOf(every: number): Guide {
    return {
        guide: (logits, {position, previous}) => {
            if (position % every === 0) logits[previous] = (logits[previous] as number) - 4;
        }
    };
}

/** Several generations with something done to the sequence in between. */
async function write(run: JobRun, random: Random, trace: Trace): Promise<void> {
    const {sequence, counts} = run;
    if (random.integer(0, 4) === 0) await fill(run, random, trace);
    else await generate(run, random, trace, promptOf(run, random), random.integer(8, 60));
    const more = () => promptOf(run, random).slice(0, random.integer(1, 3));
    for (let part = random.integer(0, 4); part > 0; part--) {
        const what = random.integer(0, 4);
        if (what === 0) {
            const start = random.integer(1, Math.max(1, sequence.nextTokenIndex - 2));
            await sequence.eraseContextTokenRanges([{start, end: start + random.integer(1, 40)}]);
            count(counts, "erasures");
        } else if (what === 1) {
            await sequence.saveStateToFile(run.stateFile);
            await generate(run, random, trace, more(), random.integer(1, 12));
            await sequence.loadStateFromFile(run.stateFile, {acceptRisk: true});
            rmSync(run.stateFile);
            count(counts, "states loaded");
        } else if (what === 2) {
            await sequence.clearHistory();
            count(counts, "texts cleared");
        } else if (what === 3) {
            configure(run, random);
        }
        const prompt = what === 2 ? promptOf(run, random) : more();
        await generate(run, random, trace, prompt, random.integer(8, 90));
    }
}

/** A text that comes to the end of the context, whose beginning node-llama-cpp then takes away. */
async function fill(run: JobRun, random: Random, trace: Trace): Promise<void> {
    const {contextSize} = run.sequence;
    const prompt = promptOf(run, random, contextSize - random.integer(8, 40));
    await generate(run, random, trace, prompt, contextSize - prompt.length + random.integer(4, 30), true);
}

function promptOf(
    {materials, sequence}: JobRun,
    random: Random,
    length = random.integer(0, 3) === 0 ? random.integer(64, 140) : random.integer(1, 40)
): Token[] {
    const tokens = sequence.model.tokenize(random.pick(materials.prompts));
    return Array.from({length}, (_, i) => tokens[i % tokens.length] as Token);
}

/** `onward`: through the text's end as the model sees it. */
async function generate(
    run: JobRun,
    random: Random,
    trace: Trace,
    prompt: Token[],
    length: number,
    onward = false
): Promise<void> {
    const {sequence, counts, materials} = run;
    const isGrammatical = !onward && random.integer(0, 4) === 0;
    const penalty =
        random.integer(0, 3) === 0 ? {punishTokens: () => trace.tokens.slice(-20) as Token[], penalty: 1.2} : undefined;
    const reconfigureAt = random.integer(0, 2 * length);
    const {model} = sequence;
    if (isGrammatical) count(counts, "grammars");
    let left = length;
    let filled = 0;
    const options = {
        yieldEogToken: true,
        ...(isGrammatical && {
            grammarEvaluationState: new LlamaGrammarEvaluationState({model, grammar: materials.grammar})
        }),
        ...(penalty !== undefined && {repeatPenalty: penalty})
    };
    for await (const token of sequence.evaluate(prompt, options)) {
        take(run, trace, token);
        if (sequence.nextTokenIndex < filled) count(counts, "context shifts");
        filled = sequence.nextTokenIndex;
        if (--left === 0 || (!onward && model.isEogToken(token))) break;
        if (left === reconfigureAt) configure(run, random);
    }
}

/** A chat session's answer, by a grammar now and then. */
async function chat(run: JobRun, random: Random, trace: Trace): Promise<void> {
    const {sequence, materials, counts} = run;
    const session = new LlamaChatSession({contextSequence: sequence, chatWrapper: materials.chatWrapper});
    const controller = new AbortController();
    try {
        for (let turn = random.integer(1, 2); turn > 0; turn--) {
            const isGrammatical = random.integer(0, 2) === 0;
            await session.prompt(random.pick(materials.prompts), {
                ...(isGrammatical && {grammar: materials.grammar}),
                maxTokens: random.integer(10, 60),
                signal: controller.signal,
                onToken: (tokens) => {
                    if (controller.signal.aborted) return;
                    try {
                        for (const token of tokens) take(run, trace, token);
                    } catch (error) {
                        controller.abort(error);
                    }
                }
            });
            count(counts, "chat answers");
            if (isGrammatical) count(counts, "grammars");
        }
    } finally {
        session.dispose({disposeSequence: false});
    }
}

function take(run: JobRun, trace: Trace, token: Token): void {
    // A token that was being decoded when the sequence went has no settings any more.
    if (run.sequence.disposed) throw new Stopped();
    trace.tokens.push(token);
    count(run.counts, "tokens");
    if (run.stop(trace)) throw new Stopped();
}

export function count(counts: Counts, name: string, more = 1): void {
    counts[name] = (counts[name] ?? 0) + more;
}
