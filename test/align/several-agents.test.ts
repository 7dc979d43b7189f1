/** Several agents as one judge, against each alone and their combination in float64, from the slow reference. */
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it, onTestFinished} from "vitest";
import {
    type AlignedContextOptions,
    type AlignerSettings,
    type DecisionEvent,
    MaraAgent,
    type WeightedAgent
} from "../../lib/index.js";
import {randomTensors, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel, precise} from "../support/models.js";
import {ReferenceNetwork} from "../support/network.js";
import {firstOfSix, ReferenceDecoder, type ReferenceSettings} from "../support/reference-decoder.js";
import {align, modes, refusal} from "./harness.js";

const settings: ReferenceSettings = {...firstOfSix, fallbackIndex: 1};
const prompts = ["once there was", "the hen and the", "is it so"];
const length = 10;
const members = [
    {seed: 7, weight: 1, threshold: 0.45},
    {seed: 8, weight: 2, threshold: 0.6},
    {seed: 9, weight: 0.5, threshold: 0.3}
] as const;
const combines = ["all", "weighted", "any"] as const;

let model: LlamaModel;
let decoder: ReferenceDecoder;
let tensors: ReturnType<typeof randomTensors>[];
let agents: MaraAgent[];

beforeAll(async () => {
    model = await loadTinyModel({seed: 61, sharpness: 4});
    decoder = await ReferenceDecoder.create(model, precise, true);
    tensors = members.map(({seed}) => randomTensors(model.embeddingVectorSize, seed, {bias: 0.5}));
    agents = tensors.map((own) => MaraAgent.fromTensors(own, {dtype: "f32", threads: 1}));
});
afterAll(async () => {
    await decoder.dispose();
    await model.dispose();
});

const logit = (p: number) => Math.log(p / (1 - p));
const probability = (x: number) => 1 / (1 + Math.exp(-x));
const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
const total = sum(members.map(({weight}) => weight));
const meanThreshold = probability(sum(members.map(({weight, threshold}) => weight * logit(threshold))) / total);

/** The verdict on a state, and what it is held against. */
function reference(combine: (typeof combines)[number]): {accept: (state: ArrayLike<number>) => number; bar: number} {
    const networks = tensors.map((own) => new ReferenceNetwork(own));
    const logitsOf = (state: ArrayLike<number>) => networks.map((network) => network.margin(state as Float64Array));
    if (combine === "weighted")
        return {
            accept: (state) => probability(sum(logitsOf(state).map((x, i) => x * (members[i]?.weight ?? 0))) / total),
            bar: meanThreshold
        };
    const pick = combine === "all" ? Math.min : Math.max;
    const relative = (state: ArrayLike<number>) =>
        logitsOf(state).map((x, i) => x - logit(members[i]?.threshold as number));
    return {accept: (state) => probability(pick(...relative(state))), bar: 0.5};
}

const weighted = (): WeightedAgent[] =>
    members.map(({weight, threshold}, i) => ({agent: agents[i] as MaraAgent, weight, threshold}));

async function open(options: AlignedContextOptions) {
    const {topK, topP, minP, threshold: _, ...rest} = settings;
    const made = await align(model, {...rest, candidates: {topK, topP, minP, temperature: 0.7}, ...options});
    const events: DecisionEvent[] = [];
    made.aligner.onDecision((event) => events.push(event));
    return {...made, events};
}

const cases = modes.flatMap((mode) =>
    combines.flatMap((combine, i) =>
        (["first", "max-prob", "random"] as const).map((strategy, j) => ({
            mode,
            combine,
            strategy,
            order: (["best-first", "reverse", "top-last"] as const)[(i + j) % 3] ?? "best-first"
        }))
    )
);

it.each(cases)("decides as the combination of each alone: $mode, $combine, $strategy, $order", async (one) => {
    const {mode, combine, strategy, order} = one;
    const {accept, bar} = reference(combine);
    const {context, aligner, events} = await open({agents: weighted(), combine, strategy, order, mode, sequences: 3});
    const sequences = prompts.map(() => context.getSequence());
    const tokens = await Promise.all(
        prompts.map((text, i) => generate(sequences[i] as (typeof sequences)[number], model.tokenize(text), length))
    );
    let known = 0;
    for (const [i, own] of tokens.entries()) {
        const changes = {...settings, strategy, order, threshold: bar};
        const expected = await decoder.run(model.tokenize(prompts[i] as string), {...tensors[0]}, changes, length, {
            sequence: i,
            accept
        });
        expect(own.slice(0, expected.tokens.length)).toEqual(expected.tokens);
        known += expected.tokens.length;
        const decided = events.filter(({sequence}) => sequence === sequences[i]);
        for (const [at, step] of expected.steps.entries())
            for (const [rank, verdict] of step.verdicts)
                expect(decided[at]?.candidates[rank]?.acceptProbability).toBeCloseTo(verdict, 4);
    }
    expect(known).toBeGreaterThan(length);
    expect(events.some(({chosenRank}) => chosenRank > 1)).toBe(true);
    const {evaluatedCandidates, studentVerdicts, opinions} = aligner.stats();
    expect(opinions).toEqual(
        members.map(({threshold}, place) => {
            const all = events.flatMap(({candidates}) => candidates.flatMap((one) => one.opinions[place] ?? []));
            const accepted = all.filter(({acceptProbability}) => acceptProbability > threshold).length;
            return {given: all.length, accepted, byStudent: 0};
        })
    );
    const judged = events.flatMap(({candidates}) => candidates.filter(({by}) => by === "agent"));
    expect([judged.length, studentVerdicts]).toEqual([evaluatedCandidates, 0]);
});

