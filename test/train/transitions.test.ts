import type {Token} from "node-llama-cpp";
import {describe, expect, it} from "vitest";
import type {Trajectory, TrajectoryDecision} from "../../lib/train/rollout/rollouts.js";
import {type Penalty, type TransitionOptions, toTransitions} from "../../lib/train/sac/transitions.js";
import {failure} from "../support/failure.js";
import {seededRandom} from "../support/random.js";

interface Drawn {
    tokenIndex: number;
    model: number[];
    accept: number[];
    /** undefined: none was accepted. */
    accepted: number | undefined;
}

/** A trajectory of the given decisions, with a row of states per tried candidate. */
function trajectory(drawn: readonly Drawn[], tokenSpans: [number, number][]): Trajectory {
    let rows = 0;
    const decisions = drawn.map(({tokenIndex, model, accept, accepted}): TrajectoryDecision => {
        const tried = accepted === undefined ? model.length : accepted + 1;
        rows += tried;
        return {
            tokenIndex,
            candidates: model.map((_, i) => i as Token),
            logProbabilities: Float32Array.from(model, Math.log),
            acceptProbabilities: Float32Array.from(accept),
            tried,
            chosenRank: accepted ?? 0,
            accepted: accepted !== undefined,
            firstState: rows - tried
        };
    });
    return {
        prompt: {prompt: "?"},
        text: "x".repeat(tokenSpans.at(-1)?.[1] ?? 0),
        tokens: tokenSpans.map((_, i) => i as Token),
        tokenSpans,
        ended: "eog",
        decisions,
        states: Float32Array.from({length: rows * 2}, (_, i) => i),
        width: 2
    };
}

const none = {score: 0, spans: []};
const values = (rewards: Float32Array) => [...rewards].map((value) => Number(value.toFixed(5)));

/** Two decisions, with a token between them for which there was one candidate: rank 1 accepted of two, then none of two. */
const two = () =>
    trajectory(
        [
            {tokenIndex: 0, model: [0.75, 0.25], accept: [0.5, 0.5], accepted: 1},
            {tokenIndex: 2, model: [0.5, 0.5], accept: [0.2, 0.25], accepted: undefined}
        ],
        [
            [0, 3],
            [3, 5],
            [5, 9]
        ]
    );

