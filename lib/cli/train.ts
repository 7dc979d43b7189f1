/** `mara train`: its options, and how they become a run. */
import {resolve} from "node:path";
import {Command, type Option} from "commander";
import type {Llama} from "node-llama-cpp";
import {describeCandidates} from "../align/candidate-options.js";
import type {Order, Strategy} from "../align/options.js";
import {invalidArgument} from "../errors.js";
import {type ConstantName, constants, constantsOf} from "../train/constants.js";
import {methods, type TrainOptions} from "../train/options.js";
import {
    alphaLosses,
    baselines,
    type Choices,
    type Preset,
    penalties,
    presets,
    probabilitySets
} from "../train/presets.js";
import type {TrainProgress} from "../train/run/progress.js";
import {visible} from "../visible.js";
import {orderOption, promptFormatOption, strategies} from "./alignment-options.js";
import {interrupted} from "./failure.js";
import {facts, painter, terminal, wrap} from "./format.js";
import {printJson, printLines} from "./output.js";
import {openLlama, resolveModel, threadsFor} from "./pair.js";
import {choiceOption, given, integerOption, numberOption} from "./parse.js";
import {trainStudentCommand} from "./train-student.js";
import {duration, TrainView} from "./train-view.js";

type Flags = Partial<Record<ConstantName, number>> &
    Partial<Choices> & {
        out: string;
        model?: string;
        prompts?: string;
        reward?: string;
        method?: "sac" | "preference" | "advantage";
        preset?: Preset;
        order?: Order;
        strategy?: Strategy;
        pairs?: string;
        warmStart?: string;
        resume?: boolean;
        dryRun?: boolean;
        minutes?: number;
        json?: boolean;
        gpu: string;
        threads?: number;
        topK?: number;
        topP?: number;
        minP?: number;
        temperature?: number;
        judgeQuestion?: string;
        student?: boolean;
    };

const examples = `
Examples:
  $ mara train -m demo --prompts demo --reward demo --preset small --out runs/demo     everything from the package
  $ mara train -m model.gguf --prompts prompts.jsonl --reward sentiment --preset small --out runs/kind
  $ mara train -m model.gguf --prompts prompts.jsonl --reward module:./reward.mjs --method preference --out runs/pairs
  $ mara train -m model.gguf --prompts prompts.jsonl --reward sentiment --method advantage --out runs/quick
  $ mara train -m model.gguf --pairs pairs.jsonl --method preference --out runs/offline
  $ mara train -m model.gguf --prompts prompts.jsonl --reward sentiment --warm-start runs/pairs --out runs/both
  $ mara train student -m model.gguf -a agent.safetensors --prompts prompts.jsonl      a student for any agent
  $ mara train --out runs/kind --resume                       go on with a run that was interrupted
  $ mara train -m model.gguf ... --dry-run                    check everything, print what would run, and how long it takes
  $ mara train -m model.gguf ... --minutes 30                 as many episodes as fit into half an hour

The agent is OUT/agent.safetensors, for mara chat --agent and createAlignedContext; OUT/report.html shows the curves.
Ctrl-C writes a checkpoint and leaves; a second one leaves at once. The constants are explained in docs/training.md.`;

export function trainCommand(): Command {
    const command = new Command("train")
        .description("Train an agent from a reward or from pairs")
        .enablePositionalOptions()
        .helpCommand(false)
        .addCommand(trainStudentCommand())
        .option("-o, --out <folder>", "folder of the run")
        .option("--resume", "go on with the run in that folder")
        .option("-m, --model <path|uri>", "language model: a .gguf file, or an hf: URI to download")
        .option("--prompts <file>", "prompts: JSON lines or a JSON array")
        .option("--reward <spec>", "reward, such as sentiment, length, module:./reward.mjs (docs/rewards.md)")
        .option("--judge-question <text>", "what judge: rewards ask")
        .addOption(choiceOption("--method <name>", "how to train (default: sac)", methods))
        .addOption(
            choiceOption(
                "--preset <name>",
                "where constants come from (default: small on a CPU, else default)",
                presets
            )
        )
        .option(
            "--pairs <file>",
            "of --method preference: pairs {prompt, chosen, rejected}, instead of prompts and a reward"
        )
        .option("--warm-start <agent|run>", "agent, or folder of a run, to start from")
        .addOption(
            choiceOption("--gpu <type>", "where the model runs", ["auto", "off", "cuda", "metal", "vulkan"], "auto")
        )
        .addOption(
            integerOption(
                "--threads <n>",
                "threads of the model and of the learner, each (default: what mara doctor measured, else node-llama-cpp's choice)",
                1,
                256
            )
        )
        .addOption(integerOption("--top-k <n>", "most candidates for a token (default: 40; small: 10)", 1, 256))
        .addOption(numberOption("--top-p <p>", "nucleus of the candidates (default: 0.95)", 0, 1))
        .addOption(
            numberOption(
                "--min-p <p>",
                "least probability relative to the top candidate (default: 0; advantage: 0.1)",
                0,
                1
            )
        )
        .addOption(numberOption("--temperature <t>", "temperature of the candidates (default: 0.8)", 0, 100))
        .addOption(orderOption())
        .addOption(choiceOption("--strategy <name>", "which accepted token is taken on held-out prompts", strategies))
        .addOption(
            choiceOption(
                "--baseline <kind>",
                "what is taken off the reward (default: raw-response; paper: constant)",
                baselines
            )
        )
        .addOption(
            choiceOption("--penalty <kind>", "penalty for leaving the model's distribution (default: kl)", penalties)
        )
        .option("--no-post-back", "give the reward to the last token only")
        .option("--no-automatic-alpha", "keep the entropy temperature as it is at the start")
        .option("--shared-critics", "critics that share one LayerNorm and are clipped together (default: paper only)")
        .option("--no-shared-critics", "critics of their own")
        .addOption(
            choiceOption(
                "--alpha-loss <kind>",
                "loss of the temperature (default: log-alpha; paper: alpha)",
                alphaLosses
            )
        )
        .option("--replacement", "a batch may hold a transition twice (default: not with paper)")
        .option("--no-replacement", "a batch holds no transition twice")
        .addOption(
            choiceOption(
                "--probabilities-over <set>",
                "what the penalty's log-probabilities are normalised over (default: candidates; paper: vocabulary)",
                probabilitySets
            )
        )
        .addOption(promptFormatOption("session; paper: template"))
        .option("--last-accepted", "episodes accept the candidate tried last (default: paper only)")
        .option("--no-last-accepted", "episodes fall back on --fallback-index")
        .option("--no-student", "make no student, which predicts the agent's verdicts, in the end");
    for (const [title, names] of Object.entries({
        sac: constantsOf.sac,
        preference: constantsOf.preference,
        advantage: constantsOf.advantage,
        general: constantsOf.general
    }))
        for (const name of Object.keys(names) as ConstantName[]) command.addOption(constantOption(name, title));
    return command
        .option("--dry-run", "check everything, print what would run, and measure how long it would take")
        .addOption(
            numberOption(
                "--minutes <n>",
                "episodes, or samples and prompts, that fit into this time as measured",
                0,
                1e6
            )
        )
        .option("--json", "print one JSON object at the end")
        .addHelpText("after", examples)
        .action((flags: Flags, command: Command) => {
            // As a required option it would be required of `train student` too.
            if (flags.out === undefined) command.error("error: required option '-o, --out <folder>' not specified");
            return train(flags);
        });
}