describe.each(modes)("Listeners (%s)", (mode) => {
    it("are told what each agent says, by its place; who has no weight is not asked", async () => {
        const given = weighted().with(1, {agent: agents[1] as MaraAgent, weight: 0});
        const {context, events} = await open({agents: given, combine: "all", mode, strategy: "max-prob"});
        const states: number[][] = [];
        const {context: other} = await open({
            mode,
            strategy: "max-prob",
            judge: ({states: seen, width, candidates}) => {
                states.push(...candidates.map((_, i) => Array.from(seen.subarray(i * width, (i + 1) * width))));
                return candidates.map(() => 0);
            }
        });
        const prompt = model.tokenize("once there was");
        await generate(context.getSequence(), prompt, 1);
        await generate(other.getSequence(), prompt, 1);
        const [event] = events;
        for (const [rank, {opinions, acceptProbability}] of (event as DecisionEvent).candidates.entries()) {
            const alone = [0, 2].map((i) => (agents[i] as MaraAgent).score(Float32Array.from(states[rank] ?? []))[0]);
            expect(opinions[1]).toBeNull();
            for (const [i, place] of [0, 2].entries()) {
                expect(opinions[place]?.by).toBe("agent");
                expect(opinions[place]?.acceptProbability).toBeCloseTo(alone[i] as number, 5);
            }
            const relative = [0, 2].map((i, at) => logit(alone[at] as number) - logit(given[i]?.threshold as number));
            expect(acceptProbability).toBeCloseTo(probability(Math.min(...relative)), 4);
        }
    });

    it("are told every candidate's log-probability, before anything changes it and after", async () => {
        const bias: NonNullable<AlignerSettings["guides"]> = [
            {guide: (logits) => logits.set(logits.map((value) => value * 0.5))}
        ];
        const prompt = model.tokenize("once there was");
        const {context, events} = await open({
            agents: weighted(),
            mode,
            ...(mode === "lanes" && {guides: bias})
        });
        await generate(context.getSequence(), prompt, 3);
        const plain = await model.createContext(precise);
        onTestFinished(() => plain.dispose());
        const input = prompt.map((token) => [token, {generateNext: {probabilities: true}}] as const);
        const evaluated = await plain.getSequence().controlledEvaluate(input as never);
        const probabilities = evaluated.at(-1)?.next.probabilities as Map<number, number>;
        for (const {token, probability: among, logProbability} of events[0]?.candidates ?? []) {
            expect(logProbability.before).toBeCloseTo(Math.log(probabilities.get(token) as number), 4);
            expect(logProbability.after).toBe(Math.log(among));
        }
        expect(events).toHaveLength(3);
    });
});

