import type {Candidate} from "../../align/decide/candidates.js";
import {Decision, evaluationOrder} from "../../align/decide/decision.js";
import type {Order, Strategy} from "../../align/options.js";
import type {Uniform} from "../../random.js";

/** How the decisions of rollouts are made. */
export interface DecisionOptions {
    order: Order;
    /** Rank, by probability, of the candidate emitted when none is accepted. */
    fallbackIndex: number;
    /** True if exploring accepts the candidate tried last whenever it is reached. */
    lastAccepted: boolean;
    /** Which accepted candidate is emitted where nothing is explored. */
    strategy: Strategy;
}

/** Candidates in the order in which they are tried, and where the fallback stands among them. */
export function tried<T>(
    candidates: readonly T[],
    {order, fallbackIndex}: Pick<DecisionOptions, "order" | "fallbackIndex">
): {inOrder: T[]; fallback: number} {
    const ranks = evaluationOrder(candidates.length, order);
    return {
        inOrder: ranks.map((rank) => candidates[rank] as T),
        fallback: ranks.indexOf(Math.min(fallbackIndex, candidates.length - 1))
    };
}

/**
 * How a training decision comes about: each candidate, in order, is accepted with its accept probability, and the first accepted
 * one is emitted; if none is, the fallback. All are judged in any case: the penalty on leaving the model's distribution needs
 * every accept probability.
 *
 * @returns a decision over the candidates in the order in which they are tried
 */
export function exploring(candidates: readonly Candidate[], options: DecisionOptions, uniform: Uniform): Decision {
    const {inOrder, fallback} = tried(candidates, options);
    const threshold = inOrder.length === 1 ? [] : inOrder.map(uniform);
    // Every accept probability is above this.
    if (options.lastAccepted && threshold.length > 0) threshold[threshold.length - 1] = -1;
    return new Decision(inOrder, {strategy: "first", order: "best-first", threshold, fallbackIndex: fallback});
}

/** A decision as at inference, over the candidates in the order in which they are tried. `uniform` makes the choices of strategy "random". */
export function deciding(
    candidates: readonly Candidate[],
    options: DecisionOptions,
    threshold: number,
    uniform: Uniform
): Decision {
    const {inOrder, fallback} = tried(candidates, options);
    const rule = {strategy: options.strategy, order: "best-first", threshold, fallbackIndex: fallback} as const;
    return new Decision(inOrder, rule, (below) => Math.min(below - 1, Math.floor(uniform() * below)));
}

/** The model's own choice: one candidate, drawn by its probability, and nothing to judge. */
export function sampled(candidates: readonly Candidate[], uniform: Uniform): Decision {
    const total = candidates.reduce((sum, {probability}) => sum + probability, 0);
    let left = uniform() * total;
    const drawn = candidates.find(({probability}) => {
        left -= probability;
        return left < 0;
    });
    // Rounding may leave a rest.
    return new Decision([drawn ?? (candidates.at(-1) as Candidate)], {
        strategy: "first",
        order: "best-first",
        threshold: 0,
        fallbackIndex: 0
    });
}
