import {join} from "node:path";
import fc from "fast-check";
import type {LlamaContext, LlamaContextSequence, LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import * as mara from "../lib/index.js";
import {constantNames, constants} from "../lib/train/constants.js";
import {temporaryFolder} from "./cli/helpers.js";
import {acceptAll} from "./support/agents.js";
import {loadTinyModel, small} from "./support/models.js";

/** Longest time that a refusal may take, and longest message, in characters. */
const limit = {milliseconds: 2000, message: 2100};
const tooLong = "it took too long";

/** True if a value is one that a parameter takes. Such values are not wrong, so they are left out. */
type Takes = (value: unknown) => boolean;

const isString: Takes = (value) => typeof value === "string";
/** Texts name files and rewards, which are looked for. */
const text: Takes = (value) => isString(value) && value !== "" && !(value as string).includes("\0");
const func: Takes = (value) => typeof value === "function";
const boolean: Takes = (value) => typeof value === "boolean";
const nothing: Takes = () => false;
const list: Takes = (value) => Array.isArray(value) && value.length === 0;
const plain: Takes = (value) =>
    !hostile.includes(value as object) && Object.prototype.toString.call(value) === "[object Object]";
const empty: Takes = (value) => plain(value) && Reflect.ownKeys(value as object).length === 0;
const within =
    (min: number, max: number): Takes =>
    (value) =>
        typeof value === "number" && value >= min && value <= max;
const whole =
    (min: number, max = Number.MAX_SAFE_INTEGER): Takes =>
    (value) =>
        Number.isInteger(value) && within(min, max)(value);
const oneOf =
    (...takes: (Takes | string)[]): Takes =>
    (value) =>
        takes.some((one) => (typeof one === "string" ? one === value : one(value)));
/** May be left out. */
const maybe = (takes: Takes): Takes => oneOf(takes, (value) => value === undefined);

const throwing = () => {
    throw new RangeError("hostile");
};
const getter = {get: throwing, enumerable: true};
const functions = {toString: throwing, toJSON: throwing};
const hostile = [
    new Proxy({}, {get: throwing, has: throwing, ownKeys: throwing, getPrototypeOf: throwing}),
    Object.defineProperty({}, ["the", "n"].join(""), getter),
    Object.defineProperty({}, "prompt", getter),
    functions,
    {constructor: {name: Symbol("n")}}
];

const listed: unknown[] = [
    ...[undefined, null, true, false, 0, -0, 1, -1, 0.5, 2 ** 31, 2 ** 53, 1e300, -1e300],
    ...[Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 10n, 10n ** 5000n, Symbol("s")],
    ...["", "0.5", "nonsense", "a\0b", "\ud800", "x".repeat(1e6), new String("s"), new Number(4)],
    ...[[], [null], [undefined], [[]], [{}], ["a", 5], new Array(3), {}, {a: 1}, Object.create(null)],
    ...[{prompt: 5}, {prompt: "a", system: 5}, {score: 5}, {length: 3}],
    ...[() => 5, async () => throwing(), class {}, new Date(), /x/, new Map(), new Set([1]), new Error("e")],
    ...[
        new Uint8Array(3),
        new Float32Array(5),
        new ArrayBuffer(8),
        new DataView(new ArrayBuffer(8)),
        Promise.resolve()
    ],
    ...[globalThis, new WeakMap()],
    ...hostile
];
const generated = fc.sample(
    fc.anything({
        withBigInt: true,
        withDate: true,
        withMap: true,
        withSet: true,
        withSparseArray: true,
        withNullPrototype: true
    }),
    {seed: 13, numRuns: 25}
);
const wrong = [...listed, ...generated];

interface Target {
    call: (...args: never[]) => unknown;
    /** Arguments with which the call would be right. */
    args: unknown[];
    /** By the argument's index, or a path into it such as "1.candidates.topK". */
    takes: Record<string, Takes>;
    /** Places that refuse unknown fields. */
    strict?: string[];
}

let model: LlamaModel;
let agent: mara.MaraAgent;
let plainContext: LlamaContext;
let aligned: Awaited<ReturnType<typeof mara.createAlignedContext>>;
let sequence: LlamaContextSequence;
let reward: mara.Reward;
let disposedModel: LlamaModel;
let disposedContext: LlamaContext;
let disposedAgent: mara.MaraAgent;
const folder = temporaryFolder();
const unhandled: unknown[] = [];
const noteUnhandled = (reason: unknown) => unhandled.push(reason);

beforeAll(async () => {
    process.on("unhandledRejection", noteUnhandled);
    model = await loadTinyModel();
    agent = acceptAll(model.embeddingVectorSize);
    plainContext = await model.createContext({...small, sequences: 2});
    aligned = await mara.createAlignedContext(model, {...small, agent});
    sequence = aligned.context.getSequence();
    reward = await mara.openReward("length");
    disposedModel = await loadTinyModel({seed: 2});
    disposedContext = await disposedModel.createContext(small);
    await disposedModel.dispose();
    disposedAgent = acceptAll(model.embeddingVectorSize);
    disposedAgent.dispose();
});
afterAll(async () => {
    process.off("unhandledRejection", noteUnhandled);
    await model.dispose();
});

const candidates = (at: string): Record<string, Takes> => ({
    [at]: maybe(empty),
    [`${at}.topK`]: maybe(whole(1, 256)),
    [`${at}.topP`]: maybe(within(Number.MIN_VALUE, 1)),
    [`${at}.minP`]: maybe(within(0, 1)),
    [`${at}.temperature`]: maybe(within(Number.MIN_VALUE, Number.MAX_VALUE))
});

const settings = (at: string): Record<string, Takes> => ({
    [`${at}.judge`]: maybe(func),
    [`${at}.combine`]: maybe(nothing),
    [`${at}.agents`]: maybe(nothing),
    [`${at}.guides`]: maybe(list),
    [`${at}.guides.0`]: nothing,
    ...candidates(`${at}.candidates`),
    [`${at}.strategy`]: maybe(nothing),
    [`${at}.order`]: maybe(nothing),
    [`${at}.threshold`]: maybe(within(0, 1)),
    [`${at}.fallbackIndex`]: maybe(whole(0)),
    [`${at}.seed`]: maybe(whole(0, 2 ** 32 - 1)),
    [`${at}.enabled`]: maybe(boolean)
});

const waves = (value: unknown) => Array.isArray(value) && value.length > 0 && [...value].every(whole(1, 256));
const finite = within(-Number.MAX_VALUE, Number.MAX_VALUE);
const tokens = (value: unknown) => Array.isArray(value) && value.length > 0 && [...value].every(whole(0));
const answers = ["a", "b"].map((prompt) => ({prompt, response: "c"}));
const texts = (value: unknown) => Array.isArray(value) && [...value].every(text);
const cacheType = oneOf(isString, whole(Number.MIN_SAFE_INTEGER));

const targets: Record<string, () => Target> = {
    createAlignedContext: () => ({
        call: mara.createAlignedContext,
        args: [model, {...small, agent, candidates: {}, guides: [{guide() {}}]}],
        takes: {
            0: nothing,
            1: nothing,
            "1.agent": nothing,
            ...settings("1"),
            "1.mode": maybe(nothing),
            "1.lanes": maybe(whole(1)),
            "1.waves": maybe(waves),
            "1.sequences": maybe(whole(1, 256)),
            "1.contextSize": maybe(oneOf(whole(1, 2 ** 31 - 1), empty)),
            "1.batchSize": maybe(whole(1, 2 ** 31 - 1)),
            "1.flashAttention": maybe(boolean),
            "1.threads": maybe(oneOf(whole(0, 1024), empty)),
            "1.batching": maybe(empty),
            "1.batching.dispatchSchedule": maybe(func),
            "1.batching.itemPrioritizationStrategy": maybe(func),
            "1.experimentalKvCacheKeyType": maybe(cacheType),
            "1.experimentalKvCacheValueType": maybe(cacheType),
            "1.swaFullCache": maybe(boolean),
            "1.lora": maybe(text),
            "1.createSignal": maybe(nothing),
            "1.ignoreMemorySafetyChecks": maybe(boolean),
            "1.failedCreationRemedy": maybe(oneOf(empty, (value) => value === false)),
            "1.failedCreationRemedy.retries": maybe(whole(0, 1000)),
            "1.failedCreationRemedy.autoContextSizeShrink": maybe(oneOf(within(0, 1), func)),
            "1.performanceTracking": maybe(boolean)
        },
        strict: ["1", "1.candidates", "1.batching", "1.failedCreationRemedy", "1.contextSize", "1.threads"]
    }),
    guidance: () => ({
        call: mara.guidance,
        args: [{negativePrompt: "no", scale: 1}],
        takes: {
            0: nothing,
            "0.negativePrompt": (value) => (isString(value) && value !== "") || tokens(value),
            "0.scale": finite
        },
        strict: ["0"]
    }),
    contrast: () => ({
        call: mara.contrast,
        args: [{amateur: model, weight: 1}],
        takes: {
            0: nothing,
            "0.amateur": text,
            "0.weight": finite,
            "0.plausibility": maybe(within(Number.MIN_VALUE, 1))
        },
        strict: ["0"]
    }),
    valueModel: () => ({
        call: mara.valueModel,
        args: [{tuned: model}],
        takes: {0: nothing, "0.tuned": text, "0.base": maybe(text), "0.weight": maybe(finite)},
        strict: ["0"]
    }),
    "aligner.configure": () => ({
        call: bound(aligned.aligner, "configure"),
        args: [{agent, candidates: {}, guides: [{guide() {}}]}, sequence],
        takes: {0: empty, "0.agent": nothing, ...settings("0"), 1: maybe(nothing)},
        strict: ["0", "0.candidates"]
    }),
    "aligner.stats": () => ({
        call: bound(aligned.aligner, "stats"),
        args: [sequence],
        takes: {0: maybe(nothing)}
    }),
    "aligner.settings": () => ({
        call: bound(aligned.aligner, "settings"),
        args: [sequence],
        takes: {0: maybe(nothing)}
    }),
    "aligner.onDecision": () => ({
        call: bound(aligned.aligner, "onDecision"),
        args: [() => {}, sequence],
        takes: {0: func, 1: maybe(nothing)}
    }),
    "aligner.enabled": () => ({
        call: (enabled: never) => Object.assign(aligned.aligner, {enabled}),
        args: [true],
        takes: {0: maybe(boolean)}
    }),
    "MaraAgent.load": () => ({
        call: mara.MaraAgent.load,
        args: ["test/golden/w64.agent.safetensors", {}],
        takes: {
            0: text,
            1: maybe(empty),
            "1.dtype": maybe(nothing),
            "1.kernel": maybe(nothing),
            "1.device": maybe(nothing),
            "1.threads": maybe(whole(1, 256))
        },
        strict: ["1"]
    }),
    "MaraAgent.fromTensors": () => ({
        call: mara.MaraAgent.fromTensors,
        args: [agent.tensors(), {metadata: {}}],
        takes: {
            0: nothing,
            "0.ln.bias": nothing,
            1: maybe(empty),
            "1.dtype": maybe(nothing),
            "1.threads": maybe(whole(1, 256)),
            "1.metadata": maybe(empty),
            "1.metadata.name": isString
        },
        strict: ["1"]
    }),
    "agent.score": () => ({call: bound(agent, "score"), args: [new Float32Array(64)], takes: {0: nothing}}),
    "agent.scoreAsync": () => ({
        call: bound(agent, "scoreAsync"),
        args: [new Float32Array(64)],
        takes: {0: nothing}
    }),
    "agent.save": () => ({
        call: bound(agent, "save"),
        args: [`${folder}/saved.safetensors`, {}],
        takes: {0: text, 1: maybe(empty), "1.dtype": maybe(nothing)},
        strict: ["1"]
    }),
    promptTokens: () => ({
        call: mara.promptTokens,
        args: [model, {prompt: "a"}],
        takes: {0: nothing, 1: oneOf(isString, nothing), "1.prompt": isString, "1.system": maybe(isString)}
    }),
    answerAll: () => ({
        call: mara.answerAll,
        args: [plainContext, ["a"], {maxTokens: 4}],
        takes: {
            0: nothing,
            1: oneOf(list, texts),
            "1.0": isString,
            2: nothing,
            "2.maxTokens": whole(1, 200),
            "2.sequences": maybe(whole(1, 2)),
            "2.tokensOf": maybe(func),
            "2.onAnswer": maybe(func),
            "2.signal": maybe(nothing),
            "2.temperature": maybe(within(0, Number.MAX_VALUE)),
            "2.topP": maybe(within(0, 1)),
            "2.topK": maybe(whole(0, 2 ** 31 - 1)),
            "2.minP": maybe(within(0, 1)),
            "2.seed": maybe(whole(0, 2 ** 32 - 1))
        },
        strict: ["2"]
    }),
    evaluate: () => ({
        call: mara.evaluate,
        args: [{model, agent, prompts: ["a"], rewards: ["length"], rewardOptions: {}, sampling: {}, candidates: {}}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.agent": text,
            "0.prompts": oneOf(text, texts),
            "0.prompts.0": isString,
            "0.rewards": texts,
            "0.rewards.0": oneOf(isString, func),
            "0.rewardOptions": maybe(empty),
            ...rewardOptions("0.rewardOptions"),
            "0.against": maybe(texts),
            "0.maxTokens": maybe(whole(1, 1e6)),
            "0.threshold": maybe(within(0, 1)),
            "0.thresholds": maybe(list),
            ...candidates("0.candidates"),
            "0.strategy": maybe(nothing),
            "0.order": maybe(nothing),
            "0.mode": maybe(nothing),
            "0.waves": maybe(waves),
            "0.sampling": maybe(empty),
            "0.sampling.temperature": maybe(within(Number.MIN_VALUE, Number.MAX_VALUE)),
            "0.sampling.topP": maybe(within(0, 1)),
            "0.sampling.topK": maybe(whole(1)),
            "0.seed": maybe(whole(0, 2 ** 32 - 1)),
            "0.sequences": maybe(whole(1, 256)),
            "0.threads": maybe(whole(1, 1024)),
            "0.contextSize": maybe(whole(8, 1e8)),
            "0.fluency": maybe(boolean),
            "0.tieMargin": maybe(within(0, Number.MAX_VALUE)),
            "0.alignerTemplate": maybe(nothing),
            "0.runDirectory": maybe(text),
            "0.llama": maybe(nothing),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing)
        },
        strict: ["0", "0.rewardOptions", "0.sampling", "0.candidates"]
    }),
    trainAgent: () => ({
        call: mara.trainAgent,
        args: [{model, prompts: ["a"], reward: "length", runDirectory: `${folder}/run`, candidates: {}}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.llama": maybe(nothing),
            "0.prompts": oneOf(text, texts),
            "0.prompts.0": isString,
            "0.reward": oneOf(isString, func),
            "0.runDirectory": text,
            "0.resume": maybe(boolean),
            "0.method": maybe(nothing),
            "0.preset": maybe(nothing),
            "0.warmStart": maybe(text),
            "0.pairs": maybe(text),
            ...candidates("0.candidates"),
            "0.baseline": maybe(nothing),
            "0.penalty": maybe(nothing),
            "0.postBack": maybe(boolean),
            "0.automaticAlpha": maybe(boolean),
            "0.student": maybe(boolean),
            "0.threads": maybe(whole(1, 256)),
            "0.judgeQuestion": maybe(isString),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing),
            ...Object.fromEntries(
                constantNames.map((name) => {
                    const {min, max} = constants[name];
                    return [`0.${name}`, maybe(within(min, max))];
                })
            )
        },
        strict: ["0", "0.candidates"]
    }),
    trainValue: () => ({
        call: mara.trainValue,
        args: [{model, demonstrations: answers, out: join(folder, "value.safetensors")}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.llama": maybe(nothing),
            "0.demonstrations": text,
            "0.demonstrations.0.prompt": isString,
            "0.demonstrations.0.response": isString,
            "0.demonstrations.0.cut": maybe(boolean),
            "0.out": text,
            "0.candidates": maybe(whole(1, 1024)),
            "0.epochs": maybe(whole(1, 1e4)),
            "0.seed": maybe(whole(0, 2 ** 32 - 1)),
            "0.threads": maybe(whole(1, 256)),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing)
        },
        strict: ["0"]
    }),
    trainStudent: () => ({
        call: mara.trainStudent,
        args: [{model, agent, prompts: ["a", "b"], candidates: {}}],
        takes: {
            0: nothing,
            "0.model": text,
            "0.modelPath": maybe(nothing),
            "0.llama": maybe(nothing),
            "0.agent": text,
            "0.prompts": oneOf(text, texts),
            "0.prompts.0": isString,
            "0.out": maybe(nothing),
            ...candidates("0.candidates"),
            "0.threshold": maybe(within(0, 1)),
            "0.decisions": maybe(whole(2, 1e6)),
            "0.maxTokens": maybe(whole(1, 1e6)),
            "0.epochs": maybe(whole(1, 1e4)),
            "0.sequences": maybe(whole(1, 64)),
            "0.seed": maybe(whole(0, 2 ** 32 - 1)),
            "0.threads": maybe(whole(1, 256)),
            "0.onProgress": maybe(func),
            "0.signal": maybe(nothing)
        },
        strict: ["0", "0.candidates"]
    }),
    openReward: () => ({
        call: mara.openReward,
        args: ["length", {rewards: {}}],
        takes: {0: oneOf(text, func), 1: maybe(empty), ...rewardOptions("1")},
        strict: ["1"]
    }),
    "reward.score": () => ({
        call: bound(reward, "score"),
        args: [{prompt: "a"}, "b"],
        takes: {0: isString, "0.prompt": isString, "0.system": maybe(isString), 1: isString}
    }),
    scoreGuarded: () => ({
        call: mara.scoreGuarded,
        args: [reward, {prompt: "a"}, "b", {}],
        takes: {
            0: nothing,
            1: isString,
            "1.prompt": isString,
            2: isString,
            3: maybe(empty),
            "3.timeoutMs": maybe(within(Number.MIN_VALUE, 2 ** 31 - 1)),
            "3.retries": maybe(whole(0))
        },
        strict: ["3"]
    }),
    loadPrompts: () => ({call: mara.loadPrompts, args: ["nowhere.jsonl"], takes: {0: nothing}}),
    loadPairs: () => ({call: mara.loadPairs, args: ["nowhere.jsonl"], takes: {0: nothing}})
};

