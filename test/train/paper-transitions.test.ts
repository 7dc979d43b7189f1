/** Transitions of the paper's preset against those of the authors' code, told anew step by step. */
import type {Token} from "node-llama-cpp";
import {expect, it} from "vitest";
import {resolveConfig} from "../../lib/train/options.js";
import type {Trajectory, TrajectoryDecision} from "../../lib/train/rollout/rollouts.js";
import {transitionOptions} from "../../lib/train/run/parts.js";
import {toTransitions} from "../../lib/train/sac/transitions.js";
import {seededRandom} from "../support/random.js";

const paper = resolveConfig({
    modelPath: "m.gguf",
    prompts: "p.jsonl",
    reward: "sentiment",
    runDirectory: "run",
    preset: "paper"
});

interface Candidate {
    /** Row of its state. */
    state: number;
    accept: number;
    llmLogProb: number;
}

/** [state, action, reward, next state] */
type Step = [number, number, number, number | null];

/** An episode of the authors' code: `accepted[i]` is the candidate that the agent accepts first at decision i, if any. */
function authorsEpisode(
    decisions: readonly Candidate[][],
    accepted: readonly (number | undefined)[],
    score: number
): Step[] {
    const buffer: Step[] = [];
    for (const [i, candidates] of decisions.entries()) {
        let refused = 1;
        const products = candidates.map(({accept}) => {
            const product = refused * accept;
            refused *= 1 - accept;
            return product;
        });
        const total = Math.log(products.reduce((sum, product) => sum + Math.exp(product), 0));
        const rewards = candidates.map(({llmLogProb}, j) => -0.1 * ((products[j] as number) - total - llmLogProb));
        const last = candidates.length - 1;
        // Only the candidates before the last may be refused; the last is taken in any case.
        const taken = Math.min(accepted[i] ?? last, last);
        for (let j = 0; j < taken; j++)
            buffer.push([
                (candidates[j] as Candidate).state,
                0,
                rewards[j] as number,
                (candidates[j + 1] as Candidate).state
            ]);
        const next = decisions[i + 1]?.[0]?.state ?? null;
        buffer.push([(candidates[taken] as Candidate).state, 1, rewards[taken] as number, next]);
    }
    (buffer.at(-1) as Step)[2] += score;
    let discounted = score;
    // Theirs ends at index 1; here the first transition gets its share, too.
    for (let i = buffer.length - 2; i >= 0; i--) {
        const step = buffer[i] as Step;
        if (step[1] === 1) discounted *= 0.99;
        step[2] += discounted;
    }
    return buffer;
}

it.each([1, 2, 3, 4, 5])("Transitions of the paper's preset are the authors' (seed %i)", (seed) => {
    const random = seededRandom(seed);
    let rows = 0;
    const accepted: (number | undefined)[] = [];
    const drawn = Array.from({length: 6}, () => {
        const count = random.integer(2, 5);
        const first = random.integer(0, 2) === 0 ? undefined : random.integer(0, count - 1);
        accepted.push(first);
        const tried = (first ?? count - 1) + 1;
        const firstState = rows;
        rows += tried;
        return Array.from({length: count}, (_, j) => ({
            state: firstState + j,
            accept: Math.fround(random.uniform()),
            llmLogProb: Math.fround(-3 * random.uniform())
        }));
    });
    const decisions = drawn.map((candidates, i): TrajectoryDecision => {
        const chosen = accepted[i] ?? candidates.length - 1;
        return {
            tokenIndex: i,
            candidates: candidates.map((_, j) => j as Token),
            logProbabilities: new Float32Array(candidates.length).fill(Math.log(1 / candidates.length)),
            vocabularyLogs: Float32Array.from(candidates, ({llmLogProb}) => llmLogProb),
            acceptProbabilities: Float32Array.from(candidates, ({accept}) => accept),
            tried: chosen + 1,
            chosenRank: chosen,
            // The rollouts accept the candidate tried last.
            accepted: true,
            firstState: candidates[0]?.state as number
        };
    });
    const trajectory: Trajectory = {
        prompt: {prompt: "?"},
        text: "x".repeat(6),
        tokens: decisions.map((_, i) => i as Token),
        tokenSpans: decisions.map((_, i) => [i, i + 1]),
        ended: "eog",
        decisions,
        states: new Float32Array(rows * 2),
        width: 2
    };
    const score = random.normal();
    const {transitions} = toTransitions(trajectory, {
        reward: {score, spans: []},
        baseline: paper.baselineValue,
        ...transitionOptions(paper)
    });
    const expected = authorsEpisode(drawn, accepted, score);
    expect([...transitions.state]).toEqual(expected.map(([state]) => state));
    expect([...transitions.action]).toEqual(expected.map(([, action]) => action));
    expect([...transitions.nextState]).toEqual(expected.map(([, , , next]) => next ?? -1));
    for (const [i, [, , reward]] of expected.entries()) expect(transitions.reward[i]).toBeCloseTo(reward, 5);
});
