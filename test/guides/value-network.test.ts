/** Value networks as guides: their tokens against a slow reference, their training, and what is refused. */
import {mkdtempSync, readFileSync, rmSync, writeFileSync} from "node:fs";
import {tmpdir} from "node:os";
import {join} from "node:path";
import type {LlamaModel, Token} from "node-llama-cpp";
import {afterAll, beforeAll, expect, it} from "vitest";
import {loadValueNetwork} from "../../lib/agent/value-network.js";
import {promptTokens, type TrainProgress, trainValue, valueModel} from "../../lib/index.js";
import {goldenPath} from "../agent/helpers.js";
import {align, refusal} from "../align/harness.js";
import {generate, loadTinyModel} from "../support/models.js";
import {PlainLogits} from "../support/plain-logits.js";
import {writeRandomNetwork} from "../support/students.js";
import {greedy, networkCase} from "./reference.js";

const folder = mkdtempSync(join(tmpdir(), "mara-value-"));
const texts = ["once there was", "the hen and the", "a", "there is no end in sight for them", "he said"];
const length = 5;

let model: LlamaModel;
beforeAll(async () => {
    model = await loadTinyModel({seed: 3, sharpness: 2});
});
afterAll(async () => {
    await model.dispose();
    rmSync(folder, {recursive: true});
});

it("Each network gives the reference's tokens in 100 cases, one sequence after the other and several at once", async () => {
    const main = await PlainLogits.of(model);
    const plain = (await align(model, {guides: [{guide() {}}]})).context.getSequence();
    let differing = 0;
    for (const seed of [1, 2, 3, 4, 5]) {
        const network = await writeRandomNetwork(folder, model, seed);
        for (const weight of [0.5, 1, 2, -1]) {
            const one = await networkCase(model, {...network, weight});
            const {context} = await align(model, {guides: [one.guide], sequences: texts.length});
            const sequences = texts.map(() => context.getSequence());
            const prompts = texts.map((text) => model.tokenize(text));
            const wanted: number[][] = [];
            for (const prompt of prompts)
                wanted.push(await greedy(main, one, prompt, length, (token) => model.isEogToken(token as Token)));
            for (const [i, prompt] of prompts.entries()) {
                const expected = wanted[i] as number[];
                const sequence = sequences[0] as (typeof sequences)[number];
                await sequence.clearHistory();
                expect(await generate(sequence, prompt, expected.length), `${one.name}, ${texts[i]}`).toEqual(expected);
                await plain.clearHistory();
                if ((await generate(plain, prompt, expected.length)).join() !== expected.join()) differing++;
            }
            await sequences[0]?.clearHistory();
            const together = await Promise.all(
                prompts.map((prompt, i) => generate(sequences[i] as never, prompt, (wanted[i] as number[]).length))
            );
            expect(together).toEqual(wanted);
            await context.dispose();
        }
    }
    expect(differing).toBeGreaterThan(50);
});

const demonstrations = ["once there was", "the hen and", "is it so", "a", "he said", "no end"].flatMap((prompt) => [
    {prompt, response: "the hen and the hen and the hen"},
    {prompt, response: "the hen and the end"}
]);
const small = {demonstrations, epochs: 12, candidates: 20, threads: 1};