function constantOption(name: ConstantName, group: string): Option {
    const {integer, min, max, help, byDefault, paper, small} = constants[name];
    const flag = `--${name.replace(/[A-Z]/g, (part) => `-${part.toLowerCase()}`)}`;
    const value = Math.round(byDefault * 1e4) / 1e4;
    const defaults = [
        `default: ${value}`,
        ...(paper === undefined ? [] : [`paper: ${paper}`]),
        ...(small === undefined ? [] : [`small: ${small}`])
    ].join("; ");
    const of = group === "general" ? "" : `${group}: `;
    return (integer ? integerOption : numberOption)(`${flag} <n>`, `${of}${help} (${defaults})`, min, max);
}

async function train(flags: Flags): Promise<void> {
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
        report(result, flags);
        if (!result.completed) process.exitCode = interrupted;
    } finally {
        view.finish();
        process.off("SIGINT", leave).off("SIGTERM", leave);
        await llama.dispose();
    }
}

/** What would run, how long it would take, and what fits into `--minutes`. It measures for up to a minute. */
async function plan(options: TrainOptions, {minutes, resume}: Flags) {
    if (resume && minutes !== undefined)
        throw invalidArgument("--minutes", "no budget with --resume, which goes on as the run was begun,", minutes);
    const {measureCosts} = await import("../train/estimate/measure.js");
    const {estimateTraining, fitInto} = await import("../train/estimate/estimate.js");
    const {prepare} = await import("../train/run/setup.js");
    const {inputs, openRun: _o, close, ...setting} = await prepare(options);
    try {
        const {config, prompts, pairs} = setting;
        const counts = {prompts: prompts.length, pairs: pairs?.length ?? null};
        const costs = await measureCosts(setting);
        const fitted = minutes === undefined ? {} : fitInto(minutes * 60, config, costs, counts);
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
    flags: Flags
): void {
    if (flags.json) {
        printJson({completed, paths, preset: config.preset, last: metrics.at(-1) ?? null, calibration, summary});
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
        ...summary.facts,
        ["used with", `${describeCandidates(config.candidates)}, threshold ${calibration?.threshold ?? 0.5}`]
    ];
    printLines([...facts(rows, paint, width), "", ...wrap(summary.advice, width)]);
}

/** A line about the preset that was chosen. There is none if a run goes on or the user names a preset. */
function presetTold({preset: named, resume}: Flags, {preset}: TrainProgress, {gpu}: Llama): string | undefined {
    if (named !== undefined || resume) return undefined;
    const other = preset === "small" ? "default, for some thousand episodes" : "small, for some hundred episodes";
    return `preset ${preset}, since the model runs on a ${gpu === false ? "CPU" : "GPU"} (the other is ${other})`;
}

function optionsOf(flags: Flags): TrainOptions {
    const {
        out,
        model: _m,
        topK,
        topP,
        minP,
        temperature,
        dryRun: _d,
        minutes: _i,
        json: _j,
        gpu: _g,
        ...others
    } = flags;
    const {postBack, automaticAlpha, student, ...rest} = others;
    const candidates = given({topK, topP, minP, temperature});
    return {
        ...rest,
        runDirectory: resolve(out),
        // Commander gives true where --no-… is absent, so only false tells what the user wants.
        ...(postBack === false ? {postBack} : {}),
        ...(automaticAlpha === false ? {automaticAlpha} : {}),
        ...(student === false ? {student} : {}),
        ...(Object.keys(candidates).length === 0 ? {} : {candidates})
    };
}
