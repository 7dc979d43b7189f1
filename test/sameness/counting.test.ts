/**
 * The number of decodes, counted where llama.cpp is called: under node-llama-cpp's native context in serial mode,
 * in this package's native one with lanes.
 */
import type {LlamaContext, LlamaModel, Token} from "node-llama-cpp";
import {afterAll, afterEach, beforeAll, describe, expect, it} from "vitest";
import {type AlignedContextOptions, type Aligner, createAlignedContext, type DecisionEvent} from "../../lib/index.js";
import {native} from "../../lib/native.js";
import {acceptAll, randomAgent, rejectAll} from "../support/agents.js";
import {generate, loadTinyModel, small} from "../support/models.js";

const length = 40;
const sizes = [1, 4, 12];
const modes = [
    {mode: "serial"},
    {mode: "lanes", lanes: 1, waves: sizes},
    {mode: "lanes", lanes: 5, waves: sizes},
    {mode: "lanes", lanes: 15, waves: sizes},
    {mode: "lanes", lanes: 15, waves: [3, 2]}
] as const;
type ModeOptions = (typeof modes)[number];

let model: LlamaModel;
let calls = 0;
const {LaneContext} = native();

beforeAll(async () => {
    model = await loadTinyModel({seed: 51, sharpness: 5});
    native().LaneContext = class extends LaneContext {
        override decode(...args: Parameters<InstanceType<typeof LaneContext>["decode"]>) {
            calls++;
            return super.decode(...args);
        }
        override wave(...args: Parameters<InstanceType<typeof LaneContext>["wave"]>) {
            calls++;
            return super.wave(...args);
        }
    };
});
afterEach(() => {
    calls = 0;
});
afterAll(async () => {
    native().LaneContext = LaneContext;
    await model.dispose();
});

/** Puts a counter under the context's own methods. */
function countStockDecodes(context: LlamaContext): void {
    const {_ctx} = context as unknown as {_ctx: {decodeBatch(): Promise<void>}};
    const stock = Object.getPrototypeOf(_ctx) as typeof _ctx;
    const decodeBatch = {
        value(this: typeof _ctx) {
            calls++;
            return stock.decodeBatch.call(this);
        }
    };
    Object.setPrototypeOf(_ctx, Object.create(stock, {decodeBatch}));
}

interface Run {
    tokens: number[];
    promptLength: number;
    events: DecisionEvent[];
    stats: ReturnType<Aligner["stats"]>;
}

/** Generates and checks that the aligner counts what was called. */
async function run(text: string, options: AlignedContextOptions): Promise<Run> {
    const {context, aligner} = await createAlignedContext(model, {...small, ...options});
    if (aligner.mode === "serial") countStockDecodes(context);
    const events: DecisionEvent[] = [];
    aligner.onDecision((event) => events.push(event));
    const prompt = model.tokenize(text, true) as Token[];
    calls = 0;
    const tokens = await generate(context.getSequence(), prompt, length);
    const stats = aligner.stats();
    // One more decode is for the prompt.
    expect(calls).toBe(stats.decodes + 1);
    await context.dispose();
    return {tokens, promptLength: prompt.length, events, stats};
}

interface Cost {
    /** Batches of candidates. */
    waves: number;
    /** True if the emitted token must be decoded once more, since none of the last wave's rows is its own. */
    again: boolean;
}

type Choosing = Pick<AlignedContextOptions, "strategy" | "order" | "fallbackIndex">;

