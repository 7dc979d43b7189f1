/** The options of `mara train`, and what they are to `trainAgent`. */
import {resolve} from "node:path";
import type {Command, Option} from "commander";
import type {Order, Strategy} from "../align/options.js";
import {type ConstantName, constants, constantsOf} from "../train/constants.js";
import {type Method, methods} from "../train/methods.js";
import type {TrainOptions} from "../train/options.js";
import {
    alphaLosses,
    baselines,
    type Choices,
    type Preset,
    penalties,
    presets,
    probabilitySets
} from "../train/presets.js";
import {orderOption, promptFormatOption, strategies} from "./alignment-options.js";
import {choiceOption, given, integerOption, numberOption} from "./parse.js";
import {addQueueOptions, type QueueFlags, queueOf, statesOption} from "./queue-options.js";

export type TrainFlags = Partial<Record<ConstantName, number>> &
    Partial<Choices> & {
        out: string;
        model?: string;
        prompts?: string;
        reward?: string;
        method?: Method | "value";
        demonstrations?: string;
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
    } & QueueFlags;

/** Flags of a method that makes an agent. */
export type AgentFlags = Omit<TrainFlags, "method"> & {method?: Method};

export function addTrainOptions(command: Command): Command {
    command
        .option("-o, --out <folder>", "folder of the run; with --method value, the .safetensors file")
        .option("--resume", "go on with the run in that folder")
        .option("-m, --model <path|uri>", "language model: a .gguf file, or an hf: URI to download")
        .option("--prompts <file>", "prompts: JSON lines or a JSON array")
        .option("--reward <spec>", "reward, such as sentiment, length, module:./reward.mjs (docs/rewards.md)")
        .option("--judge-question <text>", "what judge: rewards ask")
        .addOption(
            choiceOption(
                "--method <name>",
                "how to train (default: what the options given belong to, else advantage)",
                [...methods, "value"]
            )
        )
        .option("--demonstrations <file>", "of --method value: {prompt, response}, instead of prompts and a reward")
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
        .addOption(numberOption("--top-p <p>", "nucleus of the candidates (default: 0.95)", 0, 1, true))
        .addOption(
            numberOption(
                "--min-p <p>",
                "least probability relative to the top candidate (default: 0; advantage: 0.1)",
                0,
                1
            )
        )
        .addOption(numberOption("--temperature <t>", "temperature of the candidates (default: 0.8)", 0, 100, true))
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
        "preference, advantage": constantsOf.fit,
        advantage: constantsOf.advantage,
        general: constantsOf.general
    }))
        for (const name of Object.keys(names) as ConstantName[]) command.addOption(constantOption(name, title));
    addQueueOptions(command).addOption(statesOption());
    return command
        .option("--dry-run", "check everything, print what would run, and measure how long it would take")
        .addOption(
            numberOption(
                "--minutes <n>",
                "train with as many episodes, samples, prompts or epochs as fit into this time, as measured",
                0,
                1e6,
                true
            )
        )
        .option("--json", "print one JSON object at the end");
}

function constantOption(name: ConstantName, group: string): Option {
    const {integer, min, max, above, help, byDefault, paper, small, advantage} = constants[name];
    const flag = `--${name.replace(/[A-Z]/g, (part) => `-${part.toLowerCase()}`)}`;
    const value = Math.round(byDefault * 1e4) / 1e4;
    const defaults = [
        `default: ${value}`,
        ...(paper === undefined ? [] : [`paper: ${paper}`]),
        ...(small === undefined ? [] : [`small: ${small}`]),
        ...(advantage === undefined ? [] : [`advantage: ${advantage}`])
    ].join("; ");
    const of = group === "general" ? "" : `${group}: `;
    const told = `${of}${help} (${defaults})`;
    return integer ? integerOption(`${flag} <n>`, told, min, max) : numberOption(`${flag} <n>`, told, min, max, above);
}

export function optionsOf(flags: AgentFlags): TrainOptions {
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
        queue,
        queueStates,
        queueRewards,
        ...others
    } = flags;
    const {postBack, automaticAlpha, student, ...rest} = others;
    const candidates = given({topK, topP, minP, temperature});
    return {
        ...rest,
        ...queueOf({...given({queue, queueStates, queueRewards})}),
        runDirectory: resolve(out),
        // Commander gives true where --no-… is absent, so only false tells what the user wants.
        ...(postBack === false ? {postBack} : {}),
        ...(automaticAlpha === false ? {automaticAlpha} : {}),
        ...(student === false ? {student} : {}),
        ...(Object.keys(candidates).length === 0 ? {} : {candidates})
    };
}
