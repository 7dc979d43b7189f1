import {appendFileSync, copyFileSync, readdirSync, readFileSync, truncateSync} from "node:fs";
import {join} from "node:path";
import type {LlamaModel} from "node-llama-cpp";
import {afterAll, beforeAll, describe, expect, it} from "vitest";
import {contest} from "../../lib/demo/contest.js";
import {demoAgentPath, demoModelPath} from "../../lib/demo/files.js";
import {type GuestPrompt, heldOutPrompts, score} from "../../lib/demo/world.js";
import {type Evaluation, evaluate} from "../../lib/evaluate/evaluate.js";
import type {EvaluateOptions} from "../../lib/evaluate/options.js";
import {promptTokens} from "../../lib/generation/prompt-tokens.js";
import {MaraAgent} from "../../lib/index.js";
import {temporaryFolder} from "../cli/helpers.js";
import {failure} from "../support/failure.js";
import {generate, testLlama} from "../support/models.js";

const folder = temporaryFolder();
const requests = heldOutPrompts(18, 11);
const byText = new Map(requests.map((request) => [request.text, request]));
const prompts = requests.map(({text}) => ({prompt: text}));
/** Eight prompts a sequence make a block: with one sequence, three blocks. */
const blocks = ["0", "8", "16"];

function courtesy(prompt: string, response: string): number {
    return score(byText.get(prompt) as GuestPrompt, response).value;
}

let model: LlamaModel;
let agent: MaraAgent;

beforeAll(async () => {
    model = await (await testLlama()).loadModel({modelPath: demoModelPath});
    agent = await MaraAgent.load(demoAgentPath);
});
afterAll(async () => model.dispose());

function options(more: Partial<EvaluateOptions> = {}): EvaluateOptions {
    const shape = {maxTokens: 96, threads: 1, sequences: 1, fluency: false};
    return {model, agent, prompts, rewards: [courtesy], ...shape, ...more};
}

/** The result without its times. */
function lasting({result, sides}: Evaluation): object {
    const {timing, ...rest} = result;
    expect(Object.keys(timing).length).toBeGreaterThan(1);
    return {...rest, answers: sides.map(({answers, scores}) => ({answers, scores}))};
}

