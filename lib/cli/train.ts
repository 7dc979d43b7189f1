/** `mara train`: an agent from a reward or from pairs. */
import {Command} from "commander";
import type {Llama} from "node-llama-cpp";
import {describeCandidates} from "../align/candidate-options.js";
import {invalidArgument} from "../errors.js";
import type {TrainOptions} from "../train/options.js";
import type {TrainProgress} from "../train/run/progress.js";
import {visible} from "../visible.js";
import {interrupted} from "./failure.js";
import {facts, painter, terminal, wrap} from "./format.js";
import {printJson, printLines} from "./output.js";
import {openLlama, resolveModel, threadsFor} from "./pair.js";
import {type AgentFlags, addTrainOptions, optionsOf, type TrainFlags} from "./train-options.js";
import {trainStudentCommand} from "./train-student.js";
import {trainValueCommand} from "./train-value.js";
import {duration, TrainView} from "./train-view.js";

const examples = `
Examples:
  $ mara train -m demo --prompts demo --reward demo --preset small --out runs/demo     everything from the package
  $ mara train -m model.gguf --prompts prompts.jsonl --reward sentiment --preset small --out runs/kind
  $ mara train -m model.gguf --prompts prompts.jsonl --reward module:./reward.mjs --method preference --out runs/pairs
  $ mara train -m model.gguf --prompts prompts.jsonl --reward sentiment --method sac --out runs/sac
  $ mara train -m model.gguf --pairs pairs.jsonl --method preference --out runs/offline
  $ mara train -m model.gguf --prompts prompts.jsonl --reward sentiment --warm-start runs/pairs --out runs/both
  $ mara train -m model.gguf --demonstrations answers.jsonl --method value --out kind.safetensors   a value network
  $ mara train student -m model.gguf -a agent.safetensors --prompts prompts.jsonl      a student for any agent
  $ mara train --out runs/kind --resume                       go on with a run that was interrupted
  $ mara train -m model.gguf ... --dry-run                    check everything, print what would run, and how long it takes
  $ mara train -m model.gguf ... --minutes 30                 as many episodes as fit into half an hour

With --method value OUT is the network's file, for mara chat --guide value:network=FILE. Else the agent is OUT/agent.safetensors, for mara chat --agent and createAlignedContext; OUT/report.html shows the curves.
Ctrl-C writes a checkpoint and leaves; a second one leaves at once. The constants are explained in docs/training.md.`;

export function trainCommand(): Command {
    const command = new Command("train")
        .description("Train an agent from a reward or from pairs")
        .enablePositionalOptions()
        .helpCommand(false)
        .addCommand(trainStudentCommand());
    return addTrainOptions(command)
        .addHelpText("after", examples)
        .action((flags: TrainFlags, command: Command) => {
            // As required options they would be required of `train student` too.
            if (flags.out === undefined) command.error("error: required option '-o, --out <folder>' not specified");
            if (flags.out === "") throw invalidArgument("--out", "a path", flags.out);
            if (flags.model === undefined && !flags.resume)
                command.error("error: required option '-m, --model <path|uri>' not specified");
            return flags.method === "value" ? trainValueCommand(flags, command) : train(flags as AgentFlags);
        });
}

async function train(flags: AgentFlags): Promise<void> {
    const began = performance.now();
    const {trainAgent} = await import("../train/train.js");
    const modelPath = flags.model === undefined ? undefined : await resolveModel(flags.model);
    const llama = await openLlama(flags.gpu);
    const controller = new AbortController();
    const leave = () => {
        if (controller.signal.aborted) process.exit(interrupted);
        view.interrupting();
        controller.abort();
    };
    const view = new TrainView(flags.json === true);
    try {
        // A run that goes on keeps the number that it began with.
        const threads = modelPath === undefined || flags.resume ? undefined : threadsFor(llama, modelPath);
        const options = {
            ...(threads === undefined ? {} : {threads}),
            ...optionsOf(flags),
            llama,
            ...(modelPath === undefined ? {} : {modelPath})
        };
        if (flags.dryRun || flags.minutes !== undefined) {
            const {fitted, ...planned} = await plan(options, flags);
            if (flags.dryRun) {
                printJson(planned);
                return;
            }
            Object.assign(options, fitted);
            if (!flags.json) process.stderr.write(`${planned.estimate.told}\n`);
        }
        process.on("SIGINT", leave).on("SIGTERM", leave);
        const result = await trainAgent({
            ...options,
            onProgress: (progress) => view.show(progress, presetTold(flags, progress, llama)),
            signal: controller.signal
        });
        view.finish();
        result.agent?.dispose();
        report(result, flags, (performance.now() - began) / 1000);
        if (!result.completed) process.exitCode = interrupted;
    } finally {
        view.finish();
        process.off("SIGINT", leave).off("SIGTERM", leave);
        await llama.dispose();
    }
}

