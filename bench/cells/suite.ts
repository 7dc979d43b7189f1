/**
 * What given-up cells cost that stand in the cache: decodes beside the same ones in a cache without them. The demo's model is left
 * out, since its decodes are so short that ratios of slices scatter by ten per cent.
 */
import {existsSync} from "node:fs";
import {basename} from "node:path";
import {getLlama, LlamaLogLevel, type LlamaModel} from "node-llama-cpp";
import {createAlignedContext} from "../../lib/index.js";
import {generator, longPrompt} from "../generate/model.js";
import {medianOf} from "../harness/statistics.js";
import {atLeast, type BenchOptions, type Suite, type SuiteResult} from "../harness/suite.js";
import {short, type Table} from "../harness/table.js";

export const cellsSuite: Suite = {title: "Cells: decoding beside cells that were given up", run};

/** From 64 on, the cells behind the first of them are written anew. */
const most = 63;
/** Candidates of a decision. The judge takes the last one, so that the others' cells stay in front of it. */
const candidates = 4;
const promptLength = 100;

async function run({quick, rounds, threads, log}: BenchOptions): Promise<SuiteResult> {
    const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
    const skipped: Record<string, string> = {};
    const tables: Table[] = [];
    const ratios = new Map<string, number>();
    const data: Record<string, unknown> = {};
    const modelPath = process.env.MARA_TEST_MODEL;
    if (modelPath === undefined || !existsSync(modelPath)) skipped["the test model"] = "MARA_TEST_MODEL names no file";
    else {
        const model = await llama.loadModel({modelPath});
        const name = basename(modelPath, ".gguf");
        const rows: string[][] = [];
        for (const sequences of [1, 4, 8]) {
            log(`${name}, ${sequences} sequences`);
            const {pairs, givenUp} = await compare(model, {sequences, threads, rounds: quick ? 2 : 8 * rounds});
            const ratio = medianOf(pairs.map(({without, beside}) => without / beside));
            ratios.set(`${name}, ${sequences} seq.`, ratio);
            data[`${name}, ${sequences} seq.`] = pairs;
            const each = (kind: keyof Pair) => short(medianOf(pairs.map((pair) => pair[kind])));
            rows.push([String(sequences), String(givenUp), each("without"), each("beside"), ratio.toFixed(3)]);
        }
        await model.dispose();
        tables.push({
            title: `${name}: milliseconds of processor time per token`,
            columns: ["sequences", "cells given up", "without them", "beside them", "ratio"],
            rows
        });
    }
    await llama.dispose();
    return {
        tables,
        panels: [],
        columns: 1,
        targets: [atLeast("processor time without given-up cells ÷ that beside them", 0.99, ratios)],
        notes: [
            `Two contexts of the same texts, of which one holds the cells of candidates that were rejected on the way. Each sequence has a prompt of ${promptLength} tokens ` +
                "and the tokens that it took to give up so many. Slices of both take turns, one token of each sequence per decode; ratios are " +
                "medians over these. In use the number of given-up cells rises from none to this and falls back, so that about half of the loss is met."
        ],
        skipped,
        data
    };
}

/** Milliseconds of processor time per token in slices that follow each other. */
interface Pair {
    without: number;
    beside: number;
}

async function compare(
    model: LlamaModel,
    {sequences, threads, rounds}: {sequences: number; threads: number; rounds: number}
): Promise<{pairs: Pair[]; givenUp: number}> {
    const steps = Math.floor(most / (candidates - 1) / sequences);
    const slice = 16;
    const contextSize = promptLength + steps + slice * (rounds + 1) + 1;
    const open = async (isRejecting: boolean) => {
        const {context, aligner} = await createAlignedContext(model, {
            ...{mode: "lanes", sequences, contextSize, threads, waves: [candidates], lanes: candidates * sequences},
            candidates: {topK: isRejecting ? candidates : 1, topP: 1},
            judge: (asked) => asked.candidates.map((_, i) => Number(i === candidates - 1))
        });
        const prompt = longPrompt(model, promptLength);
        const generators = Array.from({length: sequences}, () => generator(context.getSequence(), prompt));
        const generate = (count: number) => Promise.all(generators.map((one) => one(count)));
        await generate(steps);
        const {evaluatedCandidates, decisions} = aligner.stats();
        // With one candidate there is nothing to decide, and each decode has one token of each sequence.
        aligner.configure({candidates: {topK: 1}});
        await generate(slice);
        return {
            context,
            givenUp: evaluatedCandidates - decisions,
            measure: async () => {
                const usage = process.cpuUsage();
                await generate(slice);
                const {user, system} = process.cpuUsage(usage);
                return (user + system) / 1000 / slice / sequences;
            }
        };
    };
    const [plain, full] = [await open(false), await open(true)];
    const pairs: Pair[] = [];
    for (let round = 0; round < rounds; round++) {
        // Who comes first takes turns, too.
        if (round % 2 === 0) pairs.push({without: await plain.measure(), beside: await full.measure()});
        else {
            const beside = await full.measure();
            pairs.push({without: await plain.measure(), beside});
        }
    }
    await plain.context.dispose();
    await full.context.dispose();
    return {pairs, givenUp: full.givenUp};
}
