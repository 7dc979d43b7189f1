/** `mara train --method value`: a value network from demonstrations. */
import type {Command} from "commander";
import {invalidArgument, MaraError} from "../errors.js";
import {formatInteger} from "../plural.js";
import {valueDefaults} from "../train/value/defaults.js";
import type {TrainValueOptions, TrainValueResult} from "../train/value/train-value.js";
import {visible} from "../visible.js";
import {interrupted} from "./failure.js";
import {facts, painter, terminal} from "./format.js";
import {printJson, printLines} from "./output.js";
import {openLlama, resolveModel, threadsFor} from "./pair.js";
import {given} from "./parse.js";
import type {TrainFlags} from "./train-options.js";
import {TrainView} from "./train-view.js";

/** The options of `mara train` that this method has; the others are for agents. */
const taken = [
    "method",
    "model",
    "demonstrations",
    "out",
    "epochs",
    "seed",
    "topK",
    "threads",
    "gpu",
    "json",
    "dryRun"
];

export async function trainValueCommand(flags: TrainFlags, command: Command): Promise<void> {
    // The address, which may have a password, stands in no message.
    if (command.getOptionValueSource("queue") === "cli")
        throw new MaraError(
            "INVALID_ARGUMENT",
            "--queue goes with the methods of agents. A value network is trained on this machine alone: leave --queue out."
        );
    for (const option of command.options)
        if (command.getOptionValueSource(option.attributeName()) === "cli" && !taken.includes(option.attributeName()))
            throw invalidArgument(
                option.long ?? option.flags,
                "none of the options of agents' methods",
                command.getOptionValue(option.attributeName())
            );
    const {model, demonstrations, out, epochs, seed, topK, gpu, threads, json, dryRun} = flags;
    if (demonstrations === undefined)
        throw invalidArgument("--demonstrations", "a file of {prompt, response} with --method value", demonstrations);
    const {prepareValue, trainValue} = await import("../train/value/train-value.js");
    const options: TrainValueOptions = {
        ...given({epochs, seed, threads, candidates: topK}),
        ...(model === undefined ? {} : {modelPath: await resolveModel(model)}),
        demonstrations,
        out
    };
    if (dryRun) {
        const {file, demonstrations: records, prompts, out: path} = await prepareValue(options);
        const {candidates, epochs, seed} = {...valueDefaults, ...options};
        printJson({model: file, demonstrations: records.length, prompts, candidates, epochs, seed, out: path});
        return;
    }
    const llama = await openLlama(gpu);
    const view = new TrainView(json === true);
    const controller = new AbortController();
    const leave = () => {
        if (controller.signal.aborted) process.exit(interrupted);
        view.interrupting("ending with what there is");
        controller.abort();
    };
    try {
        process.on("SIGINT", leave).on("SIGTERM", leave);
        const result = await trainValue({
            ...given({threads: options.modelPath === undefined ? undefined : threadsFor(llama, options.modelPath)}),
            ...options,
            llama,
            onProgress: (progress) => view.show(progress),
            signal: controller.signal
        });
        view.finish();
        report(result, json === true);
        if (!result.completed) process.exitCode = interrupted;
    } finally {
        view.finish();
        process.off("SIGINT", leave).off("SIGTERM", leave);
        await llama.dispose();
    }
}

function report(result: TrainValueResult, json: boolean): void {
    if (json) {
        printJson(result);
        return;
    }
    const {path, heldOut, training, listed, completed} = result;
    const paint = painter(terminal().color);
    const told = (nats: number) => nats.toFixed(3);
    const rows: [string, string][] = [
        ["network", paint("bold", visible(path))],
        [
            "fitted to",
            `${formatInteger(training.demonstrations)} demonstrations, ${formatInteger(training.tokens)} tokens, epoch ${training.epochs} kept`
        ],
        [
            "held out",
            `${told(heldOut.raw)} nats per token by the model alone, ${told(heldOut.guided)} with the network (${formatInteger(heldOut.tokens)} tokens, ${(100 * listed).toFixed(1)} % of them in its reach)`
        ],
        ["used with", `mara chat --guide value:network=${visible(path)},weight=1`]
    ];
    const lines = facts(rows, paint, terminal().width);
    printLines(completed ? lines : [...lines, "", "Interrupted: the network is the best that there was by then."]);
}