it("A network makes demonstrations less surprising, as its file says and the reference finds", async () => {
    const out = join(folder, "trained.safetensors");
    const told: TrainProgress[] = [];
    const result = await trainValue({...small, model, out, onProgress: (progress) => void told.push(progress)});
    expect(result).toMatchObject({path: out, completed: true});
    expect(result.heldOut.guided).toBeLessThan(result.heldOut.raw - 0.5);
    expect(told.findLast(({phase}) => phase === "states")).toMatchObject({done: 12, total: 12});
    expect(told.at(-1)).toMatchObject({phase: "fit", done: 12, total: 12});
    const network = await loadValueNetwork(out);
    expect(network).toMatchObject({width: 64, candidates: 20, training: result.training, heldOut: result.heldOut});

    const main = await PlainLogits.of(model);
    const {change} = await networkCase(model, {...network, file: out, weight: 1});
    const end = (model.tokens.eot ?? model.tokens.eos) as Token;
    const surprise = (logits: Float64Array, token: number) =>
        Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0)) - (logits[token] as number);
    const means: [raw: number, guided: number, tokens: number][] = [];
    for (const prompt of new Set(demonstrations.map((one) => one.prompt))) {
        let [raw, guided, tokens] = [0, 0, 0];
        for (const {response} of demonstrations.filter((one) => one.prompt === prompt)) {
            const text: number[] = [...promptTokens(model, prompt)];
            for (const token of [...model.tokenize(response), end]) {
                const logits = await main.after(text);
                raw += surprise(logits, token);
                guided += surprise(await change(logits, text, []), token);
                text.push(token);
                tokens++;
            }
        }
        means.push([raw / tokens, guided / tokens, tokens]);
    }
    // One prompt of the six is held out; which one is drawn by the seed.
    const distance = ([raw]: (typeof means)[number]) => Math.abs(raw - result.heldOut.raw);
    const [raw, guided, tokens] = means.reduce((a, b) => (distance(a) < distance(b) ? a : b));
    expect(tokens).toBe(result.heldOut.tokens);
    // The reference's cache is in single precision.
    expect(Math.abs(raw - result.heldOut.raw)).toBeLessThan(0.02);
    expect(Math.abs(guided - result.heldOut.guided)).toBeLessThan(0.02);
});

it("The same options give the same file", async () => {
    const files = ["first", "second"].map((name) => join(folder, `${name}.safetensors`));
    for (const out of files) await trainValue({...small, epochs: 2, model, out});
    const [first, second] = files.map((file) => readFileSync(file));
    expect(first?.equals(second as Buffer)).toBe(true);
});

it("An aborted training ends with what there is", async () => {
    const controller = new AbortController();
    const result = await trainValue({
        ...small,
        model,
        out: join(folder, "aborted.safetensors"),
        onProgress: ({phase, done}) => void (phase === "fit" && done === 1 && controller.abort()),
        signal: controller.signal
    });
    expect(result).toMatchObject({completed: false, training: {epochs: 1}});
});

it("A guide of an aligned context is switched to a network in mid-generation", async () => {
    const {file} = await writeRandomNetwork(folder, model, 1);
    const {context, aligner} = await align(model, {guides: [{guide() {}}]});
    const sequence = context.getSequence();
    const prompt = model.tokenize("once there was");
    const before = await generate(sequence, prompt, 3);
    aligner.configure({guides: [valueModel({network: file, weight: 2})]});
    const after = await generate(sequence, [before.at(-1) as Token], 6);
    expect(after).toHaveLength(6);
});

it.each([
    ["that is not there", () => "nowhere.safetensors", /nowhere\.safetensors: .*ENOENT/],
    ["that is an agent's", () => goldenPath("w64.agent.safetensors"), /it has no metadata "mara\.value"/],
    [
        "of no known format",
        () => {
            const file = join(folder, "text.safetensors");
            writeFileSync(file, "no network");
            return file;
        },
        /it is no \.safetensors file/
    ]
])("A file %s is refused", async (_, fileOf, reason) => {
    const {code, message} = await refusal(() => align(model, {guides: [valueModel({network: fileOf()})]}));
    expect(code).toBe("VALUE_NETWORK");
    expect(message).toMatch(reason);
});

it("A network of another width is refused", async () => {
    const {file} = await writeRandomNetwork(folder, model, 1);
    const other = await loadTinyModel({seed: 4, width: 32});
    const {code, message} = await refusal(() => align(other, {guides: [valueModel({network: file})]}));
    expect({code, message}).toEqual({
        code: "VALUE_NETWORK",
        message: `The value network ${file} reads states of width 64, but the model's embedding size is 32. Use one that was trained for a model of this width.`
    });
    await other.dispose();
});

it("Demonstrations of one prompt are too few", async () => {
    const given = {...small, demonstrations: demonstrations.slice(0, 2), model, out: join(folder, "few.safetensors")};
    expect(await refusal(() => trainValue(given))).toMatchObject({
        code: "VALUE_NETWORK",
        message: expect.stringContaining("demonstrations of one prompt only")
    });
});
