import type {LlamaContext, LlamaContextOptions, LlamaModel} from "node-llama-cpp";
import {uniformInt} from "pure-rand/distribution/uniformInt";
import {xoroshiro128plus} from "pure-rand/generator/xoroshiro128plus";
import type {RandomGenerator} from "pure-rand/types/RandomGenerator";
import type {AgentTensor} from "../../lib/agent/agent.js";
import {ReferenceNetwork} from "./network.js";
import {plainContext, plainSampler} from "./plain-context.js";
import type {ReferenceStudent} from "./students.js";

/** Every setting that the choice of a token depends on, none left to a default. */
export interface ReferenceSettings {
    topK: number;
    topP: number;
    minP: number;
    strategy: "first" | "random" | "max-prob";
    order: "best-first" | "top-last" | "reverse";
    threshold: number;
    fallbackIndex: number;
    seed: number;
}

/** The first accepted of six candidates, for an agent's tests. */
export const firstOfSix: ReferenceSettings = {
    topK: 6,
    topP: 1,
    minP: 0,
    strategy: "first",
    order: "best-first",
    threshold: 0.5,
    fallbackIndex: 0,
    seed: 3
};

export interface ReferenceStep {
    /** Most probable first. */
    candidates: number[];
    /** Accept probability by rank, for the candidates that the choice rests on. */
    verdicts: Map<number, number>;
    chosenRank: number;
    fallback: boolean;
    /** True if float noise may show up in other candidates, though it would not change the token. */
    blurred: boolean;
}

export interface ReferenceRun {
    tokens: number[];
    steps: ReferenceStep[];
    /** Why the run ended early: float noise could turn the next token into another one. */
    tie?: string;
}

/** A student and the confidence from which on its verdicts are taken. */
export interface ReferenceCascade {
    student: ReferenceStudent;
    confidence: number;
}

/** A student's table is rounded to half precision, which moves its verdicts by less than this. */
export const studentNoise = 5e-4;

/** Differences below this may come out either way where sums are taken in another order. */
const noise = 1e-5;

export interface Scored {
    token: number;
    logit: number;
}

interface Evaluation {
    logits: Scored[];
    state: Float64Array;
}

interface Choice {
    rank: number;
    token: number;
    fallback: boolean;
    tie: string | undefined;
}

/**
 * Decodes as the paper says, in the slowest and most obvious way: for each candidate an empty cache and the whole text from its
 * beginning, on a plain context; candidates from the raw logits and the agent's network in float64.
 */
export class ReferenceDecoder {
    readonly #context: LlamaContext;
    readonly #sampler: object;
    readonly #stepwise: boolean;

    private constructor(context: LlamaContext, sampler: object, stepwise: boolean) {
        this.#context = context;
        this.#sampler = sampler;
        this.#stepwise = stepwise;
    }

    /** `stepwise`: the prompt as one batch and each generated token as another, as any decoder would; else the text as one batch. */
    static async create(model: LlamaModel, options: LlamaContextOptions, stepwise: boolean): Promise<ReferenceDecoder> {
        const context = await model.createContext({...options, ...{_embeddings: true}});
        return new ReferenceDecoder(context, plainSampler(model), stepwise);
    }

    async dispose(): Promise<void> {
        await this.#context.dispose();
    }

