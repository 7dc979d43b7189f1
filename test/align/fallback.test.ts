import {getLlama, type Llama, LlamaContextSequence, LlamaLogLevel, type LlamaModel} from "node-llama-cpp";
import {afterAll, afterEach, beforeAll, beforeEach, describe, expect, it} from "vitest";
import {createAlignedContext, type MaraAgent} from "../../lib/index.js";
import {acceptAll, randomAgent} from "../support/agents.js";
import {generate, precise} from "../support/models.js";
import {type TinyModelOptions, writeTinyModel} from "../support/tiny-model.js";
import {refusal} from "./harness.js";

interface NativeContext {
    getContextSize(): number;
}
type Bindings = {AddonContext: new (model: object, params: Record<string, unknown>) => NativeContext};

let llama: Llama;
let model: LlamaModel;
let agent: MaraAgent;
const warnings: string[] = [];
const listen = (warning: Error) => void (warning.name === "MaraWarning" && warnings.push(warning.message));

beforeAll(async () => {
    // This Llama is the test's own, since its bindings are tampered with.
    llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    model = await llama.loadModel({modelPath: writeTinyModel()});
    agent = randomAgent(model.embeddingVectorSize, 5);
    process.on("warning", listen);
});
beforeEach(() => void warnings.splice(0));
afterAll(async () => {
    process.off("warning", listen);
    await llama?.dispose();
});

const created: NativeContext[] = [];
let restore = () => {};
afterEach(() => restore());

/** Native contexts are made with other parameters than the rest of node-llama-cpp believes. */
function tamper(change: Record<string, unknown>): void {
    const holder = llama as unknown as {_bindings: Bindings};
    const stock = holder._bindings;
    const AddonContext = new Proxy(stock.AddonContext, {
        construct(target, [contextModel, params]: [object, Record<string, unknown>], newTarget) {
            const context = Reflect.construct(target, [contextModel, {...params, ...change}], newTarget);
            created.push(context);
            return context;
        }
    });
    holder._bindings = new Proxy(stock, {
        get: (target, name) => (name === "AddonContext" ? AddonContext : Reflect.get(target, name))
    });
    created.splice(0);
    restore = () => {
        holder._bindings = stock;
    };
}

const reasons: [string, Record<string, unknown>, string][] = [
    ["batch size", {batchSize: 129}, "node-llama-cpp's context holds n_batch = 129 where 128 was expected"],
    ["context size", {contextSize: 512}, "node-llama-cpp's context holds n_ctx = 512 where 256 was expected"],
    ["sequences", {sequences: 3}, "node-llama-cpp's context holds n_seq_max = 3 where 1 was expected"],
    ["timings", {performanceTracking: true}, "node-llama-cpp's context holds no_perf = 0 where 1 was expected"]
];
const options = {...precise, batchSize: 128} as const;

it.each(reasons)("lanes are refused when the %s in memory differs, and no context stays", async (_, change, reason) => {
    tamper(change);
    expect(await refusal(() => createAlignedContext(model, {...options, agent, mode: "lanes"}))).toEqual({
        code: "LANES_UNAVAILABLE",
        message: reason
    });
    expect(created.length).toBeGreaterThan(0);
    for (const context of created) expect(() => context.getContextSize()).toThrow("Context is disposed");
    expect(warnings).toEqual([]);
});

it.each(reasons.slice(0, 1))(
    "auto falls back to serial with one warning that says why (%s)",
    async (_, change, reason) => {
        const prompt = model.tokenize("once there was a hen and");
        const lanes = await createAlignedContext(model, {...options, agent});
        expect(lanes.aligner.mode).toBe("lanes");
        const wanted = await generate(lanes.context.getSequence(), prompt, 20);
        await lanes.context.dispose();

        tamper(change);
        for (let i = 0; i < 2; i++) {
            const {context, aligner} = await createAlignedContext(model, {...options, agent});
            expect(aligner.mode).toBe("serial");
            expect(await generate(context.getSequence(), prompt, 20)).toEqual(wanted);
            await context.dispose();
        }
        await new Promise(setImmediate);
        expect(warnings).toEqual([`node-llama-mara uses its slower serial mode: ${reason}`]);
    }
);

it("serial asks for nothing that could be wrong", async () => {
    tamper({batchSize: 129});
    const {context, aligner} = await createAlignedContext(model, {...options, agent, mode: "serial"});
    expect(aligner.mode).toBe("serial");
    await context.dispose();
    await new Promise(setImmediate);
    expect(warnings).toEqual([]);
});

