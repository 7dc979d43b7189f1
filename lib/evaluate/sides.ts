/** The sides of an evaluation: their answers, and the scores of these. */
import {join} from "node:path";
import type {LlamaContext, LlamaModel, Token} from "node-llama-cpp";
import {newContext} from "../align/node-llama-cpp/new-context.js";
import {MaraError} from "../errors.js";
import {AnswerPool, promptsPerBlock} from "../generation/answers.js";
import {promptTokens} from "../generation/prompt-tokens.js";
import type {Prompt} from "../prompts/prompts.js";
import type {Coordinator} from "../queue/coordinator.js";
import {scoreGuarded} from "../rewards/guard.js";
import {guarded, type Reward} from "../rewards/reward.js";
import type {EvaluationProgress, Opponent} from "./options.js";
import {fluencyOf} from "./perplexity.js";
import {alignedPlan, type ContextShape, opponentPlan, type Plan, type Players, sha256} from "./plans.js";
import {type Counts, type Fluency, type Score, SideStore, type StoredAnswer, type StoredBlock} from "./side-store.js";
import {storedBlock, sumCounts} from "./stored-block.js";

/** The parts that all sides share. */
export interface EvaluationSetup extends Players {
    prompts: readonly Prompt[];
    /** Scores are kept by `key`. */
    rewards: readonly {key: string; reward: Reward}[];
    runDirectory: string | undefined;
    signal: AbortSignal | undefined;
    /** Where workers answer. */
    coordinator: Coordinator | undefined;
    onProgress: (progress: Pick<EvaluationProgress, "side" | "phase" | "done" | "total">) => void;
}

/** Responses that are scored together where workers score them. */
const remoteScores = 256;

/** One side's answers, one for each prompt, and what was measured on them. */
export interface Side {
    name: string;
    answers: StoredAnswer[];
    /** Scores of each reward, in the order of the rewards. */
    scores: Score[][];
    /** Empty where it was not asked for. */
    fluency: Fluency[];
    generatedTokens: number;
    decodes: number;
    seconds: number;
    /** The aligner's counters; for aligned sides only. */
    counts: Counts | undefined;
}

export class SideRunner {
    readonly #setting: EvaluationSetup;
    readonly #done = new Map<string, Side>();
    #meter: LlamaContext | undefined;

    constructor(setting: EvaluationSetup) {
        this.#setting = setting;
    }

    /** The aligned side at a threshold. */
    async aligned(name: string, threshold: number): Promise<Side> {
        return await this.#side(alignedPlan(this.#setting, name, threshold));
    }

    async opponent(opponent: Opponent): Promise<Side> {
        const rawAnswers = async () => (await this.opponent({kind: "raw", name: "raw"})).answers.map(({text}) => text);
        const plan = await opponentPlan(this.#setting, opponent, rawAnswers);
        try {
            return await this.#side(plan);
        } finally {
            plan.close?.();
        }
    }

    async close(): Promise<void> {
        await this.#meter?.dispose();
    }

    async #side(plan: Plan): Promise<Side> {
        const done = this.#done.get(plan.name);
        if (done !== undefined) return done;
        const {prompts, rewards, settings, runDirectory, signal} = this.#setting;
        const {maxTokens, seed, sequences, threads} = settings;
        const identity = {
            side: plan.name,
            ...plan.identity,
            prompts: sha256(JSON.stringify(prompts)),
            maxTokens,
            seed,
            sequences,
            threads: threads ?? null
        };
        const path = runDirectory === undefined ? undefined : join(runDirectory, "sides", `${slugOf(plan.name)}.jsonl`);
        const store = await SideStore.open(path, identity);
        await this.#answer(plan, store);
        const given = store.answers;

        // The first reward scores every sample, the others only the sample that is kept.
        const [first, ...others] = rewards;
        const everything = given.map((_, index) => index);
        await this.#score(plan, store, first as EvaluationSetup["rewards"][number], everything);
        const kept = prompts.map((_, i) =>
            bestOf(store.scores((first as {key: string}).key), i * plan.samples, plan.samples)
        );
        for (const reward of others) await this.#score(plan, store, reward, kept);
        if (settings.fluency) await this.#measure(plan, store, kept);
        signal?.throwIfAborted();

        const blocks = [...store.blocks.values()];
        const total = (of: (block: StoredBlock) => number) => blocks.reduce((sum, block) => sum + of(block), 0);
        const side: Side = {
            name: plan.name,
            answers: kept.map((index) => given[index] as StoredAnswer),
            scores: rewards.map(({key}) => kept.map((index) => store.scores(key).get(index) ?? null)),
            fluency: settings.fluency ? kept.map((index) => store.fluency.get(index) as Fluency) : [],
            generatedTokens: total(({generatedTokens}) => generatedTokens),
            decodes: total(({decodes}) => decodes),
            seconds: total(({seconds}) => seconds),
            counts: sumCounts(blocks.flatMap(({counts}) => counts ?? []))
        };
        this.#done.set(plan.name, side);
        return side;
    }