describe("evaluate", () => {
    it("counts what the demo's contest counts", async () => {
        const {result, sides} = await evaluate(options({rewards: [courtesy, "length:characters"]}));
        const expected = await contest(model, agent, {prompts: requests, threads: 1});
        const [pair] = result.pairs;
        expect(pair).toMatchObject({
            other: "raw",
            reward: 0,
            prompts: prompts.length,
            wins: expected.alignedPreferred.count,
            ties: expected.tie.count,
            losses: expected.rawPreferred.count,
            winRate: {value: expected.alignedPreferred.rate, interval95: expected.alignedPreferred.interval95}
        });
        expect(result.aligned.rewards[0]?.mean).toBeCloseTo(expected.aligned.meanScore, 10);
        expect(result.others[0]?.rewards[0]?.mean).toBeCloseTo(expected.raw.meanScore, 10);
        expect(result.others[0]?.generatedTokens).toBe(expected.raw.tokens);
        expect(result.aligned).toMatchObject({generatedTokens: expected.aligned.tokens, decodes: expect.any(Number)});
        expect(result.others[0]?.decodesPerToken).toBe(1);

        // The second reward, by hand.
        const sizes = sides.map(({answers}) => answers.map(({text}) => text.length));
        const longer = sizes[0]?.filter((size, i) => size > (sizes[1]?.[i] as number)).length;
        expect(result.pairs[1]).toMatchObject({reward: 1, wins: longer});
        const mean = (sizes[0] as number[]).reduce((sum, size) => sum + size, 0) / prompts.length;
        expect(result.aligned.rewards[1]?.mean).toBeCloseTo(mean, 10);
        const {decisions} = result.aligned;
        expect(decisions?.generatedTokens).toBe(result.aligned.generatedTokens);
        const traced = sides[0]?.answers.flatMap(({trace = []}) => trace.flatMap(({choices = []}) => choices)) ?? [];
        expect(traced).toHaveLength(decisions?.decisions as number);
        expect(traced.filter(({rank, fallback}) => rank === 1 && !fallback)).toHaveLength(
            decisions?.acceptedRanks[1] as number
        );
        for (const {answers} of sides)
            for (const {trace, text} of answers)
                if (trace !== undefined) expect(trace.map((token) => token.text).join("")).toBe(text);
    });

    it("counts half of the ties, and takes close scores for ties", async () => {
        const against = ["raw", "raw-sampled"];
        const plain = await evaluate(options({against}));
        const lenient = await evaluate(options({against, tieMargin: 3}));
        for (const [i, other] of against.entries()) {
            const [ours, theirs] = [plain.sides[0], plain.sides[i + 1]].map((side) => side?.scores[0] as number[]);
            const differences = (ours as number[]).map((value, j) => value - (theirs?.[j] as number));
            for (const [{result}, margin] of [[plain, 0] as const, [lenient, 3] as const]) {
                const wins = differences.filter((value) => value > margin).length;
                const losses = differences.filter((value) => value < -margin).length;
                const ties = prompts.length - wins - losses;
                expect(result.pairs[i]).toMatchObject({other, wins, ties, losses});
                expect(result.pairs[i]?.preferenceRate.value).toBeCloseTo((wins + ties / 2) / prompts.length, 12);
                expect(result.pairs[i]?.difference.value).toBeCloseTo((wins - losses) / prompts.length, 12);
            }
            const mean = differences.reduce((sum, value) => sum + value, 0) / prompts.length;
            expect(plain.result.pairs[i]?.rewardDifference.value).toBeCloseTo(mean, 10);
        }
        expect(lenient.result.pairs[0]?.ties).toBeGreaterThan(plain.result.pairs[0]?.ties as number);
    });

    it("takes the best of N samples by the first reward, and samples by seed", async () => {
        const runDirectory = join(folder, "bon");
        const {sides, result} = await evaluate(options({against: ["bon:3", "raw-sampled"], runDirectory}));
        const file = readdirSync(join(runDirectory, "sides")).find((name) => name.startsWith("bon")) as string;
        const [header, ...lines] = readFileSync(join(runDirectory, "sides", file), "utf8")
            .trim()
            .split("\n");
        expect(JSON.parse(header as string)).toMatchObject({side: "bon:3", samples: 3, sampling: {temperature: 0.8}});
        const stored = lines.map((line) => JSON.parse(line));
        const samples = stored.flatMap(({block}) => block?.answers ?? []) as {text: string}[];
        expect(samples).toHaveLength(3 * prompts.length);
        expect(new Set(samples.map(({text}) => text)).size).toBeGreaterThan(prompts.length);
        for (const [i, {prompt}] of prompts.entries()) {
            const mine = samples.slice(3 * i, 3 * i + 3).map(({text}) => courtesy(prompt, text));
            expect(sides[1]?.scores[0]?.[i]).toBe(Math.max(...mine));
            const best = samples[3 * i + mine.indexOf(Math.max(...mine))];
            expect(sides[1]?.answers[i]?.text).toBe(best?.text);
        }
        expect(result.others[0]?.generatedTokens).toBeGreaterThan(2 * (result.others[1]?.generatedTokens as number));
        const again = await evaluate(options({against: ["raw-sampled"], seed: 1}));
        expect(again.sides[1]?.answers).not.toEqual(sides[2]?.answers);
        expect(again.sides[0]?.answers).toEqual(sides[0]?.answers);
    });

    it("compares with another agent and with another model", async () => {
        const path = join(folder, "same.safetensors");
        copyFileSync(demoAgentPath, path);
        const other = join(folder, "same.gguf");
        copyFileSync(demoModelPath, other);
        const few = prompts.slice(0, 6);
        const {result, sides} = await evaluate(
            options({prompts: few, against: [`agent:${path}`, `model:${other}`], fluency: true})
        );
        for (const pair of result.pairs) expect(pair).toMatchObject({wins: 0, ties: 6, losses: 0});
        for (const side of sides.slice(1)) expect(side.answers).toEqual(sides[0]?.answers);
        // The model's answers are tokenised anew. For a text that the model has written itself this mostly gives its tokens.
        const [own, theirs] = result.others.map(({perplexity}) => perplexity.value as number);
        expect(theirs).toBeCloseTo(own as number, 1);
    });

    it("has an aligner rewrite the raw answers", async () => {
        const few = prompts.slice(0, 3);
        const template = "Q: {question} A: {answer} B:";
        const {sides} = await evaluate(
            options({
                prompts: few,
                against: ["raw", `aligner:${demoModelPath}`],
                alignerTemplate: template,
                maxTokens: 12
            })
        );
        const context = await model.createContext({contextSize: 256, threads: 1});
        for (const [i, {prompt}] of few.entries()) {
            const text = `Q: ${prompt} A: ${sides[1]?.answers[i]?.text} B:`;
            const sequence = context.getSequence();
            const tokens = await generate(sequence, model.tokenize(text, true), 12);
            const expected = tokens.filter((token) => !model.isEogToken(token as never));
            expect(sides[2]?.answers[i]?.tokens).toEqual(expected);
            await sequence.dispose();
        }
        await context.dispose();
    });

    it("measures the perplexity of answers under the unaligned model", async () => {
        const few = prompts.slice(0, 4);
        const {result, sides} = await evaluate(options({prompts: few, fluency: true}));
        const context = await model.createContext({contextSize: 256, threads: 1});
        let [nats, count] = [0, 0];
        for (const [i, prompt] of few.entries()) {
            const before = promptTokens(model, prompt);
            const tokens = [...before, ...((sides[0]?.answers[i]?.tokens ?? []) as typeof before)];
            const sequence = context.getSequence();
            const temperature = {temperature: 1, topK: 0, topP: 1};
            const output = await sequence.controlledEvaluate(
                tokens.map((token) => [token, {generateNext: {probabilities: true, options: temperature}}])
            );
            for (let at = before.length; at < tokens.length; at++, count++)
                nats -= Math.log(output[at - 1]?.next.probabilities?.get(tokens[at] as never) as number);
            await sequence.dispose();
        }
        await context.dispose();
        expect(result.aligned.perplexity.tokens).toBe(count);
        expect(result.aligned.perplexity.value).toBeCloseTo(Math.exp(nats / count), 4);
    });

    it("turns the threshold dial", async () => {
        const few = prompts.slice(0, 8);
        const turned = options({prompts: few, thresholds: [0.9, 0, 0.5], fluency: true});
        const {result} = await evaluate(turned);
        expect(result.dial.map(({threshold}) => threshold)).toEqual([0, 0.5, 0.9]);
        const [open, half] = result.dial;
        // At 0 everything is accepted: the raw answer, rounding aside.
        expect(open?.pair).toMatchObject({other: "raw", wins: 0, ties: 8, losses: 0});
        expect(open?.side.perplexity.value).toBeCloseTo(result.others[0]?.perplexity.value as number, 6);
        expect(half).toEqual({threshold: 0.5, pair: result.pairs[0], side: {...result.aligned}});
        expect(half?.pair.wins).toBeGreaterThan(4);
    });

    it("leaves out what a reward could not score, and says so", async () => {
        const flaky = (prompt: string, response: string) => {
            if (prompt === prompts[2]?.prompt) throw new Error("out of order");
            return prompt === prompts[5]?.prompt ? Number.NaN : response.length;
        };
        const {result, report} = await evaluate(options({rewards: [flaky, courtesy]}));
        expect(result.pairs[0]).toMatchObject({prompts: prompts.length - 2});
        expect(result.pairs[1]).toMatchObject({prompts: prompts.length});
        expect(result.aligned.rewards.map(({failed}) => failed)).toEqual([2, 0]);
        expect(report).toContain("</html>");
    });
});