describe("Changed in mid-generation", () => {
    it("agents, weights and combination take effect at the next token", async () => {
        const {context, aligner, events} = await open({agent: agents[0] as MaraAgent, sequences: 2});
        const [one, other] = [context.getSequence(), context.getSequence()];
        const prompt = model.tokenize("once there was");
        const never = rejectAll(model.embeddingVectorSize);
        aligner.onDecision(({position}) => {
            if (position === prompt.length + 2)
                aligner.configure({agents: [...weighted(), {agent: never}], combine: "all"}, one);
            if (position === prompt.length + 5)
                aligner.configure({agents: [...weighted(), {agent: never, weight: 0}], combine: "any"}, one);
        }, one);
        await Promise.all([one, other].map((sequence) => generate(sequence, prompt, 8)));
        const of = (sequence: object) => events.filter((event) => event.sequence === sequence);
        const asked = of(one).map(({candidates}) => candidates[0]?.opinions.map((opinion) => opinion !== null));
        expect(asked.slice(0, 3)).toEqual([[true], [true], [true]]);
        expect(asked.slice(3, 6)).toEqual(Array(3).fill([true, true, true, true]));
        expect(asked.slice(6)).toEqual(Array(2).fill([true, true, true, false]));
        expect(
            of(one)
                .slice(3, 6)
                .every(({fallback}) => fallback)
        ).toBe(true);
        expect(of(other).every(({candidates}) => candidates[0]?.opinions.length === 1)).toBe(true);
        expect(aligner.settings(one).agents.map(({weight}) => weight)).toEqual([1, 2, 0.5, 0]);
        expect(aligner.settings(other)).toMatchObject({agent: agents[0], agents: [{weight: 1, threshold: 0.5}]});
    });

    it("a generation in which nobody has a weight is plain", async () => {
        const {context, aligner} = await open({agents: weighted().map((one) => ({...one, weight: 0}))});
        const plain = await model.createContext(precise);
        onTestFinished(() => plain.dispose());
        const prompt = model.tokenize("the hen and the");
        expect(await generate(context.getSequence(), prompt, 8)).toEqual(
            await generate(plain.getSequence(), prompt, 8)
        );
        // The last token is not decoded.
        expect(aligner.stats()).toMatchObject({decisions: 0, evaluatedCandidates: 0, decodes: 7});
    });

    it("an agent without a weight costs no decode and no verdict", async () => {
        const [first, second] = agents as [MaraAgent, MaraAgent];
        const prompt = model.tokenize("the hen and the");
        const counts = [];
        const said = [];
        for (const more of [[], [{agent: second, weight: 0}]]) {
            const {context, aligner} = await open({agents: [{agent: first}, ...more], combine: "all", waves: [2]});
            await generate(context.getSequence(), prompt, 16);
            const {time, opinions, ...own} = aligner.stats();
            expect(own.evaluatedCandidates).toBeGreaterThan(16);
            counts.push(own);
            said.push(opinions);
        }
        expect(counts[1]).toEqual(counts[0]);
        expect(said[1]).toEqual([...(said[0] ?? []), {given: 0, accepted: 0, byStudent: 0}]);
    });

    it("one agent of any weight is that agent, bit for bit", async () => {
        const prompt = model.tokenize("the hen and the");
        const verdicts = async (options: AlignedContextOptions) => {
            const {context, events} = await open({waves: [6], ...options});
            await generate(context.getSequence(), prompt, 8);
            return events.flatMap(({candidates}) => candidates.map(({acceptProbability}) => acceptProbability));
        };
        const agent = agents[0] as MaraAgent;
        const alone = await verdicts({agent, threshold: 0.4});
        for (const combine of combines)
            expect(await verdicts({agents: [{agent, weight: 0.1, threshold: 0.4}], combine})).toEqual(alone);
    });
});

it("Thresholds default to the aligner's, then to what each agent's file says", async () => {
    const [plain, trained] = [0, 1].map((i) =>
        MaraAgent.fromTensors(tensors[i] as never, {
            dtype: "f32",
            ...(i === 1 && {metadata: {"mara.threshold": "0.8", "mara.candidates": '{"topK": 5}'}})
        })
    ) as [MaraAgent, MaraAgent];
    const {aligner} = await align(model, {agents: [{agent: plain}, {agent: trained, weight: 3}]});
    expect(aligner.settings()).toMatchObject({
        agent: undefined,
        agents: [
            {weight: 1, threshold: 0.5},
            {weight: 3, threshold: 0.8}
        ],
        combine: "weighted",
        candidates: {topK: 5}
    });
    expect(aligner.settings().threshold).toBeCloseTo(probability((3 * logit(0.8)) / 4), 12);
    aligner.configure({threshold: 0.6});
    expect(aligner.settings()).toMatchObject({threshold: 0.6, agents: [{threshold: 0.6}, {threshold: 0.6}]});
    aligner.configure({agents: [{agent: plain, threshold: 0.1}, {agent: trained}], combine: "any"});
    expect(aligner.settings().agents.map(({threshold}) => threshold)).toEqual([0.1, 0.6]);
    aligner.configure(aligner.settings() as AlignerSettings);
    expect(aligner.settings().agents.map(({threshold}) => threshold)).toEqual([0.1, 0.6]);
    aligner.configure({threshold: 0.7});
    expect(aligner.settings().agents.map(({threshold}) => threshold)).toEqual([0.7, 0.7]);
});

it.each([
    [() => ({agents: []}), "Expected at least one agent, or a judge, for agents but received Array"],
    [
        () => ({agent: agents[0], agents: weighted()}),
        "Expected the agent alone, or undefined, beside `agent`, which is the short form of it, for agents but received Array"
    ],
    [() => ({agents: [{agent: {}}]}), "Expected a MaraAgent for agents.0.agent but received Object"],
    [
        () => ({agents: [{agent: agents[0], weight: -1}]}),
        "Expected a finite number of at least 0 for agents[0].weight but received -1"
    ],
    [
        () => ({agents: Array(17).fill({agent: agents[0]})}),
        "Expected an array of at most 16 {agent, weight, threshold} for agents but received Array"
    ],
    [
        () => ({agent: agents[0], combine: "mean"}),
        'Expected one of "all", "weighted", "any" for combine but received "mean"'
    ]
])("What cannot be is refused: %#", async (options, message) => {
    const made = {...precise, ...options()} as AlignedContextOptions;
    expect(await refusal(() => align(model, made))).toEqual({code: "INVALID_ARGUMENT", message});
});
