/** From responses to pairs, and from pairs to labelled tokens. */
import {MaraError} from "../../errors.js";
import {plural} from "../../plural.js";
import type {PreferencePair, Prompt} from "../../prompts/prompts.js";
import type {TrainConfig} from "../options.js";
import {requireScore} from "../run/hope.js";
import {derivedSeed, shuffled, use} from "../seeds.js";
import type {ResponseRow} from "./responses.js";

/** A pair, and which of its responses the length limit ended. That happens to sampled ones. */
export interface AnnotatedPair extends PreferencePair {
    chosenCut?: boolean;
    rejectedCut?: boolean;
}

/** How many prompts gave a pair, and why the others gave none. */
export interface PairCounts {
    prompts: number;
    pairs: number;
    /** All their responses are worth the same. */
    alike: number;
    /** The best or the worst response is empty. */
    empty: number;
    /** The reward failed for all of their responses. */
    failed: number;
}

/** Pairs the best and the worst of each prompt's responses. Prompts whose responses are all worth the same give no pair. */
export function pairsFromResponses(rows: readonly ResponseRow[], prompts: readonly Prompt[]): AnnotatedPair[] {
    return rank(rows).flatMap(({index, best, worst, kind}) => {
        if (kind !== "pairs") return [];
        const {prompt, system, format} = prompts[index] as Prompt;
        const asked = {prompt, ...(system !== undefined && {system}), ...(format !== undefined && {format})};
        const texts = {chosen: best.response, rejected: worst.response};
        const cuts = {chosenCut: best.ended === "length", rejectedCut: worst.ended === "length"};
        return [{...asked, ...texts, ...cuts}];
    });
}

export function countPairs(rows: readonly ResponseRow[]): PairCounts {
    const ranked = rank(rows);
    const counts = {prompts: ranked.length, pairs: 0, alike: 0, empty: 0, failed: 0};
    for (const {kind} of ranked) counts[kind]++;
    return counts;
}

/** Why prompts gave no pair, with their counts; an empty text if all did. */
export function whyNone({alike, empty, failed}: PairCounts): string {
    return [
        alike > 0 ? `${alike} whose responses are all worth the same` : "",
        empty > 0 ? `${empty} with an empty response` : "",
        failed > 0 ? `${failed} for which the reward failed` : ""
    ]
        .filter((part) => part !== "")
        .join(", ");
}

/** Refuses responses that nothing can be learnt from. @throws MaraError REWARD_FAILED if none has a score, else PAIRS_TOO_FEW */
export function refuseToLearn(rows: readonly ResponseRow[]): never {
    requireScore(rows);
    const counts = countPairs(rows);
    throw new MaraError(
        "PAIRS_TOO_FEW",
        `Nothing can be learnt from ${plural(counts.prompts, "prompt")}: ${whyNone(counts)}. ` +
            "Take a finer reward, a higher sampleTemperature, or other prompts."
    );
}

function rank(rows: readonly ResponseRow[]) {
    const byPrompt = new Map<number, ResponseRow[]>();
    for (const row of rows) {
        const others = byPrompt.get(row.prompt);
        if (others === undefined) byPrompt.set(row.prompt, [row]);
        else others.push(row);
    }
    return [...byPrompt].map(([index, responses]) => {
        const ranked = responses
            .filter(({score}) => score !== null)
            .sort((a, b) => (b.score as number) - (a.score as number));
        const [best, worst] = [ranked[0] as ResponseRow, ranked.at(-1) as ResponseRow];
        const kindOf = () => {
            if (best === undefined) return "failed";
            if (best.score === worst.score) return "alike";
            return best.response.trim() === "" || worst.response.trim() === "" ? "empty" : "pairs";
        };
        return {index, best, worst, kind: kindOf()} as const;
    });
}

/**
 * Weights of the tokens of two responses. They are 0 where the two are still alike, since a token cannot be right in one and wrong in the
 * other; 1 where they part, because the choice was made there; then less and less, but never below the floor.
 */
export function tokenWeights(
    chosen: readonly number[],
    rejected: readonly number[],
    {weightDecay, weightFloor}: Pick<TrainConfig, "weightDecay" | "weightFloor">
): {chosen: Float32Array; rejected: Float32Array} {
    let alike = 0;
    while (alike < Math.min(chosen.length, rejected.length) && chosen[alike] === rejected[alike]) alike++;
    const weights = (tokens: readonly number[]) =>
        Float32Array.from(tokens, (_, i) => (i < alike ? 0 : Math.max(weightFloor, weightDecay ** (i - alike))));
    return {chosen: weights(chosen), rejected: weights(rejected)};
}

/** What prompts have in common that are held out together, or not at all. */
export function groupOf({prompt, system}: Prompt): string {
    return JSON.stringify([prompt, system]);
}

/** `what` names the prompts or pairs. */
export function tooFewToHoldOut(what: string): MaraError {
    return new MaraError(
        "PAIRS_TOO_FEW",
        `Too little to learn from ${what}: some must be held out, of other prompts than the rest. Give more prompts or pairs.`
    );
}

/** Which pairs are held out: whole prompts, so that no held-out pair has a sibling that is learnt from. */
export function heldOutPairs(pairs: readonly Prompt[], share: number, seed: number): Uint8Array {
    const keys = pairs.map(groupOf);
    const groups = [...new Set(keys)];
    const count = heldOutCount(groups.length, share);
    const order = shuffled(groups.length, derivedSeed(seed, use.heldOut));
    const heldOut = new Set([...order.subarray(0, count)].map((i) => groups[i]));
    return Uint8Array.from(keys, (key) => Number(heldOut.has(key)));
}

/** How many of these prompts are held out to fit an agent. */
export function heldOutCount(prompts: number, share: number): number {
    return Math.min(prompts - 1, Math.max(1, Math.round(prompts * share)));
}