describe("A run directory", () => {
    const spread = {against: ["raw", "bon:2"], rewards: [courtesy, "readability"], fluency: true, thresholds: [0.9]};
    let whole: Evaluation;

    beforeAll(async () => {
        whole = await evaluate(options({...spread, runDirectory: join(folder, "whole")}));
    });

    it("holds the result and the report", () => {
        const saved = JSON.parse(readFileSync(join(folder, "whole", "result.json"), "utf8"));
        expect(saved).toEqual(JSON.parse(JSON.stringify(whole.result)));
        expect(readFileSync(join(folder, "whole", "report.html"), "utf8")).toBe(whole.report);
    });

    it.each([1, 60, 200])("goes on after being interrupted at step %i, to the same result", async (steps) => {
        const runDirectory = join(folder, `interrupted-${steps}`);
        const controller = new AbortController();
        const reason = new Error("enough");
        let left = steps;
        const running = evaluate(
            options({
                ...spread,
                runDirectory,
                signal: controller.signal,
                onProgress: () => {
                    if (--left === 0) controller.abort(reason);
                }
            })
        );
        await expect(running).rejects.toBe(reason);
        let answered = 0;
        const resumed = await evaluate(
            options({
                ...spread,
                runDirectory,
                onProgress: ({phase, side, done}) => {
                    if (phase === "answers" && side === "aligned" && done === 0) answered++;
                }
            })
        );
        expect(lasting(resumed)).toEqual(lasting(whole));
        expect(answered).toBe(steps === 1 ? 1 : 0);
    });

    it("does nothing again, not even after a line was torn", async () => {
        const sides = join(folder, "whole", "sides");
        const sizes = () => readdirSync(sides).map((name) => readFileSync(join(sides, name)).length);
        const before = sizes();
        const timing = {...whole.result.timing};
        appendFileSync(join(sides, "raw.jsonl"), '{"reward":"readability","index":3,"sco');
        const again = await evaluate(options({...spread, runDirectory: join(folder, "whole")}));
        expect(lasting(again)).toEqual(lasting(whole));
        expect(again.result.timing).toEqual(timing);
        expect(sizes()).toEqual(before);
        truncateSync(join(sides, "raw.jsonl"), 700);
        const repaired = await evaluate(options({...spread, runDirectory: join(folder, "whole")}));
        expect(lasting(repaired)).toEqual(lasting(whole));
    });

    it("takes further opponents and rewards, and refuses what would change its answers", async () => {
        const runDirectory = join(folder, "whole");
        const more = await evaluate(
            options({...spread, against: ["raw", "raw-sampled"], rewards: [courtesy, "length"], runDirectory})
        );
        expect(more.sides[0]?.answers).toEqual(whole.sides[0]?.answers);
        const change = await failure(() => evaluate(options({...spread, maxTokens: 40, runDirectory})));
        expect(change.code).toBe("RUN_CHANGED");
        expect(change.message).toMatch(
            /aligned\.jsonl were made with maxTokens 96, not 40\. Give these options again, or another directory\.$/
        );
    });

    it("is written in blocks", () => {
        const lines = readFileSync(join(folder, "whole", "sides", "aligned.jsonl"), "utf8")
            .trim()
            .split("\n");
        const firsts = lines.map((line) => JSON.parse(line).block?.first).filter((first) => first !== undefined);
        expect(firsts.map(String)).toEqual(blocks);
    });
});

