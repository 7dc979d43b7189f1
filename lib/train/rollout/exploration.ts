import type {Candidate} from "../../align/decide/candidates.js";
import {Decision} from "../../align/decide/decision.js";
import type {Uniform} from "../../random.js";

/**
 * How a training decision comes about: each candidate, in order, is accepted with its accept probability, and the first accepted
 * one is emitted; if none is, the fallback. All are judged in any case: the penalty on leaving the model's distribution needs
 * every accept probability.
 */
export function exploring(candidates: readonly Candidate[], fallbackIndex: number, uniform: Uniform): Decision {
    const threshold = candidates.length === 1 ? [] : candidates.map(uniform);
    return new Decision(candidates, {strategy: "first", order: "best-first", threshold, fallbackIndex});
}
