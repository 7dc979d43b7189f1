/** Guided generation beside the plain generation of both models. */
import {existsSync} from "node:fs";
import {basename} from "node:path";
import {getLlama, type LlamaContext, LlamaLogLevel, type LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../../lib/agent/agent.js";
import {createAlignedContext} from "../../lib/align/aligned-context.js";
import {contrast, guidance} from "../../lib/align/guides/guides.js";
import {randomTensors} from "../../test/support/agents.js";
import {generator, promptTokens} from "../generate/model.js";
import {medianOf, spreadOf} from "../harness/statistics.js";
import {atLeast, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import type {Table} from "../harness/table.js";
import {short} from "../harness/table.js";
import {benchFile} from "../harness/tools.js";
import {hidden} from "../kernel/cases.js";

export const guidesSuite: Suite = {title: "Guides: a second model's logits in every step, one thread each", run};

const sideBySide = "both side by side";

interface Slice {
    /** Milliseconds per token. */
    wall: number;
    /** The same of processor time, of all threads. */
    cpu: number;
}

/** One that generates: goes on where it stopped. */
interface Contender {
    generate(tokens: number): Promise<Slice>;
    close(): Promise<void>;
}

async function run({quick, rounds, threads, log}: BenchOptions): Promise<SuiteResult> {
    const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    // Contexts wait for each other where together they have more threads than this.
    llama.maxThreads = 4 * threads;
    const files = [benchFile("../demo/model.gguf"), process.env.MARA_TEST_MODEL];
    const skipped: Record<string, string> = {};
    const tables: Table[] = [];
    const [beside, together, sum] = [new Map<string, number>(), new Map<string, number>(), new Map<string, number>()];
    const data: Record<string, Record<string, Slice[]>> = {};
    for (const modelPath of files) {
        if (modelPath === undefined || !existsSync(modelPath)) {
            skipped[basename(modelPath ?? "the test model")] = "MARA_TEST_MODEL names no file";
            continue;
        }
        const model = await llama.loadModel({modelPath});
        const name = `${basename(modelPath)}, guided by itself`;
        const contenders = await open(model, threads);
        const slices: Record<string, Slice[]> = {};
        const tokens = quick ? 8 : 32;
        for (const contender of Object.values(contenders)) await contender.generate(tokens);
        for (let round = 0; round < (quick ? 2 : 4 * rounds); round++) {
            log(`${name}: round ${round + 1}`);
            for (const [who, contender] of Object.entries(contenders))
                slices[who] = [...(slices[who] ?? []), await contender.generate(tokens)];
        }
        for (const contender of Object.values(contenders)) await contender.close();
        await model.dispose();
        data[name] = slices;
        const each = (who: string, value: (slice: Slice, i: number) => number) =>
            medianOf((slices[who] ?? []).map(value));
        const at = (who: string, i: number) => slices[who]?.[i] as Slice;
        const ratios = {
            sum: (who: string) => each(who, ({cpu}, i) => (2 * at("plain", i).cpu) / cpu),
            beside: (who: string) => each(who, ({wall}, i) => at(sideBySide, i).wall / wall),
            together: (who: string) => each(who, ({wall}, i) => at("plain", i).wall / wall)
        };
        for (const who of ["guided", "guided, with an agent"]) {
            beside.set(`${name}, ${who}`, ratios.beside(who));
            together.set(`${name}, ${who}`, ratios.together(who));
            sum.set(`${name}, ${who}`, ratios.sum(who));
        }
        tables.push({
            title: `${name}: milliseconds per token, median [quartiles]`,
            columns: [
                "",
                "time",
                "processor time",
                "both models' processor time ÷ its own",
                `time ${sideBySide} ÷ its own`,
                "plain time ÷ its own"
            ],
            rows: Object.entries(slices).map(([who, own]) => [
                who,
                ...(["wall", "cpu"] as const).map((kind) => shown(own.map((slice) => slice[kind]))),
                ...Object.values(ratios).map((ratio) => (who === "plain" ? "" : ratio(who).toFixed(2)))
            ])
        });
    }
    await llama.dispose();
    return {
        tables,
        panels: [],
        columns: 1,
        targets: [
            atLeast("both models' plain processor time ÷ that of guided generation", 0.9, sum),
            atLeast(
                "the time of both models' plain generation side by side ÷ that of guided generation (needs two free cores)",
                0.9,
                beside
            ),
            atLeast(
                "the larger of both models' plain times ÷ that of guided generation (needs two free cores)",
                0.9,
                together
            )
        ],
        notes: [
            "Both contexts are of the same model, so that the larger of both plain times is that of plain generation, and their sum twice that. " +
                `“${sideBySide}”: two plain contexts that generate at the same time and have nothing to do with each other, the best that this ` +
                "machine could do. The contender with guidance decodes both texts in one context, on one thread. " +
                "Slices of all contenders take turns, each going on where it stopped; ratios are medians over these rounds."
        ],
        skipped,
        data
    };
}

/** All generate on, from the same prompt, at the same depth. The agent accepts everything. */
async function open(model: LlamaModel, threads: number): Promise<Record<string, Contender>> {
    const shape = {contextSize: 2048, threads};
    const guides = [contrast({amateur: model, weight: 0.1})];
    const agent = MaraAgent.fromTensors(randomTensors(model.embeddingVectorSize, 1, {hidden, bias: 100}), {threads});
    const plain = await model.createContext(shape);
    const {context: guided} = await createAlignedContext(model, {...shape, guides});
    const {context: judged} = await createAlignedContext(model, {...shape, guides, agent});
    const [left, right] = [await model.createContext(shape), await model.createContext(shape)];
    const negativePrompt = promptTokens(model, 1);
    const {context: alone} = await createAlignedContext(model, {
        ...shape,
        guides: [guidance({negativePrompt, scale: 1.1})]
    });
    const of = (contexts: readonly LlamaContext[], more?: () => void): Contender => {
        const generators = contexts.map((context) => generator(context.getSequence(), promptTokens(model, 0)));
        return {
            async generate(count) {
                const start = performance.now();
                const usage = process.cpuUsage();
                await Promise.all(generators.map((generate) => generate(count)));
                const {user, system} = process.cpuUsage(usage);
                return {wall: (performance.now() - start) / count, cpu: (user + system) / 1000 / count};
            },
            async close() {
                for (const context of contexts) await context.dispose();
                more?.();
            }
        };
    };
    return {
        plain: of([plain]),
        [sideBySide]: of([left, right]),
        guided: of([guided]),
        "guided, with an agent": of([judged], () => agent.dispose()),
        "with guidance": of([alone])
    };
}

function shown(values: readonly number[]): string {
    const {median, low, high} = spreadOf(values);
    return `${short(median)} [${short(low)}–${short(high)}]`;
}