describe("Options that cannot be", () => {
    it.each([
        [{rewards: []}, "Expected at least one reward for rewards but received Array"],
        [{against: ["best"]}, /^Expected raw, raw-sampled, bon:N, .* for against but received "best"$/],
        [{against: ["bon:0"]}, /for against but received "bon:0"$/],
        [{against: []}, "Expected at least one for against but received Array"],
        [{thresholds: [0.5, 2]}, "Expected a number in [0, 1] for thresholds[1] but received 2"],
        [{maxTokens: 0}, "Expected an integer from 1 to 1000000 for maxTokens but received 0"],
        [{prompts: []}, "Expected a file or at least one prompt for prompts but received Array"],
        [
            {alignerTemplate: "{question}"},
            'Expected a text with {answer} for alignerTemplate but received "{question}"'
        ],
        [{rewards: ["length", "length"]}, 'Expected rewards with different names for rewards but received "length"'],
        [{sampling: {temperature: 0}}, "Expected a finite number above 0 for sampling.temperature but received 0"]
    ])("%o", async (more, message) => {
        const refused = await failure(() => evaluate(options(more as Partial<EvaluateOptions>)));
        expect(refused.code).toBe("INVALID_ARGUMENT");
        if (typeof message === "string") expect(refused.message).toBe(message);
        else expect(refused.message).toMatch(message);
    });

    it("name what is missing", async () => {
        const agentless = await failure(() => evaluate(options({agent: "nowhere.safetensors"})));
        expect(agentless.code).toBe("AGENT_NOT_FOUND");
        const modelless = await failure(() => evaluate(options({against: ["model:nowhere.gguf"]})));
        expect(modelless.code).toBe("MODEL_NOT_FOUND");
    });
});
