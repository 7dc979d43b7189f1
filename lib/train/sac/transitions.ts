/** Rollouts as transitions of the accept/reject process, with their rewards. See docs/training.md. */

import {type Order, orderSchema} from "../../align/options.js";
import {invalidArgument} from "../../errors.js";
import type {RewardSpan, ScoredResponse} from "../../rewards/reward.js";
import {check} from "../../validation/check.js";
import {integer, oneOf} from "../../validation/schemas.js";
import {constants} from "../constants.js";
import type {Transitions} from "../learner/learner.js";
import {penalties as penaltyNames} from "../presets.js";
import {tried} from "../rollout/exploration.js";
import type {Trajectory, TrajectoryDecision} from "../rollout/trajectory.js";

/** The penalty taken off a candidate's reward, from its log-probabilities under agent (q) and model (p). */
export type Penalty = (typeof penaltyNames)[number];

export interface TransitionOptions {
    /** Reward of the whole response. Spans give parts of it to tokens; the rest of the score belongs to the response as a whole. */
    reward: ScoredResponse;
    /** The number taken off the score. Default 0. */
    baseline?: number;
    /** Weight of the penalty. Default 0.1. */
    klCoefficient?: number;
    /**
     * How candidate c is penalised. "kl": log q(c) − log p(c); "abs": its absolute value; "mse": half its square; "full":
     * q(c) (log q(c) − log p(c)); "divergence": the sum of the latter over the decision, the same for each of its candidates. Default "kl".
     */
    penalty?: Penalty;
    /** Discount of the reward per decided token when it is posted back. Default 0.99. */
    gamma?: number;
    /** True if the response's reward is given to every transition, discounted, rather than to the last only. Default true. */
    postBack?: boolean;
    /** The rank that the rollouts fell back on. It matters for the `kl` that is given back only. Default 0. */
    fallbackIndex?: number;
    /** The order in which the rollouts tried the candidates. It matters where `fallbackIndex` does. Default "best-first". */
    order?: Order;
    /** True if the rollouts accepted the candidate tried last whenever it was reached, so that it takes the fallback's place. Default false. */
    lastAccepted?: boolean;
}

export interface TransitionsResult {
    /** In the order in which the candidates were tried. */
    transitions: Transitions;
    /**
     * Divergence KL(agent ‖ model) of the emitted tokens, over the candidates, in nats, as a mean over the decisions. It is 0 where
     * candidates are emitted as often as the model would draw them, and without decisions.
     */
    kl: number;
    /** Mean of the penalties over the transitions, before their weight. 0 without decisions. */
    penalty: number;
}

/**
 * Candidates up to the emitted one give one transition each. A rejected candidate is followed by the next one's state; an
 * accepted one by the state of the first candidate of the next decision, wherever that stands. After the last decision the episode ends.
 * Where no candidate was accepted all count as rejected, and the last of them leads to the next decision, because the environment chose
 * the fallback, not the agent.
 *
 * @throws MaraError INVALID_ARGUMENT
 */
export function toTransitions(trajectory: Trajectory, options: TransitionOptions): TransitionsResult {
    const {
        reward,
        baseline = constants.baselineValue.byDefault,
        klCoefficient = constants.klCoefficient.byDefault,
        penalty = "kl",
        gamma = constants.gamma.byDefault,
        postBack = true,
        fallbackIndex = 0,
        order = "best-first",
        lastAccepted = false
    } = options;
    check(oneOf(penaltyNames), penalty, "penalty");
    check(orderSchema, order, "order");
    check(integer(0), fallbackIndex, "fallbackIndex");
    for (const [name, value] of Object.entries({score: reward.score, baseline, klCoefficient, gamma}))
        if (!Number.isFinite(value)) throw invalidArgument(name, "a finite number", value);

    const {decisions, states} = trajectory;
    const total = decisions.reduce((sum, {tried}) => sum + tried, 0);
    const rewards = new Float64Array(total);
    const nextState = new Int32Array(total).fill(-1);
    const action = new Uint8Array(total);
    const state = new Int32Array(total);
    /** The transition with which each decision was settled. */
    const settling: number[] = [];
    let [at, klSum, penaltySum] = [0, 0, 0];
    for (const [i, decision] of decisions.entries()) {
        const {tried: count, firstState, accepted} = decision;
        const logs = {q: agentLogProbabilities(decision), p: decision.vocabularyLogs ?? decision.logProbabilities};
        const last = decision.candidates.length - 1;
        const {fallback} = lastAccepted ? {fallback: last} : tried(decision.candidates, {order, fallbackIndex});
        klSum += divergence(emissionProbabilities(decision, fallback), decision.logProbabilities);
        for (let rank = 0; rank < count; rank++, at++) {
            const taken = penalties[penalty](logs, rank);
            penaltySum += taken;
            rewards[at] = -klCoefficient * taken;
            state[at] = firstState + rank;
            nextState[at] = rank + 1 < count ? firstState + rank + 1 : (decisions[i + 1]?.firstState ?? -1);
            action[at] = Number(accepted && rank === count - 1);
        }
        settling.push(at - 1);
    }
    if (total > 0) {
        const spent = creditSpans(trajectory, reward.spans, (decision, credit) => {
            const index = settling[decision] as number;
            rewards[index] = (rewards[index] as number) + credit;
        });
        let whole = reward.score - spent - baseline;
        for (let i = decisions.length - 1; i >= 0; i--) {
            const last = settling[i] as number;
            const first = postBack ? last - (decisions[i] as TrajectoryDecision).tried + 1 : last;
            for (let index = first; index <= last; index++) rewards[index] = (rewards[index] as number) + whole;
            if (!postBack) break;
            whole *= gamma;
        }
    }
    return {
        transitions: {states, state, action, reward: Float32Array.from(rewards), nextState},
        kl: decisions.length === 0 ? 0 : klSum / decisions.length,
        penalty: total === 0 ? 0 : penaltySum / total
    };
}

