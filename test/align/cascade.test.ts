/** The cascade: a student's verdicts in place of the agent's, against a slow reference, with decodes counted. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it, onTestFinished} from "vitest";
import {type AlignedContextOptions, type DecisionEvent, MaraAgent} from "../../lib/index.js";
import {randomTensors} from "../support/agents.js";
import {generate, loadTinyModel, precise} from "../support/models.js";
import {
    firstOfSix,
    type ReferenceCascade,
    ReferenceDecoder,
    type ReferenceSettings
} from "../support/reference-decoder.js";
import {ReferenceStudent, randomStudent} from "../support/students.js";
import {vocabularySize} from "../support/tiny-model.js";
import {warningsOf} from "../support/warnings.js";
import {align, refusal} from "./harness.js";

const length = 24;
const settings = firstOfSix;

let model: LlamaModel;
let other: LlamaModel;
let decoder: ReferenceDecoder;
let student: ReferenceStudent;
const tensors = () => randomTensors(model.embeddingVectorSize, 7);
const prompts = ["once there was", "the hen and the", "is it so", "we are on the"];

beforeAll(async () => {
    model = await loadTinyModel({seed: 61, sharpness: 4});
    other = await loadTinyModel({seed: 62});
    decoder = await ReferenceDecoder.create(model, precise, true);
    student = await ReferenceStudent.create(model, randomStudent(model, 9), vocabularySize);
});
afterAll(async () => {
    await decoder.dispose();
    await other.dispose();
    await model.dispose();
});

function agentWithStudent(options: Parameters<typeof randomStudent>[2] & {of?: LlamaModel} = {}): MaraAgent {
    const agent = MaraAgent.fromTensors(tensors(), {dtype: "f32", threads: 1});
    agent.student = randomStudent(options.of ?? model, 9, options);
    onTestFinished(() => agent.dispose());
    return agent;
}

const optionsOf = ({topK, topP, minP, ...rest}: ReferenceSettings): Omit<AlignedContextOptions, "agent"> => ({
    ...rest,
    candidates: {topK, topP, minP, temperature: 0.7}
});

async function run(options: AlignedContextOptions, texts: readonly string[] = prompts.slice(0, 1)) {
    const {context, aligner} = await align(model, {...optionsOf(settings), ...options, sequences: texts.length});
    const events: DecisionEvent[] = [];
    aligner.onDecision((event) => events.push(event));
    const sequences = texts.map(() => context.getSequence());
    const tokens = await Promise.all(
        sequences.map((sequence, i) => generate(sequence, model.tokenize(texts[i] as string), length))
    );
    const each = sequences.map((sequence) => events.filter((event) => event.sequence === sequence));
    return {tokens, events, each, stats: aligner.stats(), aligner, context};
}

async function expected(changes: Partial<ReferenceSettings>, confidence: number | undefined, index: number) {
    const cascade: {cascade?: ReferenceCascade} = confidence === undefined ? {} : {cascade: {student, confidence}};
    const prompt = prompts[index];
    return await decoder.run(model.tokenize(prompt as string), tensors(), {...settings, ...changes}, length, cascade);
}

/** The tokens are the reference's as far as float noise leaves no doubt about these: more than five. */
async function expectReference(
    tokens: readonly number[][],
    changes: Partial<ReferenceSettings>,
    confidence: number | undefined
): Promise<void> {
    let known = 0;
    for (const [i, own] of tokens.entries()) {
        const reference = await expected(changes, confidence, i);
        expect(own.slice(0, reference.tokens.length)).toEqual(reference.tokens);
        known += reference.tokens.length;
    }
    expect(known).toBeGreaterThan(5);
}

