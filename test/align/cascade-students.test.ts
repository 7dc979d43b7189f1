/** Which student's verdicts a cascade takes: thresholds, students that change or are damaged, and several agents of which one has none. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it, onTestFinished} from "vitest";
import {type AlignedContextOptions, type DecisionEvent, MaraAgent} from "../../lib/index.js";
import {randomTensors} from "../support/agents.js";
import {generate, loadTinyModel, precise} from "../support/models.js";
import {randomStudent} from "../support/students.js";
import {warningsOf} from "../support/warnings.js";
import {align} from "./harness.js";

let model: LlamaModel;
const length = 24;
const prompt = "once there was";

beforeAll(async () => {
    model = await loadTinyModel({seed: 61, sharpness: 4});
});
afterAll(() => model.dispose());

function newAgent(student?: ReturnType<typeof randomStudent>): MaraAgent {
    const agent = MaraAgent.fromTensors(randomTensors(model.embeddingVectorSize, 7), {dtype: "f32", threads: 1});
    agent.student = student;
    onTestFinished(() => agent.dispose());
    return agent;
}

async function open(options: AlignedContextOptions) {
    const {context, aligner} = await align(model, {
        ...precise,
        candidates: {topK: 6, topP: 1, minP: 0, temperature: 0.7},
        ...options
    });
    const events: DecisionEvent[] = [];
    aligner.onDecision((event) => events.push(event));
    const sequence = context.getSequence();
    const text = async () => await generate(sequence, model.tokenize(prompt), length);
    return {aligner, events, text};
}

async function run(options: AlignedContextOptions) {
    const {aligner, events, text} = await open(options);
    return {tokens: await text(), events, stats: aligner.stats()};
}

it.each([0.9999, 0.0001])(
    "trusts no calibration at the threshold %d, beyond the logits that it holds",
    async (threshold) => {
        const agent = newAgent(randomStudent(model, 9));
        const {stats} = await run({agent, threshold, cascade: {agreement: 0.6}});
        expect(stats.studentVerdicts).toBe(0);
        expect((await run({agent, threshold: 0.5, cascade: {agreement: 0.6}})).stats.studentVerdicts).toBeGreaterThan(
            0
        );
    }
);

it.each(["best-first", "reverse", "top-last"] as const)(
    "counts the verdicts that a choice stands on, order %s",
    async (order) => {
        const {events, stats} = await run({agent: newAgent(randomStudent(model, 9)), order, cascade: {agreement: 0}});
        const inOrder = (count: number) => {
            const ranks = [...Array(count).keys()];
            if (order === "reverse") return ranks.reverse();
            return order === "top-last" ? [...ranks.slice(1), 0] : ranks;
        };
        const counts = events.map(({candidates, chosenRank, fallback}) => {
            const ranks = inOrder(candidates.length);
            const stood = fallback ? ranks : ranks.slice(0, ranks.indexOf(chosenRank) + 1);
            return stood.filter((rank) => candidates[rank]?.by === "student").length;
        });
        expect(stats.studentVerdicts).toBe(counts.reduce((sum, count) => sum + count, 0));
        expect(stats.studentVerdicts).toBeLessThan(6 * (stats.decisions - 1));
    }
);

it("follows an agent that is given a student, another, or none, while the context is open", async () => {
    const agent = newAgent();
    const {aligner, events, text} = await open({agent, cascade: {agreement: 0}});
    await text();
    expect(aligner.stats().studentVerdicts).toBe(0);
    agent.student = randomStudent(model, 9);
    events.length = 0;
    await text();
    const verdicts = () => events.map(({candidates}) => candidates.map(({acceptProbability}) => acceptProbability));
    const first = verdicts().slice(1, 2);
    const {studentVerdicts} = aligner.stats();
    expect(studentVerdicts).toBeGreaterThan(0);
    agent.student = randomStudent(model, 10);
    events.length = 0;
    await text();
    expect(verdicts().slice(1, 2)).not.toEqual(first);
    agent.student = undefined;
    const before = aligner.stats().studentVerdicts;
    await text();
    expect(aligner.stats().studentVerdicts).toBe(before);
});

it("does not use a student whose table has no numbers, and says so", async () => {
    const student = randomStudent(model, 9);
    student.tensors["embedding.bias"].data[3] = 1e5;
    const agent = newAgent(student);
    let stats: {studentVerdicts: number} | undefined;
    const warnings = await warningsOf(async () => ({stats} = await run({agent, cascade: {agreement: 0}})));
    expect(stats?.studentVerdicts).toBe(0);
    expect(warnings.join()).toMatch(/^The agent's student is not used: This model's embeddings cannot be projected/);
});

it("asks the agent where a student has no number to give", async () => {
    const student = randomStudent(model, 9);
    student.tensors["hidden.weight"].data.fill(3e38);
    const exact = await run({agent: newAgent(), cascade: "off"});
    const {tokens, stats} = await run({agent: newAgent(student), cascade: {agreement: 0}});
    expect(tokens).toEqual(exact.tokens);
    expect(stats.studentVerdicts).toBe(0);
});

it("names the one of several agents that has no student", async () => {
    const agents = [newAgent(randomStudent(model, 9)), newAgent()].map((agent) => ({agent}));
    let stats: {studentVerdicts: number} | undefined;
    const warnings = await warningsOf(
        async () => ({stats} = await run({agents, combine: "all", cascade: {agreement: 0}}))
    );
    expect(stats?.studentVerdicts).toBeGreaterThan(0);
    expect(warnings).toEqual([
        "The cascade that was asked for is off for agent 2 of 2: the agent has no student. Make one with `mara train student`."
    ]);
});

it("is not saved once it is none", async () => {
    const agent = newAgent(randomStudent(model, 9));
    (agent.student as ReturnType<typeof randomStudent>).tensors["fc2.bias"].data[0] = Number.NaN;
    await expect(agent.save("/nowhere/agent.safetensors")).rejects.toMatchObject({code: "AGENT_TENSORS"});
});
