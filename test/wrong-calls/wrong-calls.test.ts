import type {LlamaContext, LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import * as mara from "../../lib/index.js";
import {temporaryFolder} from "../cli/helpers.js";
import {acceptAll} from "../support/agents.js";
import {loadTinyModel, small} from "../support/models.js";
import {generating} from "./generating.js";
import {learning} from "./learning.js";
import type {Target, Things} from "./target.js";
import {show, withValue, wrong} from "./values.js";

const targets = {...generating, ...learning};

/** Longest time that a refusal may take, and longest message, in characters. */
const limit = {milliseconds: 2000, message: 2100};
const tooLong = "it took too long";

let things: Things;
let disposedModel: LlamaModel;
let disposedContext: LlamaContext;
let disposedAgent: mara.MaraAgent;
const folder = temporaryFolder();
const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown) => unhandled.push(reason);

beforeAll(async () => {
    process.on("unhandledRejection", noteUnhandled);
    const model = await loadTinyModel();
    const agent = acceptAll(model.embeddingVectorSize);
    const plainContext = await model.createContext({...small, sequences: 2});
    const aligned = await mara.createAlignedContext(model, {...small, agent});
    const sequence = aligned.context.getSequence();
    things = {model, agent, plainContext, aligned, sequence, reward: await mara.openReward("length"), folder};
    disposedModel = await loadTinyModel({seed: 2});
    disposedContext = await disposedModel.createContext(small);
    await disposedModel.dispose();
    disposedAgent = acceptAll(model.embeddingVectorSize);
    disposedAgent.dispose();
});
afterAll(async () => {
    process.off("unhandledRejection", noteUnhandled);
    await things.model.dispose();
});

it("are there for every function and class that is exported", () => {
    const exported = Object.entries(mara).flatMap(([name, value]) => (typeof value === "function" ? [name] : []));
    const called = new Set(Object.keys(targets).map((name) => name.split(".")[0]));
    expect(exported.filter((name) => !called.has(name))).toEqual(["MaraError"]);
});

it.each(Object.keys(targets))("%s refuses whatever it does not take", async (name) => {
    const target = (targets[name] as (things: Things) => Target)(things);
    const problems: string[] = [];
    let calls = 0;
    const refuse = async (args: unknown[], what: string) => {
        calls++;
        let problem = await problemOf(target, args);
        // A machine that does other work may pause once; a call that is slow is slow again.
        if (problem === tooLong) problem = await problemOf(target, args);
        if (problem !== undefined) problems.push(`${what}: ${problem}`);
    };
    for (const [path, takes] of Object.entries(target.takes))
        for (const [i, value] of wrong.entries())
            if (!takes(value))
                await refuse(withValue(target.args, path, value), `${path} = wrong[${i}] ${show(value)}`);
    for (const path of target.strict ?? [])
        for (const key of ["tresholds", "x".repeat(1e6), "__proto__x", "constructor"])
            await refuse(withValue(target.args, `${path}.${key}`, 1), `${path} with ${key.slice(0, 20)}`);
    if (target.takes[0]?.(undefined) === false) await refuse([], "no arguments");
    expect(problems.slice(0, 40)).toEqual([]);
    expect(calls).toBeGreaterThan(20);
});

it.each([
    [
        "createAlignedContext",
        () => mara.createAlignedContext(things.model, {agent: things.agent, treshold: 0.5} as never),
        "threshold"
    ],
    [
        "createAlignedContext",
        () => mara.createAlignedContext(things.model, {agent: things.agent, topK: 5} as never),
        "candidates.topK"
    ],
    ["configure", async () => things.aligned.aligner.configure({fallbackindex: 1} as never), "fallbackIndex"],
    ["MaraAgent.load", () => mara.MaraAgent.load("agent.safetensors", {dType: "f16"} as never), "dtype"],
    [
        "answerAll",
        () => mara.answerAll(things.plainContext, ["a"], {maxTokens: 4, temprature: 1} as never),
        "temperature"
    ],
    ["evaluate", () => mara.evaluate({maxToken: 4} as never), "maxTokens"],
    ["evaluate", () => mara.evaluate({sampling: {topp: 1}} as never), "topP"],
    ["trainAgent", () => mara.trainAgent({learnRate: 1} as never), "learningRate"],
    ["trainStudent", () => mara.trainStudent({decision: 1} as never), "decisions"],
    ["trainValue", () => mara.trainValue({candidate: 1} as never), "candidates"],
    ["openReward", () => mara.openReward("length", {judgequestion: "?"} as never), "judgeQuestion"],
    ["scoreGuarded", () => mara.scoreGuarded(things.reward, "a", "b", {timeout: 5} as never), "timeoutMs"]
] as [string, () => Promise<unknown>, string][])("%s names the option that was meant (%#)", async (_, call, meant) => {
    await expect(call()).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(`^Expected only .* Did you mean "${meant}"\\?$`)
    });
});

it("What is disposed is refused", async () => {
    const {model, agent} = things;
    const answers = {maxTokens: 4};
    const options = {model, agent, prompts: ["a"], rewards: ["length"]};
    for (const [call, code] of [
        [() => mara.answerAll(disposedContext, ["a"], answers), "INVALID_ARGUMENT"],
        [() => mara.promptTokens(disposedModel, "a"), "MODEL_UNSUPPORTED"],
        [() => mara.createAlignedContext(disposedModel, {agent}), "MODEL_UNSUPPORTED"],
        [() => mara.createAlignedContext(model, {agent: disposedAgent}), "AGENT_DISPOSED"],
        [() => mara.evaluate({...options, model: disposedModel}), "MODEL_UNSUPPORTED"],
        [() => mara.evaluate({...options, agent: disposedAgent}), "AGENT_DISPOSED"],
        [() => disposedAgent.score(new Float32Array(64)), "AGENT_DISPOSED"]
    ] as const)
        await expect((async () => await call())()).rejects.toMatchObject({name: "MaraError", code});
});

it("No promise was left rejected", async () => {
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(unhandled).toEqual([]);
});

/** A text if the call went wrong; undefined if it was refused as it should be. */
async function problemOf({call}: Target, args: unknown[]): Promise<string | undefined> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
        timer = setTimeout(() => resolve(tooLong), limit.milliseconds);
    });
    const start = performance.now();
    const outcome = (async () => {
        try {
            await call(...(args as never[]));
            return "it was taken";
        } catch (error) {
            if (!(error instanceof mara.MaraError)) return `${(error as Error)?.stack ?? error}`;
            return error.message.length > limit.message ? `a message of ${error.message.length}` : undefined;
        }
    })();
    const problem = await Promise.race([outcome, late]);
    clearTimeout(timer);
    return problem ?? (performance.now() - start > limit.milliseconds ? tooLong : undefined);
}