    /** Gives the answers that are missing. */
    async #answer(plan: Plan, store: SideStore): Promise<void> {
        const {prompts, settings, signal} = this.#setting;
        const tasks = prompts.flatMap((prompt) => Array<Prompt>(plan.samples).fill(prompt));
        const size = promptsPerBlock(settings.sequences);
        const starts = tasks.map((_, i) => i).filter((i) => i % size === 0);
        const missing = starts.filter((first) => !store.blocks.has(first));
        const progress = (done: number) => this.#report(plan, "answers", done, tasks.length);
        if (missing.length === 0) return;
        let done = tasks.length - missing.reduce((sum, first) => sum + Math.min(size, tasks.length - first), 0);
        progress(done);
        const tokensOf = (model: LlamaModel) => (prompt: Prompt, index: number) =>
            plan.tokensOf?.(model, prompt, index) ?? promptTokens(model, prompt);
        const shape = (model: LlamaModel) => this.#shapeFor(tasks, tokensOf(model));
        const {coordinator} = this.#setting;
        if (coordinator !== undefined) {
            const {answerRemotely} = await import("./remote-sides.js");
            await answerRemotely({...plan.remote, sampling: plan.sampling}, coordinator, {
                settings,
                signal,
                shape,
                tokensOf: (model, index) => tokensOf(model)(tasks[index] as Prompt, index),
                blocks: missing.map((first) => ({first, count: Math.min(size, tasks.length - first)})),
                onBlock: async (block) => {
                    await store.addBlock(block);
                    done += block.answers.length;
                    progress(done);
                }
            });
            return;
        }
        const open = await plan.open(shape);
        const pool = new AnswerPool(open.context, settings.sequences);
        try {
            for (const first of missing) {
                open.aligner?.resetStats();
                const block = await pool.answer(tasks.slice(first, first + size), {
                    ...plan.sampling,
                    maxTokens: settings.maxTokens,
                    seed: settings.seed,
                    firstIndex: first,
                    tokensOf: tokensOf(open.context.model),
                    onAnswer: () => progress(++done),
                    ...(signal === undefined ? {} : {signal})
                });
                await store.addBlock(storedBlock(open, first, block));
            }
        } finally {
            await open.close();
        }
    }

    /** Each sequence as long as the longest prompt and answer. */
    #shapeFor(
        tasks: readonly Prompt[],
        tokensOf: (prompt: Prompt, index: number) => Token[]
    ): ReturnType<ContextShape> {
        const {contextSize, maxTokens, sequences, threads} = this.#setting.settings;
        const longest = () => tasks.reduce((max, task, i) => Math.max(max, tokensOf(task, i).length), 0);
        return {
            contextSize: contextSize ?? longest() + maxTokens + 1,
            sequences,
            ...(threads === undefined ? {} : {threads})
        };
    }

    async #score(
        plan: Plan,
        store: SideStore,
        {key, reward}: EvaluationSetup["rewards"][number],
        indices: readonly number[]
    ): Promise<void> {
        const {prompts, signal} = this.#setting;
        const {answers} = store;
        const scores = store.scores(key);
        const missing = indices.filter((index) => !scores.has(index));
        // Workers score many at a time.
        const atOnce = guarded in reward ? remoteScores : 1;
        for (let first = 0; first < missing.length; first += atOnce) {
            signal?.throwIfAborted();
            this.#report(plan, "scores", indices.length - missing.length + first, indices.length);
            const group = missing.slice(first, first + atOnce);
            const found = await Promise.all(
                group.map((index) => {
                    const prompt = prompts[Math.floor(index / plan.samples)] as Prompt;
                    return scoreOrNull(reward, prompt, answers[index]?.text ?? "");
                })
            );
            for (const [i, index] of group.entries()) await store.addScore(key, index, found[i] as Score);
        }
    }

    async #measure(plan: Plan, store: SideStore, kept: readonly number[]): Promise<void> {
        const {prompts, signal, model} = this.#setting;
        const {answers} = store;
        const missing = kept.filter((index) => !store.fluency.has(index));
        if (missing.length === 0) return;
        const jobs = missing.map((index) => {
            const {tokens, text} = answers[index] as StoredAnswer;
            return {
                index,
                prompt: promptTokens(model, prompts[Math.floor(index / plan.samples)] as Prompt),
                answer: plan.ownTokens ? (tokens as Token[]) : model.tokenize(text)
            };
        });
        const longest = Math.max(...jobs.map(({prompt, answer}) => prompt.length + answer.length));
        const sequence = (await this.#meterFor(longest)).getSequence();
        try {
            for (const [done, {index, prompt, answer}] of jobs.entries()) {
                signal?.throwIfAborted();
                this.#report(plan, "fluency", done, jobs.length);
                await store.addFluency(index, await fluencyOf(sequence, prompt, answer));
            }
        } finally {
            sequence.dispose();
        }
    }

    /** A context of the base model that is long enough, for one text at a time. */
    async #meterFor(tokens: number): Promise<LlamaContext> {
        const {model, settings} = this.#setting;
        if (this.#meter !== undefined && (this.#meter.contextSize <= tokens + 1 || this.#meter.sequencesLeft === 0)) {
            await this.#meter.dispose();
            this.#meter = undefined;
        }
        const {threads, contextSize = 0} = settings;
        this.#meter ??= await newContext(model, {
            contextSize: Math.max(contextSize, tokens + 2),
            ...(threads === undefined ? {} : {threads})
        });
        return this.#meter;
    }

    #report({name}: Plan, phase: EvaluationProgress["phase"], done: number, total: number): void {
        this.#setting.onProgress({side: name, phase, done, total});
    }
}

async function scoreOrNull(reward: Reward, prompt: Prompt, response: string): Promise<Score> {
    try {
        return (await scoreGuarded(reward, prompt, response)).score;
    } catch (error) {
        if (error instanceof MaraError && error.code === "REWARD_FAILED") return null;
        throw error;
    }
}

/** The sample with the highest score, the first of several; the first at all where the reward always failed. */
function bestOf(scores: ReadonlyMap<number, Score>, first: number, samples: number): number {
    let best = first;
    for (let index = first; index < first + samples; index++)
        if ((scores.get(index) ?? Number.NEGATIVE_INFINITY) > (scores.get(best) ?? Number.NEGATIVE_INFINITY))
            best = index;
    return best;
}

/** A file name of its own for every side: names hold paths. */
function slugOf(name: string): string {
    const plain = name.replace(/[^\w.-]+/g, "-");
    return plain === name ? plain : `${plain.slice(0, 60)}-${sha256(name).slice(0, 8)}`;
}