    /** At most `count` tokens after `prompt`, an end-of-generation token included. `sequence` selects the random stream. */
    async run(
        prompt: readonly number[],
        tensors: Readonly<Record<string, AgentTensor>>,
        settings: ReferenceSettings,
        count: number,
        {
            sequence = 0,
            cascade,
            accept,
            foregone,
            written = []
        }: {
            sequence?: number;
            cascade?: ReferenceCascade;
            /** Gives a state's accept probability in place of the agent of these tensors. */
            accept?: (state: Float64Array) => number;
            /** Gives a candidate's accept probability from the state before it; "tie" where float noise could turn it. */
            foregone?: (state: ArrayLike<number>, rank: number, candidates: readonly Scored[]) => number | "tie";
            /** Tokens that were generated before. */
            written?: readonly number[];
        } = {}
    ): Promise<ReferenceRun> {
        const network = new ReferenceNetwork(tensors);
        const generator = xoroshiro128plus((settings.seed ^ Math.imul(sequence + 1, 0x9e3779b1)) | 0);
        const run: ReferenceRun = {tokens: [], steps: []};
        const batchesOf = (tokens: readonly number[]) => {
            const generated = [...written, ...tokens];
            return this.#stepwise ? [prompt, ...generated.map((token) => [token])] : [[...prompt, ...generated]];
        };
        while (run.tokens.length < count) {
            const {logits, state: before} = await this.#evaluate(batchesOf(run.tokens), true);
            const lists = candidateLists(logits, settings);
            const verdicts = new Map<number, number>();
            const judge = async (rank: number, candidates: readonly Scored[]) => {
                const {token} = candidates[rank] as Scored;
                const predicted = cascade && predict(cascade, before, rank, candidates, settings.threshold);
                if (predicted !== undefined) return predicted;
                if (foregone !== undefined) return foregone(before, rank, candidates);
                const known = verdicts.get(token);
                if (known !== undefined) return known;
                const {state} = await this.#evaluate(batchesOf([...run.tokens, token]), false);
                const probability = accept?.(state) ?? network.acceptProbability(state);
                verdicts.set(token, probability);
                return probability;
            };
            const [exact = [], ...others] = lists;
            const noiseOf = cascade !== undefined || foregone !== undefined ? studentNoise : undefined;
            const unused = generator.clone();
            const choice = await choose(exact, settings, judge, generator, noiseOf);
            const judged = exact.map(({token}) => verdicts.get(token));
            let {tie} = choice;
            for (const other of others) {
                const alternative = await choose(other, settings, judge, unused.clone(), noiseOf);
                tie ??= alternative.token === choice.token ? alternative.tie : "the candidates";
            }
            if (tie !== undefined) return {...run, tie};
            run.tokens.push(choice.token);
            run.steps.push({
                candidates: exact.map(({token}) => token),
                verdicts: new Map(judged.flatMap((value, rank) => (value === undefined ? [] : [[rank, value]]))),
                chosenRank: choice.rank,
                fallback: choice.fallback,
                blurred: others.length > 0
            });
            if (this.#context.model.isEogToken(choice.token as Parameters<LlamaModel["isEogToken"]>[0])) break;
        }
        return run;
    }

    /** Logits and state of the last token, from an empty cache. */
    async #evaluate(batches: readonly (readonly number[])[], wantsLogits: boolean): Promise<Evaluation> {
        const context = plainContext(this.#context);
        context.removeTokenCellsFromSequence(0, 0, -1);
        let position = 0;
        let rows: ArrayLike<number> = [];
        for (const batch of batches) {
            context.initBatch(batch.length);
            rows = context.addToBatch(0, position, Uint32Array.from(batch), Uint32Array.of(batch.length - 1));
            await context.decodeBatch();
            position += batch.length;
        }
        const state = context.getEmbedding(1);
        if (!wantsLogits) return {logits: [], state};
        const everything = [[], false, false, false, 2 ** 20];
        const [, , , pairs] = await context.sampleToken(
            rows[0] as number,
            this.#sampler,
            false,
            false,
            everything,
            false
        );
        const logits: Scored[] = [];
        for (let i = 0; i < pairs.length; i += 2)
            logits.push({token: pairs[i] as number, logit: pairs[i + 1] as number});
        return {logits, state};
    }
}

/** The candidates, and after them each list that float noise could make of them. */
function candidateLists(logits: readonly Scored[], {topK, topP, minP}: ReferenceSettings): Scored[][] {
    const sorted = [...logits].sort((a, b) => b.logit - a.logit || a.token - b.token);
    const counts = new Set<number>();
    const top = sorted.slice(0, topK);
    const best = (top[0] as Scored).logit;
    const weights = top.map(({logit}) => Math.exp(logit - best));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // The smallest prefix whose probability reaches topP, then what is at least minP times as probable as the first.
    for (const slack of [0, noise, -noise]) {
        let sum = 0;
        let nucleus = topP >= 1 ? top.length : 0;
        while (nucleus < top.length && sum < topP + slack) sum += (weights[nucleus++] as number) / total;
        for (const minSlack of [0, noise, -noise]) {
            const min = minP === 0 ? Number.NEGATIVE_INFINITY : best + Math.log(minP) + minSlack;
            counts.add(Math.max(1, top.slice(0, nucleus).filter(({logit}) => logit >= min).length));
        }
    }
    const [count = 0, ...otherCounts] = counts;
    const exact = top.slice(0, count);
    const swapped = exact.flatMap(({logit}, rank) => {
        const next = sorted[rank + 1];
        if (next === undefined || logit - next.logit >= noise) return [];
        return [[...sorted.slice(0, rank), next, sorted[rank] as Scored, ...sorted.slice(rank + 2)].slice(0, count)];
    });
    return [exact, ...otherCounts.map((other) => top.slice(0, other)), ...swapped];
}

/** The student's accept probability, undefined where it is not sure enough; "tie" where float noise could turn either. */
function predict(
    {student, confidence}: ReferenceCascade,
    state: ArrayLike<number>,
    rank: number,
    candidates: readonly Scored[],
    threshold: number
): number | "tie" | undefined {
    const {token} = candidates[rank] as Scored;
    const {mean, deviation} = student.judge(state, {token, rank, logits: candidates.map(({logit}) => logit)});
    const distance = Math.abs(mean - Math.log(threshold / (1 - threshold)));
    const found = distance / deviation;
    if (confidence > 0 && Math.abs(found - confidence) < studentNoise / deviation) return "tie";
    if (found >= confidence && distance < studentNoise) return "tie";
    return found >= confidence ? 1 / (1 + Math.exp(-mean)) : undefined;
}

async function choose(
    candidates: readonly Scored[],
    {strategy, order, threshold, fallbackIndex}: ReferenceSettings,
    judge: (rank: number, candidates: readonly Scored[]) => Promise<number | "tie">,
    generator: RandomGenerator,
    within = noise
): Promise<Choice> {
    const at = (rank: number, fallback: boolean, tie?: string): Choice => {
        const {token} = candidates[rank] as Scored;
        return {rank, token, fallback, tie};
    };
    if (candidates.length === 1) return at(0, false);
    const accepted: {rank: number; probability: number}[] = [];
    for (const rank of ranksInOrder(candidates.length, order)) {
        const probability = await judge(rank, candidates);
        // Nothing is near 0 or 1 in the sense of a tie: there the comparison is the same for all of them.
        const isInside = threshold > 0 && threshold < 1;
        if (probability === "tie" || (isInside && Math.abs(probability - threshold) < noise))
            return at(rank, false, "the threshold");
        if (!(probability > threshold)) continue;
        if (strategy === "first") return at(rank, false);
        accepted.push({rank, probability});
    }
    if (accepted.length === 0) return at(Math.min(fallbackIndex, candidates.length - 1), true);
    if (strategy === "random") {
        const {rank} = accepted[uniformInt(generator, 0, accepted.length - 1)] as {rank: number};
        return at(rank, false);
    }
    const [first, second] = [...accepted].sort((a, b) => b.probability - a.probability);
    const isTie = first !== undefined && second !== undefined && first.probability - second.probability < within;
    return at((first as {rank: number}).rank, false, isTie ? "the highest accept probability" : undefined);
}

function ranksInOrder(count: number, order: ReferenceSettings["order"]): number[] {
    const ranks: number[] = [];
    for (let rank = 0; rank < count; rank++) ranks.push(rank);
    if (order === "reverse") ranks.reverse();
    if (order === "top-last") ranks.push(ranks.shift() as number);
    return ranks;
}
