/** Sides with several agents, a grid of weights, and what it reaches of two rewards. */
import {readFileSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {heldOutPrompts} from "../../lib/demo/world.js";
import {evaluate} from "../../lib/evaluate/evaluate.js";
import type {EvaluateOptions} from "../../lib/evaluate/options.js";
import {areaAbove} from "../../lib/evaluate/trade-off.js";
import {MaraAgent} from "../../lib/index.js";
import {agentFor} from "../align/harness.js";
import {temporaryFolder} from "../cli/helpers.js";
import {failure} from "../support/failure.js";
import {testLlama} from "../support/models.js";

const folder = temporaryFolder();
const other = join(folder, "other.safetensors");
let model: LlamaModel;
let options: EvaluateOptions;

beforeAll(async () => {
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
    const tensors = (await agentFor(model, 5)).tensors();
    // The demo's agent is so sure that one of ordinary spread would not move the mean.
    for (const name of ["output_linear.weight", "output_linear.bias"] as const)
        tensors[name].data.set(tensors[name].data.map((value) => 4 * value));
    await MaraAgent.fromTensors(tensors).save(other);
    const prompts = heldOutPrompts(4, 11).map(({text}) => text);
    options = {
        model,
        agent: demoAgentPath,
        prompts,
        rewards: [
            function brevity(_, response) {
                return -response.length;
            },
            "length:words"
        ],
        maxTokens: 24,
        threads: 1,
        sequences: 1,
        fluency: false
    };
});
afterAll(() => model.dispose());

it("A grid of weights goes from one agent to the other, with the trade-off and its hypervolume", async () => {
    const runDirectory = join(folder, "run");
    const grid = `grid:3:${demoAgentPath},${other}`;
    const {result, sides, report} = await evaluate({
        ...options,
        against: ["raw", `agent:${other}`, grid],
        runDirectory
    });
    const both = (first: number, second: number) => `agents:${demoAgentPath}=${first},${other}=${second}`;
    expect(result.config.against).toEqual(["raw", `agent:${other}`, both(1, 0), both(0.5, 0.5), both(0, 1)]);
    const [aligned, raw, alone, first, mixed, last] = sides.map(({answers}) => answers.map(({text}) => text));
    expect(first).toEqual(aligned);
    expect(last).toEqual(alone);
    expect([raw, first, last]).not.toContainEqual(mixed);
    const means = result.others.slice(2).map(({rewards}) => rewards.map(({mean}) => mean)) as [number, number][];
    const {tradeOff} = result;
    expect(tradeOff?.points.filter(({isCombined}) => isCombined).map(({rewards}) => rewards)).toEqual(means);
    expect(tradeOff?.reference).toEqual(result.others[0]?.rewards.map(({mean}) => mean));
    expect(tradeOff?.hypervolume).toBe(areaAbove(tradeOff?.reference as [number, number], means));
    expect(report).toContain('"id":"trade-off"');
    expect(JSON.parse(readFileSync(join(runDirectory, "result.json"), "utf8")).tradeOff).toEqual(tradeOff);
});

it("The area above a reference is that of the union of rectangles", () => {
    const points = [
        [3, 1],
        [1, 3],
        [2, 2],
        [0.5, 2.9],
        [5, -1],
        [-1, 5],
        [2, 1.5]
    ] as const;
    let cells = 0;
    const step = 0.125;
    for (let x = step / 2; x < 6; x += step)
        for (let y = step / 2; y < 6; y += step) if (points.some(([px, py]) => x < px && y < py)) cells++;
    expect(areaAbove([0, 0], points)).toBe(6);
    expect(cells * step * step).toBeCloseTo(6, 12);
    expect(areaAbove([3, 3], points)).toBe(0);
});

it.each(["agents:", "agents:all", "agents:a=0", "grid:1:a,b", "grid:3:a"])("%s is refused", async (name) => {
    expect(await failure(() => evaluate({...options, against: [name]}))).toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringContaining("agents:FILE=WEIGHT,FILE=WEIGHT, grid:N:FILE,FILE or guide:GUIDE for against")
    });
});
