/** `mara worker`: takes jobs from a queue, for the models that this machine has. */
import {Command} from "commander";
import {MaraError} from "../errors.js";
import {plural} from "../plural.js";
import {visible} from "../visible.js";
import {interrupted} from "./failure.js";
import {bytes} from "./format.js";
import {Progress} from "./output.js";
import {openLlama} from "./pair.js";
import {choiceOption, integerOption} from "./parse.js";
import {queueOption} from "./queue-options.js";

interface WorkerFlags {
    queue?: string;
    models: string;
    allowModules?: boolean;
    gpu: string;
    threads?: number;
    lock: number;
    board?: number;
}

const help = `
Every .gguf and .safetensors file below --models is known by its SHA-256, and jobs come for these only: no model travels. Rewards of
module: are run where --allow-modules is given and the module's file, with the same hash, is in that folder: it is code.

Ctrl-C ends the worker after the job at hand; a second one leaves at once, and the job is given to another worker.

Examples:
  $ mara worker --queue redis://10.0.0.5:6379 --models /models
  $ MARA_QUEUE=rediss://:password@redis.example:6379 mara worker --models /models --allow-modules
  $ mara train ... --queue redis://10.0.0.5:6379              the machine that has the work done
  $ mara status --queue redis://10.0.0.5:6379 --watch         what goes on`;

export function workerCommand(): Command {
    return new Command("worker")
        .description("Do the work of mara train and mara eval, by a queue in Redis")
        .addOption(queueOption("the queue's Redis"))
        .requiredOption("--models <folder>", "where models and score heads are found, by SHA-256")
        .option("--allow-modules", "run modules from that folder as rewards")
        .addOption(choiceOption("--gpu <type>", "where models run", ["auto", "off", "cuda", "metal", "vulkan"], "auto"))
        .addOption(integerOption("--threads <n>", "threads of models on the CPU (default: what a job says)", 1, 256))
        .addOption(
            integerOption(
                "--lock <seconds>",
                "a job of a worker that is silent for so long is given to another",
                1,
                86_400
            ).default(30)
        )
        .addOption(integerOption("--board <port>", "show bull-board on this port of this machine", 0, 65_535))
        .addHelpText("after", help)
        .action(work);
}

async function work({queue, models, allowModules, gpu, threads, lock, board}: WorkerFlags): Promise<void> {
    const url = requireQueue(queue);
    const {QueueWorker} = await import("../queue/worker.js");
    const llama = await openLlama(gpu);
    const progress = new Progress();
    let jobs = 0;
    let leave = () => {};
    const left = new Promise<void>((resolve) => {
        leave = resolve;
    });
    let asked = 0;
    const stop = () => {
        if (++asked > 1) process.exit(interrupted);
        process.stderr.write("mara: leaving after the job at hand; Ctrl-C again leaves at once\n");
        leave();
    };
    // Whatever is waiting for Redis, the process lives until it is told to leave.
    const alive = setInterval(() => undefined, 2 ** 30);
    process.on("SIGINT", stop).on("SIGTERM", stop);
    try {
        const worker = await QueueWorker.open({
            queue: url,
            models,
            llama,
            lock,
            ...(allowModules ? {allowModules} : {}),
            ...(threads === undefined ? {} : {threads}),
            onJob: ({kind, seconds, failure}) => {
                jobs++;
                progress.show(`${plural(jobs, "job")}, the last a ${kind} of ${seconds.toFixed(1)} s`);
                if (failure === null) return;
                progress.clear();
                process.stderr.write(`mara: a job of kind ${visible(kind)} failed: ${visible(failure)}\n`);
            }
        });
        const {files, id} = worker.description;
        const found = files.map(({name, sha256, bytes: size}) => `  ${sha256.slice(0, 12)}…  ${bytes(size)}  ${name}`);
        process.stderr.write(
            visible(`${[`worker ${id}, ${plural(files.length, "file")}:`, ...found].join("\n")}\n`, {lines: true})
        );
        const shown = board === undefined ? undefined : await openBoard(url, board);
        if (shown !== undefined) process.stderr.write(`bull-board: ${shown.url}\n`);
        await left;
        progress.clear();
        await shown?.close();
        await worker.close();
    } finally {
        clearInterval(alive);
        process.off("SIGINT", stop).off("SIGTERM", stop);
        await llama.dispose();
    }
}

async function openBoard(url: string, port: number): Promise<{url: string; close: () => Promise<void>}> {
    const board = await import("../queue/board.js");
    return await board.openBoard(url, port);
}

/** @throws MaraError INVALID_ARGUMENT */
export function requireQueue(queue: string | undefined): string {
    if (queue !== undefined) return queue;
    throw new MaraError("INVALID_ARGUMENT", "Give --queue redis://host:6379, or set MARA_QUEUE.");
}
