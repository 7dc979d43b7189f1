/** A judge of the caller's own beside agents and their students; one that needs no states; its time limit. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {
    type AlignedContextOptions,
    type DecisionEvent,
    type Judge,
    type JudgeBatch,
    MaraAgent
} from "../../lib/index.js";
import {randomTensors} from "../support/agents.js";
import {generate, loadTinyModel, precise} from "../support/models.js";
import {ReferenceNetwork} from "../support/network.js";
import {firstOfSix, ReferenceDecoder, type Scored, studentNoise} from "../support/reference-decoder.js";
import {ReferenceStudent, randomStudent} from "../support/students.js";
import {vocabularySize} from "../support/tiny-model.js";
import {align, expectCacheInStep, modes, refusal} from "./harness.js";

const settings = firstOfSix;
const seeds = [7, 8] as const;
const length = 12;

let model: LlamaModel;
let agents: MaraAgent[];
const tensorsOf = (seed: number) => randomTensors(model.embeddingVectorSize, seed, {bias: -0.5});

beforeAll(async () => {
    model = await loadTinyModel({seed: 61, sharpness: 4});
    agents = seeds.map((seed) => {
        const agent = MaraAgent.fromTensors(tensorsOf(seed), {dtype: "f32", threads: 1});
        agent.student = randomStudent(model, seed);
        return agent;
    });
});
afterAll(() => model.dispose());

async function open(options: AlignedContextOptions) {
    const {topK, topP, minP, threshold: _, ...rest} = settings;
    const made = await align(model, {...rest, candidates: {topK, topP, minP, temperature: 0.7}, ...options});
    const events: DecisionEvent[] = [];
    made.aligner.onDecision((event) => events.push(event));
    return {...made, events};
}

const logit = (p: number) => Math.log(p / (1 - p));
const probability = (x: number) => 1 / (1 + Math.exp(-x));
/** A rule on tokens alone. */
const opinionOf = (token: number) => [0.2, 0.9, 0.6][token % 3] as number;
const rule: Judge = {needsStates: false, judge: ({candidates}) => candidates.map(opinionOf)};
const prompt = () => model.tokenize("once there was");