function rewardOptions(at: string): Record<string, Takes> {
    return {
        [`${at}.llama`]: maybe(nothing),
        [`${at}.threads`]: maybe(whole(1, 1024)),
        [`${at}.contextSize`]: maybe(whole(8, 1e8)),
        [`${at}.baseDirectory`]: maybe(text),
        [`${at}.moduleTimeoutMs`]: maybe(within(Number.MIN_VALUE, 2 ** 31 - 1)),
        [`${at}.rewards`]: maybe(oneOf(empty, (value) => value === functions)),
        [`${at}.rewards.own`]: oneOf(isString, func),
        [`${at}.judgeQuestion`]: maybe((value) => isString(value) && value !== "")
    };
}

it("are there for every function and class that is exported", () => {
    const exported = Object.entries(mara).flatMap(([name, value]) => (typeof value === "function" ? [name] : []));
    const called = new Set(Object.keys(targets).map((name) => name.split(".")[0]));
    expect(exported.filter((name) => !called.has(name))).toEqual(["MaraError"]);
});

it.each(Object.keys(targets))("%s refuses whatever it does not take", async (name) => {
    const target = (targets[name] as () => Target)();
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
    ["createAlignedContext", () => mara.createAlignedContext(model, {agent, treshold: 0.5} as never), "threshold"],
    ["createAlignedContext", () => mara.createAlignedContext(model, {agent, topK: 5} as never), "candidates.topK"],
    ["configure", async () => aligned.aligner.configure({fallbackindex: 1} as never), "fallbackIndex"],
    ["MaraAgent.load", () => mara.MaraAgent.load("agent.safetensors", {dType: "f16"} as never), "dtype"],
    ["answerAll", () => mara.answerAll(plainContext, ["a"], {maxTokens: 4, temprature: 1} as never), "temperature"],
    ["evaluate", () => mara.evaluate({maxToken: 4} as never), "maxTokens"],
    ["evaluate", () => mara.evaluate({sampling: {topp: 1}} as never), "topP"],
    ["trainAgent", () => mara.trainAgent({learnRate: 1} as never), "learningRate"],
    ["trainStudent", () => mara.trainStudent({decision: 1} as never), "decisions"],
    ["trainValue", () => mara.trainValue({candidate: 1} as never), "candidates"],
    ["openReward", () => mara.openReward("length", {judgequestion: "?"} as never), "judgeQuestion"],
    ["scoreGuarded", () => mara.scoreGuarded(reward, "a", "b", {timeout: 5} as never), "timeoutMs"]
] as [string, () => Promise<unknown>, string][])("%s names the option that was meant (%#)", async (_, call, meant) => {
    await expect(call()).rejects.toMatchObject({
        code: "INVALID_ARGUMENT",
        message: expect.stringMatching(`^Expected only .* Did you mean "${meant}"\\?$`)
    });
});

it("What is disposed is refused", async () => {
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

function bound<Name extends string>(of: {[key in Name]: (...args: never[]) => unknown}, name: Name): Target["call"] {
    return of[name].bind(of);
}

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

/** A copy of the arguments with `value` at the path. */
function withValue(args: unknown[], path: string, value: unknown): unknown[] {
    const copy = [...args];
    const keys = path.startsWith("0.ln.") ? ["0", path.slice(2)] : path.split(".");
    let at = copy as unknown as Record<string, unknown>;
    for (const key of keys.slice(0, -1)) {
        const inner = at[key];
        at = at[key] = (Array.isArray(inner) ? [...inner] : {...(inner as object)}) as Record<string, unknown>;
    }
    at[keys.at(-1) as string] = value;
    return copy;
}

function show(value: unknown): string {
    try {
        return fc.stringify(value).slice(0, 60);
    } catch {
        return typeof value;
    }
}
