// Run by process.test.ts: as a worker thread, or as a process that exits while it generates.
import {isMainThread, parentPort, workerData} from "node:worker_threads";
import {getLlama, LlamaLogLevel} from "node-llama-cpp";
import {createAlignedContext} from "../../lib/index.js";
import {randomAgent} from "../support/agents.js";
import {generate, precise} from "../support/models.js";

export interface Task {
    modelPath: string;
    mode: "lanes" | "serial";
    seed: number;
    /** Ends without disposing anything. */
    leave?: boolean;
    /** Does not end at all. */
    stay?: boolean;
    /** Exits in mid-generation, after this many milliseconds. */
    exitAfter?: number;
    exitCode?: number;
}

const task: Task = isMainThread ? JSON.parse(process.argv[2] as string) : workerData;
const llama = await getLlama({gpu: false, build: "never", logLevel: LlamaLogLevel.error});
const model = await llama.loadModel({modelPath: task.modelPath});
const agent = randomAgent(model.embeddingVectorSize, task.seed);
const {context, aligner} = await createAlignedContext(model, {
    ...precise,
    agent,
    mode: task.mode,
    strategy: "max-prob",
    sequences: 2
});
const prompt = model.tokenize("once there was a hen and");
if (task.exitAfter === undefined) {
    const tokens = await generate(context.getSequence(), prompt, 30);
    parentPort?.postMessage({tokens, decisions: aligner.stats().decisions});
    if (!task.leave) await llama.dispose();
    if (task.stay) setInterval(() => {}, 1000);
} else {
    const sequences = [context.getSequence(), context.getSequence()];
    const runs = sequences.map(async (sequence) => {
        for (;;) {
            for await (const _ of sequence.evaluate([...prompt], {yieldEogToken: true}));
        }
    });
    process.stdout.write("generating\n");
    setTimeout(() => process.exit(task.exitCode), task.exitAfter);
    await Promise.all(runs);
}