describe.each(modes)("A judge that needs no states (%s)", (mode) => {
    it("decides alone from tokens, and nothing is decoded for it", async () => {
        const seen: JudgeBatch[] = [];
        const judge: Judge = {...rule, judge: (batch) => rule.judge(seen[seen.push(batch) - 1] as JudgeBatch)};
        const {context, aligner, events} = await open({judge, mode});
        const sequence = context.getSequence();
        const tokens = await generate(sequence, prompt(), length);
        for (const [i, {candidates, chosenRank, fallback, waves, by}] of events.entries()) {
            const accepted = candidates.findIndex(({token}) => opinionOf(token) > 0.5);
            expect([chosenRank, fallback, waves, by]).toEqual([Math.max(0, accepted), accepted < 0, 0, "judge"]);
            expect(seen[i]?.candidates).toEqual(candidates.map(({token}) => token));
            expect(seen[i]?.states).toHaveLength(0);
            for (const {token, by, acceptProbability, opinions} of candidates) {
                expect([by, acceptProbability]).toEqual(["judge", opinionOf(token)]);
                expect(opinions).toEqual([{acceptProbability: opinionOf(token), by: "judge"}]);
            }
        }
        expect(events.some(({chosenRank}) => chosenRank > 0)).toBe(true);
        const {decodes, waves, decisions, evaluatedCandidates} = aligner.stats();
        expect([decodes, waves, decisions]).toEqual([length - 1, 0, length]);
        expect(evaluatedCandidates).toBe(length * settings.topK);
        expect(tokens).toHaveLength(length);
        expectCacheInStep(sequence, aligner);
    });

    it("is told the prompt and the answer so far", async () => {
        const seen: {prompt: readonly number[]; answer: readonly number[]}[] = [];
        const judge: Judge = {
            ...rule,
            judge(batch) {
                seen.push({prompt: batch.prompt, answer: batch.answer});
                return rule.judge(batch);
            }
        };
        const {context} = await open({judge, mode, sequences: 2});
        const [sequence, beside] = [context.getSequence(), context.getSequence()];
        const other = model.tokenize("the hen and the");
        const [tokens] = await Promise.all([generate(sequence, prompt(), 5), generate(beside, other, 5)]);
        const own = seen.filter((one) => one.prompt.length === prompt().length && one.prompt[0] === prompt()[0]);
        expect(own.filter(({prompt: given}) => `${given}` === `${prompt()}`).map(({answer}) => answer)).toEqual(
            tokens.map((_, i) => tokens.slice(0, i))
        );
        seen.splice(0);
        const before = [...sequence.contextTokens];
        const more = model.tokenize(" and");
        const answer = await generate(sequence, [tokens.at(-1) as never, ...more], 3);
        expect(seen).toEqual(
            answer.map((_, i) => ({prompt: [...before, tokens.at(-1), ...more], answer: answer.slice(0, i)}))
        );
    });

    it("spares an agent what it rejects, and the agent's verdicts stand for the rest", async () => {
        for (const combine of ["all", "weighted", "any"] as const) {
            const given = [{agent: agents[0] as MaraAgent, weight: 2, threshold: 0.4}];
            const judge = {...rule, threshold: 0.55};
            const {context, aligner, events} = await open({agents: given, judge, combine, mode, cascade: "off"});
            await generate(context.getSequence(), prompt(), length);
            const bar = combine === "weighted" ? probability((2 * logit(0.4) + logit(0.55)) / 3) : 0.5;
            let judged = 0;
            for (const {candidates, chosenRank} of events) {
                const accepted = candidates.findIndex(({acceptProbability}) => (acceptProbability ?? 0) > bar);
                expect(chosenRank).toBe(Math.max(0, accepted));
                for (const {token, acceptProbability, opinions, by} of candidates) {
                    const [ofAgent, ofJudge] = opinions;
                    expect(ofJudge).toEqual({acceptProbability: opinionOf(token), by: "judge"});
                    if (by === "agent") judged++;
                    const own = logit(opinionOf(token)) - logit(0.55);
                    const settled = combine === "all" ? own < 0 : combine === "any" && own > 0;
                    if (settled) expect([ofAgent, by]).toEqual([null, "judge"]);
                    if (acceptProbability === null) continue;
                    const x = ofAgent == null ? Number.NaN : logit(ofAgent.acceptProbability);
                    const pick = combine === "all" ? Math.min : Math.max;
                    const wanted =
                        combine === "weighted"
                            ? (2 * x + logit(opinionOf(token))) / 3
                            : settled
                              ? own
                              : pick(x - logit(0.4), own);
                    expect(acceptProbability).toBeCloseTo(probability(wanted), 4);
                }
            }
            expect(judged).toBeGreaterThan(0);
            const evaluated = events.flatMap(({candidates}) => candidates.filter(({by}) => by !== null));
            expect(aligner.stats().evaluatedCandidates).toBe(evaluated.length);
        }
    });

    it("with states, beside agents, sees those whose verdict is open", async () => {
        const seen: number[] = [];
        const judge: Judge = {
            judge({states, width, candidates}) {
                expect(states).toHaveLength(width * candidates.length);
                seen.push(...candidates);
                return (agents[1] as MaraAgent).score(states);
            }
        };
        const {context, events} = await open({
            agent: agents[0] as MaraAgent,
            judge,
            combine: "all",
            mode,
            cascade: "off"
        });
        const {context: other} = await open({
            agents: agents.map((agent) => ({agent})),
            combine: "all",
            mode,
            cascade: "off"
        });
        const tokens = await generate(context.getSequence(), prompt(), length);
        expect(tokens).toEqual(await generate(other.getSequence(), prompt(), length));
        const asked = events.flatMap(({candidates}) => candidates.filter(({opinions}) => opinions[1] !== null));
        expect(seen).toEqual(asked.map(({token}) => token));
        expect(asked.every(({opinions}) => (opinions[0]?.acceptProbability as number) > 0.5)).toBe(true);
    });

    it("that takes too long ends the generation, and the context goes on", async () => {
        const never = () => new Promise<number[]>(() => {});
        for (const needsStates of [true, false]) {
            const {context, aligner} = await open({judge: {judge: never, timeoutMs: 20, needsStates}, mode});
            const sequence = context.getSequence();
            expect(await refusal(() => generate(sequence, prompt(), 3))).toEqual({
                code: "JUDGE_FAILED",
                message: "The judge threw: it took more than 20 ms"
            });
            aligner.configure({judge: rule});
            await sequence.clearHistory();
            expect(await generate(sequence, prompt(), 3)).toHaveLength(3);
        }
    });
});

