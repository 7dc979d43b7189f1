/** `mara eval`: what an agent does to a model's answers, in numbers and as a page. */
import {Command, Option} from "commander";
import {guideForms} from "../align/guides/spec.js";
import {invalidArgument} from "../errors.js";
import {loadPrompts, type PromptFormat} from "../prompts/prompts.js";
import {visible} from "../visible.js";
import {type AlignmentOptions, addAlignmentOptions, givenSettings, promptFormatOption} from "./alignment-options.js";
import {EvalProgress, evaluationLines} from "./eval-view.js";
import {interrupted} from "./failure.js";
import {terminal} from "./format.js";
import {printJson, printLines} from "./output.js";
import {addPairOptions, openPair, type PairOptions} from "./pair.js";
import {integerOption, largestSeed, numberOption, parseNumberIn} from "./parse.js";
import {addQueueOptions, type QueueFlags, queueOf} from "./queue-options.js";

interface EvalOptions extends PairOptions, AlignmentOptions, QueueFlags {
    prompts: string;
    reward: string[];
    against?: string[];
    run?: string;
    limit?: number;
    maxTokens: number;
    thresholds?: number[];
    sequences: number;
    contextSize?: number;
    seed: number;
    promptFormat?: PromptFormat;
    tieMargin: number;
    fluency: boolean;
    judgeQuestion?: string;
    alignerTemplate?: string;
    json?: boolean;
}

const help = `
Rewards: sentiment, readability, profanity, repetition, length, regex:, judge:MODEL.gguf, rank:MODEL.gguf,
head:MODEL.gguf,HEAD.safetensors, module:./mine.mjs, and sums such as "2*sentiment - profanity". The first one chooses for bon:N and judges the dial.

Against: raw (greedy), raw-sampled, bon:N (the best of N samples), aligner:FILE.gguf (rewrites the raw answer),
agent:FILE (another agent), model:FILE.gguf (another model, the same agent), agents:FILE=WEIGHT,FILE=WEIGHT (several agents by
the weighted mean; agents:all,… and agents:any,… otherwise), grid:N:FILE,FILE (two agents at N pairs of weights),
guide:GUIDE (the model with a guide, greedy, no agent).

Guides: ${guideForms.join(",\n")}.

With --run, answers and scores are saved as they come, and the same command takes up what was interrupted; result.json and
report.html, a page with everything, are written in the end. --json prints the result.json.

"demo" names the demo's model, agent, prompts or reward.

Examples:
  $ mara eval --prompts demo --reward demo --limit 20
  $ mara eval -m model.gguf -a agent.safetensors --prompts held-out.jsonl --reward sentiment --run runs/eval
  $ mara eval ... --reward sentiment --reward readability --against raw --against bon:4
  $ mara eval ... --reward sentiment --reward readability --against raw --against grid:5:kind.safetensors,plain.safetensors
  $ mara eval ... --reward sentiment --thresholds 0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9`;

export function evalCommand(): Command {
    const command = new Command("eval")
        .description("Measure an agent: preference rates against other ways to answer, with a report")
        .requiredOption("--prompts <file>", "prompts: JSON lines or a JSON array")
        .requiredOption("--reward <spec>", "what scores the answers; may be given several times", collect)
        .option("--against <spec>", "what to compare with; may be given several times (default: raw)", collect)
        .option("--run <folder>", "where answers, result.json and report.html go")
        .addOption(promptFormatOption("as the agent was trained, else session"))
        .addOption(integerOption("--limit <n>", "use the first n prompts only", 1, 10_000_000))
        .addOption(integerOption("--max-tokens <n>", "longest answer", 1, 1_000_000).default(256))
        .addOption(
            new Option("--thresholds <list>", "also at each of these, separated by commas").argParser((text) =>
                text.split(",").map(parseNumberIn("--thresholds", 0, 1))
            )
        )
        .addOption(integerOption("--sequences <n>", "prompts answered at a time", 1, 256).default(4))
        .addOption(integerOption("--context-size <n>", "tokens of a sequence (default: what is needed)", 8, 10_000_000))
        .addOption(integerOption("--seed <n>", "of everything sampled", 0, largestSeed).default(0));
    return addAlignmentOptions(addPairOptions(addQueueOptions(command), "auto"))
        .addOption(
            numberOption("--tie-margin <x>", "scores that differ by no more are ties", 0, Number.MAX_VALUE).default(0)
        )
        .option("--no-fluency", "leave out the answers' perplexity")
        .option("--judge-question <text>", "what judge: asks about an answer")
        .option("--aligner-template <text>", "what aligner: is asked, with {question} and {answer}")
        .option("--json", "print the result as one JSON object")
        .addHelpText("after", help)
        .action(evaluateCommand);
}

async function evaluateCommand(options: EvalOptions): Promise<void> {
    const {run, limit, reward, judgeQuestion, against, thresholds, contextSize, alignerTemplate, promptFormat} =
        options;
    const {maxTokens, sequences, seed, mode, strategy, order, fallbackIndex, tieMargin, fluency} = options;
    const prompts = (await loadPrompts(options.prompts)).slice(0, limit);
    const {llama, model, agent, threads, close} = await openPair(options);
    const progress = new EvalProgress();
    const controller = new AbortController();
    const stop = () => {
        if (controller.signal.aborted) process.exit(interrupted);
        controller.abort(new Interrupted());
    };
    process.on("SIGINT", stop);
    try {
        const {evaluate} = await import("../evaluate/evaluate.js");
        const {result} = await evaluate({
            model,
            agent,
            llama,
            prompts,
            rewards: reward,
            rewardOptions: {...threads, ...(judgeQuestion === undefined ? {} : {judgeQuestion})},
            ...{maxTokens, sequences, seed, mode, strategy, order, fallbackIndex, tieMargin, fluency},
            ...givenSettings(options),
            ...(promptFormat === undefined ? {} : {promptFormat}),
            ...(against === undefined ? {} : {against}),
            ...(thresholds === undefined ? {} : {thresholds}),
            ...(contextSize === undefined ? {} : {contextSize}),
            ...(alignerTemplate === undefined ? {} : {alignerTemplate}),
            ...(run === undefined ? {} : {runDirectory: run}),
            ...threads,
            ...queueOf(options),
            onProgress: (state) => progress.show(state),
            signal: controller.signal
        });
        progress.clear();
        if (options.json) printJson(result);
        else printLines(evaluationLines(result, run, terminal()));
    } catch (error) {
        progress.clear();
        if (!(error instanceof Interrupted)) throw error;
        process.exitCode = interrupted;
        const saved = run === undefined ? "" : `; the same command goes on from what is in ${run}`;
        process.stderr.write(`mara: interrupted${visible(saved)}\n`);
    } finally {
        process.off("SIGINT", stop);
        await close();
    }
}

class Interrupted extends Error {}

function collect(value: string, previous: string[] = []): string[] {
    if (value.trim() === "") throw invalidArgument("--reward and --against", "a text", value);
    return [...previous, value];
}