describe("everything left to the student (agreement 0)", () => {
    const strategies = ["first", "random", "max-prob"] as const;
    const orders = ["best-first", "top-last", "reverse"] as const;
    const cases = strategies.flatMap((strategy) => orders.map((order) => ({strategy, order})));

    it.each(cases)("emits what the student's verdicts say: $strategy, $order", async (changes) => {
        const agent = agentWithStudent();
        const {tokens, events, stats} = await run({agent, ...changes, cascade: {agreement: 0}});
        await expectReference(tokens, changes, 0);
        expect(new Set(events.map(({by}) => by))).toEqual(new Set(["student"]));
        expect(stats.studentDecisions).toBe(stats.decisions);
        // One decode per token, but for the last, and no wave.
        expect(stats.waves).toBe(0);
        expect(stats.decodes).toBe(stats.generatedTokens - 1);
        expect(stats.evaluatedCandidates).toBe(0);
    });

    it.each([1e-3, 1e3])(
        "judges as at any other temperature at %d, where probabilities are 0 or all alike",
        async (temperature) => {
            const candidates = {topK: 6, topP: 1, minP: 0};
            const agent = agentWithStudent();
            const verdicts = async (at: number) => {
                const {events} = await run({
                    agent,
                    cascade: {agreement: 0},
                    candidates: {...candidates, temperature: at}
                });
                return events.flatMap(({candidates}) =>
                    candidates.map(({acceptProbability}) => acceptProbability ?? 0)
                );
            };
            const wanted = await verdicts(1);
            for (const [i, verdict] of (await verdicts(temperature)).entries())
                expect(verdict).toBeCloseTo(wanted[i] as number, 3);
        }
    );

    it("emits the fallback where the student rejects everything, without a wave", async () => {
        const agent = agentWithStudent({bias: -50});
        const {events, stats} = await run({agent, fallbackIndex: 2, cascade: {agreement: 0}});
        expect(events.every(({fallback, chosenRank, waves}) => fallback && chosenRank === 2 && waves === 0)).toBe(true);
        expect(stats.studentVerdicts).toBe(settings.topK * stats.decisions);
    });

    it.each([0, 1])("follows the threshold %d without asking", async (threshold) => {
        const {events} = await run({agent: agentWithStudent(), threshold, cascade: {agreement: 0}});
        expect(events.slice(1).every(({by, fallback}) => by === "student" && fallback === (threshold === 1))).toBe(
            true
        );
    });
});

describe("the agent asked where the student is not sure (agreement 1)", () => {
    it.each(["first", "random", "max-prob"] as const)("emits what both say together: %s", async (strategy) => {
        const agent = agentWithStudent();
        const {tokens, events, stats} = await run({agent, strategy, cascade: {agreement: 1}});
        await expectReference(tokens, {strategy}, 1);
        const givers = events.slice(1).flatMap(({candidates}) => candidates.map(({by}) => by));
        expect(givers).toContain("student");
        expect(givers).toContain("agent");
        const byAgent = events.flatMap(({candidates}) => candidates.filter(({by}) => by === "agent"));
        expect(stats.evaluatedCandidates).toBe(byAgent.length);
        expect(events.every(({waves, by}) => waves > 0 === (by === "agent"))).toBe(true);
    });

    it("gives four sequences at once what each gets alone", async () => {
        const agent = agentWithStudent();
        const together = await run({agent, cascade: {agreement: 1}}, prompts);
        for (const [i, prompt] of prompts.entries()) {
            const alone = await run({agent, cascade: {agreement: 1}}, [prompt]);
            expect(together.tokens[i]).toEqual(alone.tokens[0]);
            const givers = (events: readonly DecisionEvent[] = []) => events.map(({by}) => by);
            expect(givers(together.each[i])).toEqual(givers(alone.each[0]));
        }
        expect(together.stats.studentDecisions).toBeGreaterThan(0);
        expect(together.stats.studentDecisions).toBeLessThan(together.stats.decisions - prompts.length);
    });

    it("takes the decision after a prompt, too, however the prompt is cut into batches", async () => {
        const agent = agentWithStudent();
        const prompt = model.tokenize(prompts.join(" ")).slice(0, 17);
        // With a batch of 16, the last token of 17 stands alone where the other sequence leaves the prompt a whole batch.
        for (const count of [0, 1, 12, 17]) {
            const {context, aligner} = await align(model, {
                ...optionsOf(settings),
                agent,
                cascade: {agreement: 0},
                batchSize: 16,
                lanes: 3,
                sequences: 2
            });
            const [one, two] = [context.getSequence(), context.getSequence()];
            const givers: string[] = [];
            aligner.onDecision(({by}) => givers.push(by), one);
            const run = generate(one, prompt, 4);
            if (count > 0) await generate(two, prompt.slice(0, count), 1);
            await run;
            expect(givers).toEqual(["student", "student", "student", "student"]);
        }
    });
});

