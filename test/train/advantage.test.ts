/** Training from the model's own responses, by what each token earned; and the threshold that it finds. */
import {readFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {trainingPrompts} from "../../lib/demo/world.js";
import {createAlignedContext, MaraAgent, type TrainOptions, trainAgent} from "../../lib/index.js";
import {labelledByAdvantage} from "../../lib/train/advantage/advantages.js";
import {Rollouts, type Trajectory} from "../../lib/train/rollout/rollouts.js";
import type {TrainProgress} from "../../lib/train/run/progress.js";
import {
    interruptAt,
    linesOf,
    loadDemoModel,
    outcomeOf,
    runFolder,
    smallAdvantage,
    smallPreference,
    smallSac
} from "./helpers.js";

const newRun = runFolder();
const prompts = trainingPrompts(40, 3).map(({text}) => ({prompt: text}));
let model: LlamaModel;
beforeAll(async () => {
    model = await loadDemoModel();
});
afterAll(() => model.dispose());

/** Courteous words, each where it stands. */
function courtesy(_: string, response: string) {
    const found = [...response.matchAll(/please|thank|course|welcome|pleasure|hello|good/gi)];
    const spans = found.map(({index, 0: word}) => ({start: index, end: index + word.length, score: 1}));
    return {score: spans.length, spans};
}

const options = {
    ...smallAdvantage,
    prompts,
    reward: courtesy,
    samplesPerPrompt: 4,
    sequences: 4,
    heldOut: 0.25,
    fitLearningRate: 0.003,
    epochs: 8
} as const satisfies Omit<TrainOptions, "runDirectory">;

describe("Advantages", () => {
    it("decay towards what comes later, and are relative to the prompt's other tokens", () => {
        const {labels, weights, pairs} = labelledByAdvantage(
            {
                states: new Float32Array(5),
                credits: Float32Array.of(0, 0, 1, 0, 0),
                lengths: Int32Array.of(3, 2),
                prompts: Int32Array.of(7, 7),
                rests: Float32Array.of(0, 0.5)
            },
            0.5
        );
        // Values 0.25, 0.5, 1, 0.5, 0.5; their mean is 0.55.
        expect([...labels]).toEqual([0, 0, 1, 0, 0]);
        expect([...weights].map((weight) => weight.toFixed(4))).toEqual([
            "0.3000",
            "0.0500",
            "0.4500",
            "0.0500",
            "0.0500"
        ]);
        expect([...pairs]).toEqual([7, 7, 7, 7, 7]);
    });

    it("do not count where the model is to be left alone: every token is accepted", () => {
        const sampled = {
            states: new Float32Array(4),
            credits: Float32Array.of(0, 1, 0, 5),
            lengths: Int32Array.of(2, 2),
            prompts: Int32Array.of(0, 1),
            rests: Float32Array.of(0, 0)
        };
        const {labels, weights} = labelledByAdvantage(sampled, 0, (prompt) => prompt === 1);
        expect([...labels]).toEqual([0, 1, 1, 1]);
        expect([...weights]).toEqual([0.5, 0.5, 1, 1]);
    });
});

describe("Responses that the model draws by itself", () => {
    it.each(["lanes", "serial"] as const)("come with the state of every token in %s mode", async (mode) => {
        const rollouts = await Rollouts.open(model, {
            mode,
            maxTokens: 12,
            contextSize: 128,
            sequences: 2,
            threads: 1,
            candidates: {topK: 10, temperature: 1}
        });
        const drawn: Trajectory[] = [];
        await rollouts.run(undefined, prompts.slice(0, 3), [1, 2, 3], (trajectory, i) => {
            drawn[i] = trajectory;
        });
        for (const {prompt, text, tokens, states, decisions, width, ended} of drawn) {
            expect(decisions).toEqual([]);
            expect(states.length).toBe(tokens.length * width);
            const read = await rollouts.responseStates(prompt, text);
            // Another tokenisation of the same text would have other states.
            const count = ended === "eog" ? tokens.length : tokens.length - 1;
            if (tokens.slice(0, count).join() !== read.tokens.slice(0, count).join()) continue;
            const error = read.states
                .subarray(0, count * width)
                .reduce((max, value, i) => Math.max(max, Math.abs(value - (states[i] as number))), 0);
            expect(error).toBeLessThan(0.05);
        }
        await rollouts.close();
    });
});

describe("a run of some of the prompts", () => {
    it("samples them alone, holds out its share of them, and goes on as it began", async () => {
        const some = {...options, samplePrompts: 12, calibrationPrompts: 0, epochs: 2, model};
        const whole = newRun();
        const {metrics} = await trainAgent({...some, runDirectory: whole});
        const rows = linesOf(whole, "responses");
        const asked = [...new Set(rows.map(({prompt}) => prompt as number))];
        expect(rows.length).toBe(12 * 4);
        expect(asked.length).toBe(12);
        // Indexes of the file, in order, and not its first twelve.
        expect(asked).toEqual([...asked].sort((a, b) => a - b));
        expect(asked.at(-1)).toBeGreaterThan(11);
        expect(metrics[0]).toMatchObject({heldOutPairs: 3});

        const runDirectory = newRun();
        const early = interruptAt(({phase, done}) => phase === "responses" && done >= 16);
        expect(await trainAgent({...some, ...early, runDirectory})).toMatchObject({completed: false});
        expect(await trainAgent({...some, runDirectory, resume: true})).toMatchObject({completed: true});
        expect(outcomeOf(runDirectory, ["metrics", "responses"])).toEqual(outcomeOf(whole, ["metrics", "responses"]));
    });
});

describe("a run of advantage", () => {
    const logs = ["metrics", "responses"];
    let runDirectory: string;
    const seen: Pick<TrainProgress, "phase" | "done" | "tokens">[] = [];
    let result: Awaited<ReturnType<typeof trainAgent>>;
    beforeAll(async () => {
        runDirectory = newRun();
        const onProgress = ({phase, done, tokens}: TrainProgress) => seen.push({phase, done, tokens});
        result = await trainAgent({...options, model, runDirectory, onProgress});
    });

    it("shows tokens before the first response is complete, and each response", () => {
        // One token of each response that is under way.
        expect(seen.slice(0, 2)).toEqual([0, 4].map((tokens) => ({phase: "responses", done: 0, tokens})));
        const told = new Set(seen.filter(({phase}) => phase === "responses").map(({done}) => done));
        expect([...told]).toEqual(Array.from({length: 161}, (_, i) => i));
    });

    it("samples every prompt and gains on prompts that it did not learn from", () => {
        expect(linesOf(runDirectory, "responses")).toHaveLength(160);
        const {calibration} = result;
        expect(calibration?.prompts).toBe(10);
        const [own, ...others] = calibration?.points ?? [];
        expect(own).toMatchObject({threshold: 0, standardError: 0, firstChoice: 1});
        expect(Math.max(...others.map(({reward}) => reward))).toBeGreaterThan(own?.reward as number);
    });

    it("keeps the threshold and the candidates in the file, where they are in force", async () => {
        const agent = await MaraAgent.load(result.paths.agent, {dtype: "f32", threads: 1});
        const threshold = result.calibration?.threshold as number;
        expect(agent.metadata["mara.threshold"]).toBe(String(threshold));
        expect(JSON.parse(agent.metadata["mara.candidates"] as string)).toMatchObject({minP: 0.1});
        const {context, aligner} = await createAlignedContext(model, {agent, contextSize: 256, threads: 1});
        expect(aligner.settings()).toMatchObject({threshold, candidates: {minP: 0.1}});
        expect(JSON.parse(readFileSync(join(runDirectory, "calibration.json"), "utf8"))).toEqual(result.calibration);
        await context.dispose();
        agent.dispose();
    });

    it("shows the curve in its report", () => {
        const report = readFileSync(result.paths.report, "utf8");
        expect(report).toContain("<title>Calibration of the threshold</title>");
        expect(readFileSync(join(runDirectory, "calibration.svg"), "utf8")).toContain("10 prompts");
    });

    it("goes on bit for bit where it was interrupted", async () => {
        const again = newRun();
        const places = [
            {phase: "responses", done: 16},
            {phase: "fit", done: 0},
            {phase: "fit", done: 2},
            {phase: "calibration", done: 11}
        ];
        for (const [i, {phase, done}] of places.entries()) {
            const interruption = interruptAt((progress) => progress.phase === phase && progress.done === done);
            const begun = {...options, ...interruption, model, runDirectory: again, resume: i > 0};
            expect(await trainAgent(begun)).toMatchObject({completed: false});
        }
        expect(await trainAgent({...options, model, runDirectory: again, resume: true})).toMatchObject({
            completed: true,
            calibration: result.calibration
        });
        expect(outcomeOf(again, logs)).toEqual(outcomeOf(runDirectory, logs));
    });

    it("keeps what was found about the threshold", async () => {
        const phases = new Set<string>();
        const onProgress = ({phase}: TrainProgress) => phases.add(phase);
        const {calibration} = await trainAgent({...options, model, runDirectory, onProgress, resume: true});
        expect(calibration).toEqual(result.calibration);
        expect(phases).not.toContain("calibration");
    });
});

describe("prompts that are left alone", () => {
    const mixed = prompts.map((prompt, i) => ({...prompt, leaveAlone: i % 2 === 1}));

    it("are no pairs, and say nothing about the threshold", async () => {
        const runDirectory = newRun();
        const few = {...options, epochs: 2, samplesPerPrompt: 2};
        const {calibration, metrics} = await trainAgent({...few, model, prompts: mixed, runDirectory});
        expect(linesOf(runDirectory, "responses")).toHaveLength(80);
        const held = metrics[0] as {heldOutPairs: number};
        // Ten prompts are held out.
        expect(held.heldOutPairs).toBeLessThan(10);
        expect(calibration?.prompts ?? held.heldOutPairs).toBe(held.heldOutPairs);
    });

    it.each([smallSac, smallPreference])("are refused by $method", async (others) => {
        const refused = trainAgent({...others, model, prompts: mixed, runDirectory: newRun()});
        await expect(refused).rejects.toMatchObject({code: "INVALID_ARGUMENT", message: /leaveAlone/});
    });
});