/** Share of a budget that measuring aims to take, and the fewest seconds in which it tells anything. */
const measuring = {share: 1 / 4, least: 6};

/** What would run, how long it would take, and what fits into `--minutes`. It measures for up to a minute. */
async function plan(options: TrainOptions, {minutes, resume, json}: AgentFlags) {
    if (resume && minutes !== undefined)
        throw invalidArgument("--minutes", "no budget with --resume, which goes on as the run was begun,", minutes);
    const {measureCosts, mostSeconds} = await import("../train/estimate/measure.js");
    const {estimateTraining, fitInto} = await import("../train/estimate/estimate.js");
    const {prepare} = await import("../train/run/setup.js");
    const began = performance.now();
    const {inputs, openRun: _o, close, ...setting} = await prepare(options);
    const opened = performance.now() - began;
    try {
        const {config, prompts, pairs} = setting;
        const counts = {prompts: prompts.length, pairs: pairs?.length ?? null};
        const budget = (minutes ?? Number.POSITIVE_INFINITY) * 60;
        const seconds = Math.min(mostSeconds, Math.max(measuring.least, measuring.share * budget));
        if (!json) process.stderr.write(`measuring for up to ${duration(seconds)}\n`);
        const costs = await measureCosts(setting, seconds);
        // The run opens everything once more.
        const spent = (performance.now() - began + opened) / 1000;
        const fitted = minutes === undefined ? {} : fitInto(budget, config, costs, counts, spent);
        const estimate = estimateTraining({...config, ...fitted}, costs, counts);
        const time = `${costs.lengthsMeasured ? "about" : "at most about"} ${duration(estimate.seconds)}`;
        const changed = Object.entries(fitted).map(([name, value]) => `${name} ${value}`);
        const told = [...changed, time].join(", ");
        return {config: {...config, ...fitted}, inputs, ...counts, estimate: {...estimate, told}, fitted};
    } finally {
        await close();
    }
}

function report(
    {
        completed,
        config,
        metrics,
        paths,
        summary,
        calibration
    }: Awaited<ReturnType<typeof import("../train/train.js").trainAgent>>,
    flags: AgentFlags,
    seconds: number
): void {
    if (flags.json) {
        printJson({
            completed,
            seconds,
            paths,
            preset: config.preset,
            last: metrics.at(-1) ?? null,
            calibration,
            summary
        });
        return;
    }
    const {color, width} = terminal();
    const paint = painter(color);
    if (!completed) {
        printLines([
            `Interrupted; a checkpoint is written. Go on with: mara train --out ${visible(flags.out)} --resume`
        ]);
        return;
    }
    const rows: [string, string][] = [
        ["agent", paint("bold", visible(paths.agent))],
        ["report", visible(paths.report)],
        ["time", flags.resume ? `${duration(seconds)} since it was taken up again` : duration(seconds)],
        ...summary.facts,
        ["used with", `${describeCandidates(config.candidates)}, threshold ${calibration?.threshold ?? 0.5}`]
    ];
    printLines([...facts(rows, paint, width), "", ...wrap(summary.advice, width)]);
}

/** A line about the preset that was chosen. There is none if a run goes on or the user names a preset. */
function presetTold({preset: named, resume}: AgentFlags, {preset}: TrainProgress, {gpu}: Llama): string | undefined {
    if (named !== undefined || resume) return undefined;
    const other = preset === "small" ? "default, for ten thousand episodes" : "small, for some hundred episodes";
    return `preset ${preset}, since the model runs on a ${gpu === false ? "CPU" : "GPU"} (the other is ${other})`;
}