interface LogProbabilities {
    q: Float64Array;
    p: ArrayLike<number>;
}

const ratio = ({q, p}: LogProbabilities, rank: number) => (q[rank] as number) - (p[rank] as number);

const penalties: Record<Penalty, (logs: LogProbabilities, rank: number) => number> = {
    kl: ratio,
    abs: (logs, rank) => Math.abs(ratio(logs, rank)),
    mse: (logs, rank) => 0.5 * ratio(logs, rank) ** 2,
    full: (logs, rank) => Math.exp(logs.q[rank] as number) * ratio(logs, rank),
    divergence: ({q, p}) => divergence(q.map(Math.exp), p)
};

/** p1(c_i) · Π_{j<i} (1 − p1(c_j)): the chance that candidate i is the first accepted one. */
function firstAccepted({acceptProbabilities}: TrajectoryDecision): Float64Array {
    let open = 1;
    return Float64Array.from(acceptProbabilities, (probability) => {
        const product = probability * open;
        open *= 1 - probability;
        return product;
    });
}

/** Log-softmax of the products themselves, as in the reference implementation, rather than of their logarithms. */
function agentLogProbabilities(decision: TrajectoryDecision): Float64Array {
    const products = firstAccepted(decision);
    const total = Math.log(products.reduce((sum, product) => sum + Math.exp(product), 0));
    return products.map((product) => product - total);
}

/** How often each candidate is emitted: the products, and the fallback's share. */
function emissionProbabilities(decision: TrajectoryDecision, fallback: number): Float64Array {
    const products = firstAccepted(decision);
    const none = 1 - products.reduce((sum, product) => sum + product, 0);
    products[fallback] = (products[fallback] as number) + Math.max(0, none);
    return products;
}

/** Σ q (log q − log p). Candidates without probability add nothing. */
function divergence(q: Float64Array, logP: ArrayLike<number>): number {
    return q.reduce((sum, value, i) => sum + (value > 0 ? value * (Math.log(value) - (logP[i] as number)) : 0), 0);
}

/**
 * Each span's score goes in equal parts to the decided tokens that reach into it; if there is none, to the last decided token before
 * it, or else to the first one. A token without text of its own (the beginning of a character, the end of the response) stands
 * for the character at its place, and so does an empty span. Gives the sum of the scores.
 */
export function creditSpans(
    {decisions, tokenSpans}: {decisions: readonly {tokenIndex: number}[]; tokenSpans: Trajectory["tokenSpans"]},
    spans: readonly RewardSpan[],
    credit: (decision: number, share: number) => void
): number {
    const places = decisions.map(({tokenIndex}) => widened(...(tokenSpans[tokenIndex] as [number, number])));
    let sum = 0;
    for (const span of spans) {
        const [start, end] = widened(span.start, span.end);
        const inside = places.flatMap(([from, to], i) => (from < end && to > start ? [i] : []));
        const before = Math.max(
            0,
            places.findLastIndex(([from]) => from < end)
        );
        const receivers = inside.length > 0 ? inside : [before];
        for (const i of receivers) credit(i, span.score / receivers.length);
        sum += span.score;
    }
    return sum;
}

function widened(start: number, end: number): [start: number, end: number] {
    return [start, Math.max(end, start + 1)];
}
