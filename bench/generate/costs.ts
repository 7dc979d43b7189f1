import {contextInternals} from "../../lib/align/node-llama-cpp/internals.js";
import {spreadOf} from "../harness/statistics.js";
import {loadModel, longPrompt} from "./model.js";
import type {Costs, CostsWork} from "./work.js";

/** Times batches of n tokens with logits for each, on a stock context and in turns, so that noise meets all sizes alike. */
export async function measureCosts(work: CostsWork): Promise<Costs> {
    const {modelPath, contextSize, threads, depth, sizes, repetitions} = work;
    const model = await loadModel(modelPath);
    const context = await model.createContext({contextSize, threads});
    const tokens = Uint32Array.from(longPrompt(model, depth + Math.max(...sizes)));
    const native = contextInternals(context)._ctx;
    const decode = async (from: number, count: number, outputs: number) => {
        native.initBatch(count);
        const wanted = Uint32Array.from({length: outputs}, (_, i) => count - outputs + i);
        native.addToBatch(0, from, tokens.slice(from, from + count), wanted);
        native.setThreads(threads);
        const start = performance.now();
        await native.decodeBatch();
        return performance.now() - start;
    };
    await decode(0, depth, 1);
    const times = new Map(sizes.map((size) => [size, [] as number[]]));
    for (let i = 0; i <= repetitions; i++) {
        for (const size of sizes) {
            // The first batch of each size is slower, because llama.cpp builds the graph. Waves change size too, but mostly repeat.
            await decode(depth, size, size);
            native.removeTokenCellsFromSequence(0, depth, -1);
            const time = await decode(depth, size, size);
            native.removeTokenCellsFromSequence(0, depth, -1);
            if (i > 0) times.get(size)?.push(time);
        }
    }
    return Object.fromEntries([...times].map(([size, values]) => [size, spreadOf(values)]));
}