it("leaves node-llama-cpp's bindings as they were", async () => {
    const holder = llama as unknown as {_bindings: Bindings};
    const stock = holder._bindings;
    const both = await Promise.all([
        createAlignedContext(model, {...options, agent}),
        createAlignedContext(model, {...options, agent, lanes: 3, sequences: 2}),
        model.createContext(options)
    ]);
    expect(holder._bindings).toBe(stock);
    expect(both.slice(0, 2).map((made) => "aligner" in made && made.aligner.mode)).toEqual(["lanes", "lanes"]);
    for (const made of both) await ("aligner" in made ? made.context : made).dispose();
});

it("auto does not hide other errors", async () => {
    const wanted = await refusal(() => createAlignedContext(model, {...options, agent, lanes: 4096}));
    expect(wanted.code).toBe("LANES_LIMIT");
    await expect(createAlignedContext(model, {...options, agent, createSignal: AbortSignal.abort("no")})).rejects.toBe(
        "no"
    );
    expect(warnings).toEqual([]);
});

describe("Models with RoPE factors of two kinds", () => {
    const metadata = {
        "llama.rope.scaling.type": {string: "longrope"},
        "llama.rope.scaling.original_context_length": {u32: 1024}
    } as const;
    const factors = (value: number) => ({shape: [8], type: "F32", values: new Float32Array(8).fill(value)}) as const;
    const tensors = {"rope_factors_long.weight": factors(1.5), "rope_factors_short.weight": factors(1)};
    const load = (more: TinyModelOptions) => llama.loadModel({modelPath: writeTinyModel({metadata, ...more})});

    it("get no lanes where these would change which kind is used", async () => {
        const long = await load({tensors});
        const context = {...options, agent, contextSize: 1024};
        const message =
            "the model has other RoPE factors for more than 1024 tokens, and lanes would take its 1024 of context to 1280";
        expect(await refusal(() => createAlignedContext(long, {...context, mode: "lanes"}))).toEqual({
            code: "LANES_UNAVAILABLE",
            message
        });
        const {context: serial, aligner} = await createAlignedContext(long, context);
        expect(aligner.mode).toBe("serial");
        expect(await generate(serial.getSequence(), long.tokenize("once"), 4)).toHaveLength(4);
        await new Promise(setImmediate);
        expect(warnings).toEqual([`node-llama-mara uses its slower serial mode: ${message}`]);
        await long.dispose();
    });

    it.each([256, 1536])("have lanes and a plain context's text with %i tokens of context", async (contextSize) => {
        const long = await load({tensors});
        const prompt = long.tokenize("once there was a hen and");
        const plain = await long.createContext({...options, contextSize});
        const accepting = acceptAll(long.embeddingVectorSize);
        const aligned = await createAlignedContext(long, {...options, contextSize, agent: accepting, mode: "lanes"});
        expect(await generate(aligned.context.getSequence(), prompt, 12)).toEqual(
            await generate(plain.getSequence(), prompt, 12)
        );
        await long.dispose();
    });

    it("have lanes where the file holds no factors", async () => {
        const long = await load({});
        const {aligner} = await createAlignedContext(long, {...options, agent, contextSize: 1024, mode: "lanes"});
        expect(aligner.mode).toBe("lanes");
        await long.dispose();
    });
});

describe("a version of node-llama-cpp without a part that alignment stands on", () => {
    it.each(["_resolveSamplerConfig", "_decodeTokens"])("is refused with its name: %s", async (name) => {
        const prototype = LlamaContextSequence.prototype as unknown as Record<string, unknown>;
        const stock = prototype[name];
        const {context} = await createAlignedContext(model, {...options, agent});
        prototype[name] = undefined;
        restore = () => {
            prototype[name] = stock;
        };
        expect(await refusal(async () => context.getSequence())).toEqual({
            code: "UNSUPPORTED_VERSION",
            message:
                `This version of node-llama-cpp has no LlamaContextSequence.${name}, which alignment stands on. ` +
                "Install a version that docs/compatibility.md lists, or a newer node-llama-mara."
        });
        await context.dispose();
    });

    it.each(["lanes", "serial"] as const)("leaves no context behind (%s)", async (mode) => {
        tamper({});
        const holder = llama as unknown as {_bindings: object};
        const tampered = holder._bindings;
        holder._bindings = new Proxy(tampered, {
            get: (target, name) => (name === "AddonGrammarEvaluationState" ? undefined : Reflect.get(target, name))
        });
        const {code, message} = await refusal(() => createAlignedContext(model, {...options, agent, mode}));
        expect({code, message}).toMatchObject({
            code: "UNSUPPORTED_VERSION",
            message: expect.stringContaining("has no bindings.AddonGrammarEvaluationState,")
        });
        expect(created.length).toBeGreaterThan(0);
        for (const context of created) expect(() => context.getContextSize()).toThrow("Context is disposed");
    });
});
