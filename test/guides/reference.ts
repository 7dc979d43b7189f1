/** What each guide does, written anew on float64 logits of plain contexts. */
import type {LlamaModel} from "node-llama-cpp";
import type {ValueNetwork} from "../../lib/agent/value-network.js";
import {
    type ContrastOptions,
    contrast,
    type GuidanceOptions,
    type Guide,
    guidance,
    type ValueModelOptions,
    valueModel
} from "../../lib/index.js";
import {PlainLogits} from "../support/plain-logits.js";
import {ReferenceStudent} from "../support/students.js";

/** Differences below this may come out either way where sums are taken in another order. */
const noise = 1e-4;

/** A guide and what it should do. */
export interface Case {
    name: string;
    guide: Guide;
    /** Changes the logits of the guided model. */
    change(
        logits: Float64Array,
        prompt: readonly number[],
        response: readonly number[],
        hasGrammar?: boolean
    ): Promise<Float64Array>;
    /** How near two logits may come before either may be the larger, where that is more than float32's noise. */
    noise?: number;
}

export async function guidanceCase(model: LlamaModel, options: GuidanceOptions): Promise<Case> {
    const plain = await PlainLogits.of(model);
    const {negativePrompt, scale} = options;
    return {
        name: `guidance ${scale}`,
        guide: guidance(options),
        async change(logits, _, response) {
            const negative = await plain.after([...(negativePrompt as readonly number[]), ...response]);
            return logits.map((logit, i) => (1 - scale) * (negative[i] as number) + scale * logit);
        }
    };
}

export async function contrastCase(options: ContrastOptions & {amateur: LlamaModel}): Promise<Case> {
    const plain = await PlainLogits.of(options.amateur);
    const {weight, plausibility = 0.1} = options;
    return {
        name: `contrast ${weight}`,
        guide: contrast(options),
        async change(logits, prompt, response, hasGrammar) {
            const amateur = await plain.after([...prompt, ...response]);
            const best = Math.max(...logits);
            return logits.map((logit, i) =>
                Math.exp(logit - best) < plausibility
                    ? logit - (hasGrammar ? 1000 : Number.POSITIVE_INFINITY)
                    : (1 + weight) * logit - weight * (amateur[i] as number)
            );
        }
    };
}

export async function valueCase(options: ValueModelOptions & {tuned: LlamaModel; base?: LlamaModel}): Promise<Case> {
    const tuned = await PlainLogits.of(options.tuned);
    const base = options.base && (await PlainLogits.of(options.base));
    const {weight = 1} = options;
    return {
        name: `value model ${weight}`,
        guide: valueModel(options),
        async change(logits, prompt, response) {
            const after = await tuned.after([...prompt, ...response]);
            const before = await base?.after([...prompt, ...response]);
            return logits.map((logit, i) => logit + weight * ((after[i] as number) - (before?.[i] ?? 0)));
        }
    };
}

/** `tensors`: the network's. `file`: where they stand. */
export async function networkCase(
    model: LlamaModel,
    {file, tensors, candidates, weight}: Pick<ValueNetwork, "tensors" | "candidates"> & {file: string; weight: number}
): Promise<Case> {
    const plain = await PlainLogits.of(model, {states: true});
    return {
        name: `network ${file}, ${weight}`,
        guide: valueModel({network: file, weight}),
        // The network's table is rounded to half precision.
        noise: 1e-3 * Math.abs(weight) + noise,
        async change(logits, prompt, response) {
            const reference = await ReferenceStudent.create(model, {tensors}, logits.length);
            const state = await plain.stateAfter([...prompt, ...response]);
            const order = [...logits.keys()].sort((a, b) => (logits[b] as number) - (logits[a] as number));
            const sorted = order.map((token) => logits[token] as number);
            const changed = logits.slice();
            for (const [rank, token] of order.slice(0, candidates).entries())
                changed[token] =
                    (sorted[rank] as number) + weight * reference.judge(state, {token, rank, logits: sorted}).mean;
            return changed;
        }
    };
}

/** The most probable tokens one after the other, up to one about which float noise could decide. */
export async function greedy(
    main: PlainLogits,
    {change, noise: own = noise}: Case,
    prompt: readonly number[],
    count: number,
    isEnd: (token: number) => boolean
): Promise<number[]> {
    const response: number[] = [];
    while (response.length < count) {
        const logits = await change(await main.after([...prompt, ...response]), prompt, response);
        const best = logits.indexOf(Math.max(...logits));
        const second = Math.max(...logits.filter((_, token) => token !== best));
        if ((logits[best] as number) - second < own) break;
        response.push(best);
        if (isEnd(best)) break;
    }
    return response;
}