/** The documented cost of one decision, from its outcome and the mode. */
function costOf({candidates, chosenRank, fallback}: DecisionEvent, options: ModeOptions, choosing: Choosing): Cost {
    const ranks = candidates.map((_, rank) => rank);
    if (choosing.order === "reverse") ranks.reverse();
    if (choosing.order === "top-last") ranks.push(ranks.shift() as number);
    const judgesAll = (choosing.strategy ?? "first") !== "first";
    const tried = judgesAll || fallback ? ranks.length : ranks.indexOf(chosenRank) + 1;
    const lanes = options.mode === "serial" ? 0 : options.lanes;
    const wanted = options.mode === "serial" ? [1] : options.waves;
    let waves = 0;
    let from = 0;
    let to = 0;
    while (to < tried) {
        const size = judgesAll ? ranks.length : (wanted[waves] ?? (wanted.at(-1) as number));
        from = to;
        to = Math.min(from + size, from + lanes + 1, ranks.length);
        waves++;
    }
    const isLastOfAll = to === ranks.length;
    const hasRoom = lanes > to - from - 1;
    const fallbackRank = Math.min(choosing.fallbackIndex ?? 0, ranks.length - 1);
    const isInLast = ranks.slice(from, to).includes(chosenRank);
    const ridesAlong = isLastOfAll && hasRoom && chosenRank === fallbackRank;
    return {waves, again: !isInLast && !ridesAlong};
}

describe.each([...modes, {mode: "lanes"} as const])("Decodes, %o", (mode) => {
    it("are one per token when every top candidate is accepted", async () => {
        const {tokens, stats, events, promptLength} = await run("Hello there", {...mode, agent: acceptAll(64)});
        expect(stats.generatedTokens).toBe(tokens.length);
        expect(stats.waves).toBe(events.length);
        // No token after the last was asked for, so its decode is missing unless deciding took it.
        const endsUndecided = events.at(-1)?.position !== promptLength + tokens.length - 1;
        expect(stats.decodes).toBe(tokens.length - Number(endsUndecided));
        expect(events.length).toBeGreaterThan(20);
    });

    it("are one per token when there is nothing to decide", async () => {
        const {tokens, stats, events} = await run("Hello there", {
            ...mode,
            agent: rejectAll(64),
            candidates: {topK: 1}
        });
        expect(events).toEqual([]);
        expect(stats).toMatchObject({generatedTokens: tokens.length, decisions: 0, waves: 0, evaluatedCandidates: 0});
        expect(stats.decodes).toBe(tokens.length - 1);
    });
});

describe.each(modes)("Decodes, %o", (mode) => {
    const random = () => randomAgent(64, 61, {bias: -2});
    const cases: (Choosing & {name: string; agent: () => ReturnType<typeof randomAgent>})[] = [
        {name: "rejections", agent: random},
        {name: "nothing but rejections", agent: () => rejectAll(64)},
        {name: "a fallback in the middle", agent: () => rejectAll(64), fallbackIndex: 3},
        {name: "the top candidate last", agent: random, order: "top-last"},
        {name: "reverse order", agent: random, order: "reverse", fallbackIndex: 1},
        {name: "every candidate judged", agent: random, strategy: "max-prob"},
        {name: "a random choice", agent: random, strategy: "random"}
    ];
    it.each(cases)("are what is documented with $name", async ({name: _, agent, ...choosing}) => {
        const {tokens, stats, events, promptLength} = await run("Hello", {...mode, ...choosing, agent: agent()});
        const costs = events.map((event) => costOf(event, mode, choosing));
        expect(events.map(({waves}) => waves)).toEqual(costs.map(({waves}) => waves));
        const last = promptLength + tokens.length - 1;
        const again = costs.filter((cost, i) => cost.again && events[i]?.position !== last).length;
        const undecided = tokens.length - events.length;
        const lastUndecided = events.at(-1)?.position === last ? 0 : 1;
        const waves = costs.reduce((sum, cost) => sum + cost.waves, 0);
        expect(stats.waves).toBe(waves);
        expect(stats.decodes).toBe(waves + again + undecided - lastUndecided);
        // Without this condition the test would say no more than those above.
        expect(events.length).toBeGreaterThan(20);
        expect(undecided).toBeGreaterThan(0);
        expect(stats.evaluatedCandidates).toBeGreaterThan(2 * events.length);
    });
});