describe("Transitions", () => {
    it("lead from a rejected candidate to the next, and from a settled decision to the next one's first", () => {
        const {transitions} = toTransitions(two(), {reward: none});
        expect([...transitions.state]).toEqual([0, 1, 2, 3]);
        expect([...transitions.nextState]).toEqual([1, 2, 3, -1]);
        // The fallback of the second decision was not the agent's choice.
        expect([...transitions.action]).toEqual([0, 1, 0, 0]);
        expect(transitions.states).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
    });

    it("are penalised as computed by hand", () => {
        // Products 0.5 and 0.25: log q = −log(1 + e^−0.25), −log(1 + e^0.25); products 0.2 and 0.2: log q = −log 2.
        const log = [-0.57593942, -0.82593942] as const;
        const kl = [log[0] - Math.log(0.75), log[1] - Math.log(0.25), 0, 0] as [number, number, number, number];
        const full = Math.exp(log[0]) * kl[0] + Math.exp(log[1]) * kl[1];
        const expected: Record<Penalty, number[]> = {
            kl: kl.map((each) => -0.1 * each),
            abs: kl.map((each) => -0.1 * Math.abs(each)),
            mse: kl.map((each) => -0.05 * each * each),
            full: [-0.1 * Math.exp(log[0]) * kl[0], -0.1 * Math.exp(log[1]) * kl[1], 0, 0],
            divergence: [-0.1 * full, -0.1 * full, 0, 0]
        };
        expect(kl[0]).toBeCloseTo(-0.28825735, 7);
        for (const penalty of Object.keys(expected) as Penalty[]) {
            const {transitions, penalty: mean} = toTransitions(two(), {reward: none, penalty});
            for (const [i, reward] of transitions.reward.entries())
                expect(reward, `${penalty} ${i}`).toBeCloseTo((expected[penalty] as number[])[i] as number, 6);
            const sum = (expected[penalty] as number[]).reduce((a, b) => a + b, 0);
            expect(mean, penalty).toBeCloseTo(sum / 4 / -0.1, 6);
        }
    });

    it("are penalised by the probabilities over the vocabulary where the rollouts give them", () => {
        const episode = two();
        const shift = -0.7;
        for (const decision of episode.decisions)
            decision.vocabularyLogs = decision.logProbabilities.map((log) => log + shift);
        const expected = toTransitions(two(), {reward: none});
        const found = toTransitions(episode, {reward: none});
        for (const [i, reward] of found.transitions.reward.entries())
            expect(reward).toBeCloseTo((expected.transitions.reward[i] as number) + 0.1 * shift, 6);
        expect(found.kl).toBe(expected.kl);
    });

    it("report how far emission departs from the model", () => {
        // Emitted: 0.5 and the fallback's 0.25, 0.25: the model's own distribution. Then 0.2 + 0.6, 0.2 against halves.
        const second = 0.8 * Math.log(1.6) + 0.2 * Math.log(0.4);
        expect(toTransitions(two(), {reward: none}).kl).toBeCloseTo(second / 2, 6);
        const other = 0.2 * Math.log(0.4) + 0.8 * Math.log(1.6);
        expect(toTransitions(two(), {reward: none, fallbackIndex: 1}).kl).not.toBeCloseTo(second / 2, 2);
        expect(other).toBeCloseTo(second, 12);
        // The candidate tried last takes the share of the fallback.
        const last = (0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(0.5 / 0.25) + other) / 2;
        expect(toTransitions(two(), {reward: none, lastAccepted: true}).kl).toBeCloseTo(last, 6);
        // Rank 0 stands last in this order.
        expect(toTransitions(two(), {reward: none, order: "top-last"}).kl).toBeCloseTo(last, 6);
    });

    const bare = {klCoefficient: 0, gamma: 0.5} as const;

    it("post the reward back, discounted per decided token", () => {
        const {transitions} = toTransitions(two(), {...bare, reward: {score: 3, spans: []}, baseline: 1});
        expect(values(transitions.reward)).toEqual([1, 1, 2, 2]);
    });

    it("get the reward at the end only, without post-back", () => {
        const options = {...bare, postBack: false, reward: {score: 3, spans: []}, baseline: 1};
        expect(values(toTransitions(two(), options).transitions.reward)).toEqual([0, 0, 0, 2]);
    });

    it("are credited with the spans that their tokens reach into", () => {
        const credit = (start: number, end: number) => {
            const reward = {score: 4, spans: [{start, end, score: 4}]};
            return values(toTransitions(two(), {...bare, reward}).transitions.reward);
        };
        expect(credit(0, 2)).toEqual([0, 4, 0, 0]);
        expect(credit(2, 6)).toEqual([0, 2, 0, 2]);
        expect(credit(6, 7)).toEqual([0, 0, 0, 4]);
        // Within the token that was not decided: its fate was settled before.
        expect(credit(3, 5)).toEqual([0, 4, 0, 0]);
        expect(credit(9, 9)).toEqual([0, 0, 0, 4]);
    });

    it("leave to the whole response what spans do not claim", () => {
        const reward = {score: 5, spans: [{start: 0, end: 1, score: 2}]};
        const {transitions} = toTransitions(two(), {...bare, reward, baseline: 1});
        expect(values(transitions.reward)).toEqual([1, 3, 2, 2]);
    });

    it("are none where nothing was decided", () => {
        const {transitions, kl, penalty} = toTransitions(trajectory([], [[0, 2]]), {
            reward: {score: 1, spans: [{start: 0, end: 1, score: 1}]}
        });
        expect(transitions.reward.length).toBe(0);
        expect([kl, penalty]).toEqual([0, 0]);
    });

    it("refuse options that are none", async () => {
        expect(await failure(() => toTransitions(two(), {reward: {score: Number.NaN, spans: []}}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: "Expected a finite number for score but received NaN"
        });
        expect(await failure(() => toTransitions(two(), {reward: none, penalty: "js" as Penalty}))).toEqual({
            code: "INVALID_ARGUMENT",
            message: 'Expected one of "kl", "abs", "mse", "full", "divergence" for penalty but received "js"'
        });
    });
});

/** One transition by the words of the paper and of docs/training.md, each from scratch. */
function slowReward(
    {decisions, tokenSpans}: Trajectory,
    at: number,
    rank: number,
    {reward, baseline = 0, klCoefficient = 0.1, penalty = "kl", gamma = 0.99, postBack = true}: TransitionOptions
): number {
    const decision = decisions[at] as TrajectoryDecision;
    const {acceptProbabilities: accept, logProbabilities: logP, tried} = decision;
    const products = [...accept].map((p, i) => [...accept.slice(0, i)].reduce((open, other) => open * (1 - other), p));
    const logQ = products.map((product) => {
        const terms = products.map((other) => Math.exp(other - product));
        return -Math.log(terms.reduce((a, b) => a + b));
    });
    const difference = (i: number) => (logQ[i] as number) - (logP[i] as number);
    const taken = {
        kl: () => difference(rank),
        abs: () => Math.abs(difference(rank)),
        mse: () => difference(rank) ** 2 / 2,
        full: () => Math.exp(logQ[rank] as number) * difference(rank),
        divergence: () => logQ.reduce((sum, log, i) => sum + Math.exp(log) * difference(i), 0)
    }[penalty]();
    const settles = rank === tried - 1;
    const isLast = at === decisions.length - 1;
    let credit = 0;
    let claimed = 0;
    for (const {start, end, score} of reward.spans) {
        claimed += score;
        const overlaps = ({tokenIndex}: TrajectoryDecision) => {
            const [from, to] = tokenSpans[tokenIndex] as [number, number];
            const touched = from === to ? [from] : Array.from({length: to - from}, (_, i) => from + i);
            return touched.some((character) => character >= start && character < end);
        };
        const count = decisions.filter(overlaps).length;
        if (settles && overlaps(decision)) credit += score / count;
        if (count > 0 || !settles) continue;
        const earlier = decisions.filter(({tokenIndex}) => (tokenSpans[tokenIndex]?.[0] as number) < end);
        if ((earlier.at(-1) ?? decisions[0]) === decision) credit += score;
    }
    const whole = reward.score - claimed - baseline;
    if (postBack) credit += whole * gamma ** (decisions.length - 1 - at);
    else if (isLast && settles) credit += whole;
    return -klCoefficient * taken + credit;
}

it.each(Array.from({length: 20}, (_, i) => i))("Transitions agree with a slow reference (seed %i)", (seed) => {
    const random = seededRandom(seed);
    const distribution = (length: number) => {
        const weights = Array.from({length}, () => random.uniform() + 0.01).sort((a, b) => b - a);
        const total = weights.reduce((a, b) => a + b);
        return weights.map((weight) => weight / total);
    };
    const drawn: Drawn[] = [];
    const spans: [number, number][] = [];
    for (let token = 0; token < 12; token++) {
        const start = spans.at(-1)?.[1] ?? 0;
        spans.push([start, start + random.integer(0, 3)]);
        const count = random.integer(1, 12);
        if (count === 1) continue;
        const accepted = random.integer(0, 3) === 0 ? undefined : random.integer(0, count - 1);
        const accept = Array.from({length: count}, () => random.uniform());
        drawn.push({tokenIndex: token, model: distribution(count), accept, accepted});
    }
    const episode = trajectory(drawn, spans);
    const length = episode.text.length;
    const penalty = random.pick(["kl", "abs", "mse", "full", "divergence"] as const);
    const options: TransitionOptions = {
        reward: {
            score: random.normal(),
            spans: Array.from({length: random.integer(0, 3)}, () => {
                const start = random.integer(0, length - 1);
                return {start, end: random.integer(start + 1, length), score: random.normal()};
            })
        },
        baseline: random.normal(),
        klCoefficient: random.uniform(),
        gamma: random.uniform(),
        penalty,
        postBack: random.integer(0, 1) === 1
    };
    const {transitions} = toTransitions(episode, options);
    let at = 0;
    for (const [i, decision] of episode.decisions.entries())
        for (let rank = 0; rank < decision.tried; rank++, at++) {
            expect(transitions.reward[at]).toBeCloseTo(slowReward(episode, i, rank, options), 5);
            const settled = rank === decision.tried - 1;
            expect(transitions.action[at]).toBe(settled && decision.accepted ? 1 : 0);
            const next = settled ? episode.decisions[i + 1]?.firstState : decision.firstState + rank + 1;
            expect(transitions.nextState[at]).toBe(next ?? -1);
            expect(transitions.state[at]).toBe(decision.firstState + rank);
        }
    expect(transitions.reward.length).toBe(at);
});