describe("off", () => {
    it("is the agent alone, in tokens, verdicts and decodes", async () => {
        const options = {waves: [2]} as const;
        const without = MaraAgent.fromTensors(tensors(), {dtype: "f32", threads: 1});
        const before = await run({agent: without, ...options});
        const off = await run({agent: agentWithStudent(), ...options, cascade: "off"});
        const ofEvents = ({events}: typeof off) => events.map(({sequence: _, ...event}) => event);
        expect(off.tokens).toEqual(before.tokens);
        expect(ofEvents(off)).toEqual(ofEvents(before));
        expect({...off.stats, time: 0}).toEqual({...before.stats, time: 0});
        await expectReference(off.tokens, {}, undefined);
        without.dispose();
    });

    it("is what auto means for a student that agrees too rarely", async () => {
        const weak = await run({agent: agentWithStudent({heldOutAgreement: 0.79})});
        expect(weak.stats.studentVerdicts).toBe(0);
        const strong = await run({agent: agentWithStudent({heldOutAgreement: 0.8})});
        expect(strong.stats.studentVerdicts).toBeGreaterThan(0);
    });

    it("is what serial mode means", async () => {
        const {stats} = await run({agent: agentWithStudent(), mode: "serial"});
        expect(stats.studentVerdicts).toBe(0);
    });

    it("is told once where the student is another model's", async () => {
        const warnings = await warningsOf(async () => {
            for (let time = 0; time < 2; time++) {
                const {stats} = await run({agent: agentWithStudent({of: other}), cascade: {agreement: 0}});
                expect(stats.studentVerdicts).toBe(0);
            }
        });
        expect(warnings).toHaveLength(1);
        expect(warnings[0]).toMatch(/^The agent's student was made for another model \(SHA-256 [0-9a-f]{12}…\)/);
    });

    const refusals: [string, AlignedContextOptions["mode"] & string, () => MaraAgent][] = [
        ["it needs lanes, and this context is in serial mode", "serial", () => agentWithStudent()],
        ["the agent has no student", "lanes", () => MaraAgent.fromTensors(tensors(), {dtype: "f32", threads: 1})],
        ["by its calibration, the agent's student is never sure enough for 0.75 of", "lanes", contradicted]
    ];

    it.each(refusals)("is told once where a cascade was asked for: %s", async (reason, mode, make) => {
        const agent = make();
        const ofAuto = await warningsOf(async () => void (await run({agent, mode})));
        expect(ofAuto).toEqual([]);
        const warnings = await warningsOf(async () => {
            for (let time = 0; time < 2; time++) {
                const {stats} = await run({agent, mode, cascade: {agreement: 0.75}});
                expect(stats.studentVerdicts).toBe(0);
            }
        });
        expect(warnings).toHaveLength(1);
        expect(warnings[0]).toContain(`The cascade that was asked for is off: ${reason}`);
        agent.dispose();
    });
});

/** An agent whose student's held-out verdicts were all wrong. */
function contradicted(): MaraAgent {
    const agent = agentWithStudent();
    const student = randomStudent(model, 9);
    const calibration = {shape: [2, 3], data: Float32Array.of(1, 1, -1, -1, 1, 1)};
    agent.student = {...student, tensors: {...student.tensors, calibration}};
    return agent;
}

it("can be changed while the context lives, for one sequence", async () => {
    const {context, aligner} = await align(model, {
        ...optionsOf(settings),
        agent: agentWithStudent(),
        cascade: "off",
        sequences: 2
    });
    const [one, two] = [context.getSequence(), context.getSequence()];
    aligner.configure({cascade: {agreement: 0}}, two);
    expect(aligner.settings(one).cascade).toBe("off");
    expect(aligner.settings(two).cascade).toEqual({agreement: 0});
    const prompt = model.tokenize(prompts[0] as string);
    await generate(one, prompt, 8);
    expect(aligner.stats(one).studentVerdicts).toBe(0);
    await generate(two, prompt, 8);
    expect(aligner.stats(two).studentVerdicts).toBeGreaterThan(0);
    aligner.configure({cascade: "off"}, two);
    const {studentVerdicts} = aligner.stats(two);
    await generate(two, prompt, 8);
    expect(aligner.stats(two).studentVerdicts).toBe(studentVerdicts);
});

it.each(["on", {agreement: 1.1}, {}])("refuses %j", async (cascade) => {
    const options = {...precise, agent: agentWithStudent(), cascade} as unknown as AlignedContextOptions;
    expect((await refusal(() => align(model, options))).code).toBe("INVALID_ARGUMENT");
});