it.each([
    [{judge: 3}, "Expected a function or an object with a method `judge` for judge but received 3"],
    [
        {judge: {judge: () => [], timeoutMs: 0}},
        "Expected milliseconds above 0 and up to 2147483647 for judge.timeoutMs but received 0"
    ],
    [{judge: {judge: () => [], needsStates: 1}}, "Expected a boolean for judge.needsStates but received 1"],
    [{judge: {judge: () => [], threshold: 2}}, "Expected a number in [0, 1] for judge.threshold but received 2"]
])("What is no judge is refused: %#", async (options, message) => {
    const given = {...precise, ...options} as unknown as AlignedContextOptions;
    expect(await refusal(() => align(model, given))).toEqual({code: "INVALID_ARGUMENT", message});
});

describe("The students of several agents", () => {
    it.each(["all", "weighted", "any"] as const)("give the verdicts of both, combined (%s)", async (combine) => {
        const thresholds = [0.45, 0.6] as const;
        const weights = [1, 2] as const;
        const given = agents.map((agent, i) => ({
            agent,
            weight: weights[i] as number,
            threshold: thresholds[i] as number
        }));
        const {context, aligner, events} = await open({agents: given, combine, cascade: {agreement: 0}});
        const students = await Promise.all(
            agents.map((agent) => ReferenceStudent.create(model, agent.student as never, vocabularySize))
        );
        const networks = seeds.map((seed) => new ReferenceNetwork(tensorsOf(seed)));
        const bar = combine === "weighted" ? probability((logit(thresholds[0]) + 2 * logit(thresholds[1])) / 3) : 0.5;
        const together = (logits: readonly number[]) => {
            const [a, b] = logits as [number, number];
            if (combine === "weighted") return probability((a + 2 * b) / 3);
            const relative = [a - logit(thresholds[0]), b - logit(thresholds[1])];
            return probability(combine === "all" ? Math.min(...relative) : Math.max(...relative));
        };
        const foregone = (state: ArrayLike<number>, rank: number, candidates: readonly Scored[]) => {
            const {token} = candidates[rank] as Scored;
            const logits = candidates.map((candidate) => candidate.logit);
            const verdict = together(students.map((student) => student.judge(state, {token, rank, logits}).mean));
            return Math.abs(logit(verdict) - logit(bar)) < studentNoise ? "tie" : verdict;
        };
        const tokens = await generate(context.getSequence(), prompt(), length);
        const decoder = await ReferenceDecoder.create(model, precise, true);
        const expected = await decoder.run(prompt(), tensorsOf(7), {...settings, threshold: bar}, length, {
            accept: (state) => together(networks.map((network) => network.margin(state))),
            foregone
        });
        await decoder.dispose();
        expect(expected.tokens.length).toBeGreaterThan(4);
        expect(tokens.slice(0, expected.tokens.length)).toEqual(expected.tokens);
        expect(new Set(events.map(({by}) => by))).toEqual(new Set(["student"]));
        expect(aligner.stats().studentDecisions).toBe(length);
    });

    it("are asked for a mean together or not at all, and for the others one by one", async () => {
        const cascade = {agreement: 1};
        for (const combine of ["all", "weighted", "any"] as const) {
            const {context, events} = await open({agents: agents.map((agent) => ({agent})), combine, cascade});
            await generate(context.getSequence(), prompt(), 2 * length);
            const seen = events.slice(1).flatMap(({candidates}) => candidates);
            const byStudent = seen.filter(({by}) => by === "student");
            expect(byStudent.length).toBeGreaterThan(0);
            expect(seen.some(({by}) => by === "agent")).toBe(true);
            for (const {opinions, acceptProbability} of byStudent) {
                const given = opinions.flatMap((opinion) => (opinion === null ? [] : logit(opinion.acceptProbability)));
                if (combine === "weighted") expect(given).toHaveLength(2);
                const pick = combine === "all" ? Math.min : Math.max;
                const x = combine === "weighted" ? ((given[0] as number) + (given[1] as number)) / 2 : pick(...given);
                expect(acceptProbability).toBeCloseTo(probability(x), 6);
                // One opinion is enough where it settles the verdict.
                if (given.length === 1) expect(x > 0).toBe(combine === "any");
            }
            if (combine !== "weighted") expect(byStudent.some(({opinions}) => opinions.includes(null))).toBe(true);
        }
    });
});
