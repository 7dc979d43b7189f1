import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {type AlignerSettings, evaluate, MaraAgent} from "../../lib/index.js";
import {mara, succeed, temporaryFolder} from "../cli/helpers.js";
import {randomTensors} from "../support/agents.js";
import {failure} from "../support/failure.js";
import {generate, loadTinyModel} from "../support/models.js";
import {writeTinyModel} from "../support/tiny-model.js";
import {align} from "./harness.js";

const folder = temporaryFolder();
let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel();
});
afterAll(() => model?.dispose());

const defaults = {topK: 40, topP: 0.95, minP: 0, temperature: 0.8};
const five = {"mara.candidates": JSON.stringify({topK: 5, topP: 1, minP: 0.01, temperature: 0.7, later: "more"})};
const trained = {topK: 5, topP: 1, minP: 0.01, temperature: 0.7};

function agentWith(metadata: Record<string, string>): MaraAgent {
    const tensors = randomTensors(model.embeddingVectorSize, 5);
    return MaraAgent.fromTensors(tensors, {dtype: "f32", threads: 1, metadata});
}

async function settingsOf(metadata: Record<string, string>, more: Partial<AlignerSettings> = {}) {
    const {aligner} = await align(model, {agent: agentWith(metadata), mode: "serial", ...more});
    const {threshold, candidates} = aligner.settings();
    return {threshold, candidates};
}

describe("What an agent was trained with", () => {
    it("is the default of an aligned context; an option that is given wins", async () => {
        expect(await settingsOf({})).toEqual({threshold: 0.5, candidates: defaults});
        expect(await settingsOf(five)).toEqual({threshold: 0.5, candidates: trained});
        expect(await settingsOf({...five, "mara.threshold": "0.3"})).toEqual({threshold: 0.3, candidates: trained});
        expect(await settingsOf({...five, "mara.threshold": "0.3"}, {threshold: 0.5, candidates: {topK: 40}})).toEqual({
            threshold: 0.5,
            candidates: {...trained, topK: 40}
        });
    });

    it("decides how many candidates there are", async () => {
        const {context, aligner} = await align(model, {agent: agentWith(five), mode: "lanes"});
        const counts = new Set<number>();
        aligner.onDecision(({candidates}) => counts.add(candidates.length));
        await generate(context.getSequence(), model.tokenize("once there was a hen and"), 12);
        expect(Math.max(...counts)).toBe(5);
    });

    it("follows another agent, for the context and for a sequence, but for what was given", async () => {
        const {context, aligner} = await align(model, {
            agent: agentWith({}),
            mode: "serial",
            sequences: 2,
            candidates: {minP: 0.2}
        });
        const [one, two] = [context.getSequence(), context.getSequence()];
        aligner.configure({agent: agentWith(five)}, one);
        expect(aligner.settings(one).candidates).toEqual({...trained, minP: 0.2});
        expect(aligner.settings(two).candidates).toEqual({...defaults, minP: 0.2});
        aligner.configure({agent: agentWith({...five, "mara.threshold": "0.25"})});
        expect(aligner.settings()).toMatchObject({threshold: 0.25, candidates: {...trained, minP: 0.2}});
        aligner.configure({candidates: {topK: 7}}, two);
        expect(aligner.settings(two)).toMatchObject({threshold: 0.25, candidates: {...trained, minP: 0.2, topK: 7}});
    });

    it.each([
        ["mara.candidates", "[5]", "an object for mara.candidates", '"[5]"'],
        ["mara.candidates", "{", "an object for mara.candidates", '"{"'],
        ["mara.candidates", '{"topK": 0}', "an integer from 1 to 256 for mara.candidates.topK", '"{"topK": 0}"'],
        ["mara.threshold", "2", "a number in [0, 1] for mara.threshold", '"2"']
    ])("is refused where %s is %s", async (key, value, expected, received) => {
        expect(await failure(() => settingsOf({[key]: value}))).toEqual({
            code: "AGENT_FORMAT",
            message: `Expected ${expected} in the agent's metadata but received ${received}`
        });
    });

    it("is the default of an evaluation, for each agent its own, and stands in result and report", async () => {
        const other = join(folder, "other.safetensors");
        await agentWith({"mara.candidates": '{"topK": 3}'}).save(other);
        const given = {prompts: ["once there was"], rewards: ["length"], maxTokens: 6, threads: 1, fluency: false};
        const against = ["raw", `agent:${other}`];
        const {result, report, sides} = await evaluate({model, agent: agentWith(five), against, ...given});
        expect(result.config).toMatchObject({threshold: 0.5, aligned: {candidates: trained}});
        expect(report).toContain("with top-k 5, top-p 1, min-p 0.01, temperature 0.7, against");
        // Against itself at its own settings, the other agent's answers are the same.
        const alone = await evaluate({model, agent: other, ...given});
        expect(alone.result.config.aligned.candidates).toEqual({...defaults, topK: 3});
        expect(sides[2]?.answers).toEqual(alone.sides[0]?.answers);
        const explicit = await evaluate({
            model,
            agent: agentWith(five),
            ...given,
            candidates: {topK: 2},
            threshold: 0.4
        });
        expect(explicit.result.config).toMatchObject({
            threshold: 0.4,
            aligned: {candidates: {...trained, topK: 2}}
        });
    });

    it("is what the commands use and show", async () => {
        const agent = join(folder, "five.safetensors");
        await agentWith({...five, "mara.threshold": "0.3"}).save(agent);
        expect(await succeed(["inspect", agent])).toMatch(
            /in use +as trained: threshold 0.3, topK 5, topP 1, minP 0.01, temperature 0.7\n/
        );
        expect(JSON.parse(await succeed(["inspect", agent, "--json"])).trainedWith).toEqual({
            ...trained,
            threshold: 0.3
        });
        const pair = ["--model", writeTinyModel(), "--agent", agent, "--gpu", "off", "--threads", "1"];
        const asked = ["-p", "once", "--max-tokens", "4", "--context-size", "64", "--json"];
        const chat = JSON.parse(await succeed(["chat", ...pair, ...asked]));
        expect(chat).toMatchObject({threshold: 0.3, candidates: trained});
        const other = JSON.parse(await succeed(["chat", ...pair, ...asked, "--threshold", "0.5", "--top-k", "6"]));
        expect(other).toMatchObject({threshold: 0.5, candidates: {...trained, topK: 6}});
        const {stdout} = await mara(["doctor", ...pair, "--json"]);
        const {checks} = JSON.parse(stdout) as {checks: {name: string; detail: string}[]};
        expect(checks.find(({name}) => name === "agent")?.detail).toMatch(
            /; in use: threshold 0.3, top-k 5, top-p 1, min-p 0.01, temperature 0.7$/
        );
    });
});
