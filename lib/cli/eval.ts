/** `mara eval`: what an agent does to a model's answers, in numbers and as a page. */
import {join} from "node:path";
import {Command, Option} from "commander";
import {invalidArgument} from "../errors.js";
import type {EvaluationProgress} from "../evaluate/options.js";
import type {EvaluationResult, PairResult, SideResult} from "../evaluate/result.js";
import {loadPrompts} from "../prompts/prompts.js";
import {type AlignmentOptions, addAlignmentOptions} from "./alignment-options.js";
import {interrupted} from "./failure.js";
import {facts, type Paint, painter, percent, plural, short, table, terminal} from "./format.js";
import {Progress, printJson, printLines} from "./output.js";
import {addPairOptions, openPair, type PairOptions} from "./pair.js";
import {integer, largestSeed, number, numberIn} from "./parse.js";

interface EvalOptions extends PairOptions, AlignmentOptions {
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
    tieMargin: number;
    fluency: boolean;
    judgeQuestion?: string;
    alignerTemplate?: string;
    json?: boolean;
}

const help = `
Rewards: sentiment, readability, profanity, length, regex:, judge:MODEL.gguf, rank:MODEL.gguf, head:MODEL.gguf,HEAD.safetensors,
module:./mine.mjs, and sums such as "2*sentiment - profanity". The first one chooses for bon:N and judges the dial.

Against: raw (greedy), raw-sampled, bon:N (the best of N samples), aligner:FILE.gguf (rewrites the raw answer),
agent:FILE (another agent), model:FILE.gguf (another model, the same agent).

With --run, answers and scores are saved as they come, and the same command takes up what was interrupted; result.json and
report.html, a page with everything, are written in the end. --json prints the result.json.

Examples:
  $ mara eval -m model.gguf -a agent.safetensors --prompts held-out.jsonl --reward sentiment --run runs/eval
  $ mara eval ... --reward sentiment --reward readability --against raw --against bon:4
  $ mara eval ... --reward sentiment --thresholds 0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9`;

export function evalCommand(): Command {
    const command = new Command("eval")
        .description("Measure an agent: preference rates against other ways to answer, with a report")
        .requiredOption("--prompts <file>", "prompts: JSON lines or a JSON array")
        .requiredOption("--reward <spec>", "what scores the answers; may be given several times", collect)
        .option("--against <spec>", "what to compare with; may be given several times (default: raw)", collect)
        .option("--run <folder>", "where answers, result.json and report.html go")
        .addOption(integer("--limit <n>", "use the first n prompts only", 1, 10_000_000))
        .addOption(integer("--max-tokens <n>", "longest answer", 1, 1_000_000).default(256))
        .addOption(
            new Option("--thresholds <list>", "also at each of these, separated by commas").argParser((text) =>
                text.split(",").map(numberIn("--thresholds", 0, 1))
            )
        )
        .addOption(integer("--sequences <n>", "prompts answered at a time", 1, 256).default(4))
        .addOption(integer("--context-size <n>", "tokens of a sequence (default: what is needed)", 8, 10_000_000))
        .addOption(integer("--seed <n>", "of everything sampled", 0, largestSeed).default(0));
    return addAlignmentOptions(addPairOptions(command, "auto"))
        .addOption(number("--tie-margin <x>", "scores that differ by no more are ties", 0, Number.MAX_VALUE).default(0))
        .option("--no-fluency", "leave out the answers' perplexity")
        .option("--judge-question <text>", "what judge: asks about an answer")
        .option("--aligner-template <text>", "what aligner: is asked, with {question} and {answer}")
        .option("--json", "print the result as one JSON object")
        .addHelpText("after", help)
        .action(evaluateCommand);
}

async function evaluateCommand(options: EvalOptions): Promise<void> {
    const {run, limit, reward, judgeQuestion, topK, topP, against, thresholds, contextSize, alignerTemplate} = options;
    const {maxTokens, threshold, sequences, seed, mode, strategy, order, tieMargin, fluency} = options;
    const prompts = (await loadPrompts(options.prompts)).slice(0, limit);
    const {llama, model, agent, threads, close} = await openPair(options);
    const progress = new Progress();
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
            ...{maxTokens, threshold, sequences, seed, mode, strategy, order, tieMargin, fluency},
            candidates: {topK, topP},
            ...(against === undefined ? {} : {against}),
            ...(thresholds === undefined ? {} : {thresholds}),
            ...(contextSize === undefined ? {} : {contextSize}),
            ...(alignerTemplate === undefined ? {} : {alignerTemplate}),
            ...(run === undefined ? {} : {runDirectory: run}),
            ...threads,
            onProgress: (state) => progress.show(describe(state)),
            signal: controller.signal
        });
        progress.clear();
        if (options.json) printJson(result);
        else printLines(report(result, run, painter(terminal().color)));
    } catch (error) {
        progress.clear();
        if (!(error instanceof Interrupted)) throw error;
        process.exitCode = interrupted;
        const saved = run === undefined ? "" : `; the same command goes on from what is in ${run}`;
        process.stderr.write(`mara: interrupted${saved}\n`);
    } finally {
        process.off("SIGINT", stop);
        await close();
    }
}

class Interrupted extends Error {}

function describe({side, phase, done, total, sidesDone, sides}: EvaluationProgress): string {
    return `${side} (${sidesDone + 1} of ${sides})  ${phase} ${done} of ${total}`;
}

function report(result: EvaluationResult, run: string | undefined, paint: Paint): string[] {
    const {config, pairs, aligned, others, dial, timing} = result;
    const pairRow = (pair: PairResult) => [
        pair.other,
        config.rewards[pair.reward] ?? "",
        ...[pair.wins, pair.ties, pair.losses].map(String),
        pair.preferenceRate.value === null ? "–" : percent(pair.preferenceRate.value),
        points(pair.difference.value),
        (pair.difference.interval95 ?? []).map(points).join(" to ")
    ];
    const value = (number: number | null, format = short) => (number === null ? "–" : format(number));
    const sideRow = (side: SideResult) => [
        side.name,
        ...side.rewards.map(({mean}) => value(mean)),
        value(side.words.value),
        value(side.distinct2),
        value(side.repetition.value, percent),
        ...(config.fluency ? [value(side.perplexity.value)] : []),
        short(side.decodesPerToken),
        (timing[side.name]?.tokensPerSecond ?? 0).toFixed(0)
    ];
    const right = (count: number) => Array<"right">(count).fill("right");
    const failed = [aligned, ...others].flatMap(({rewards}) => rewards).reduce((sum, each) => sum + each.failed, 0);
    const sideHead = ["", ...config.rewards, "words", "distinct-2", "repetition"];
    return [
        "",
        paint("bold", `Which answer is preferred, over ${plural(config.prompts, "prompt")}`),
        "",
        ...table(
            ["aligned against", "by", "wins", "ties", "losses", "preferred", "difference", "95 % interval"],
            pairs.map(pairRow),
            ["left", "left", ...right(6)],
            paint
        ),
        "",
        paint("bold", "What the answers are like"),
        "",
        ...table(
            [...sideHead, ...(config.fluency ? ["perplexity"] : []), "decodes/token", "tokens/s"],
            [aligned, ...others].map(sideRow),
            ["left", ...right(sideHead.length + 2)],
            paint
        ),
        ...(dial.length === 0 ? [] : ["", paint("bold", "The threshold dial"), "", ...dialTable(result, paint)]),
        ...(failed === 0 ? [] : ["", `${plural(failed, "score")} missing: the reward failed`]),
        ...(run === undefined ? [] : ["", ...facts([["report", join(run, "report.html")]], paint)])
    ];
}

function dialTable({dial, config}: EvaluationResult, paint: Paint): string[] {
    return table(
        ["threshold", "preferred", "difference", config.rewards[0] ?? "", "perplexity", "decodes/token"],
        dial.map(({threshold, pair, side}) => [
            String(threshold),
            pair.preferenceRate.value === null ? "–" : percent(pair.preferenceRate.value),
            points(pair.difference.value),
            ...[side.rewards[0]?.mean ?? null, side.perplexity.value].map((each) =>
                each === null ? "–" : short(each)
            ),
            short(side.decodesPerToken)
        ]),
        ["left", ...Array<"right">(5).fill("right")],
        paint
    );
}

/** A difference of shares, in percentage points. */
function points(value: number | null): string {
    return value === null ? "–" : `${value < 0 ? "" : "+"}${(100 * value).toFixed(1)}`;
}

function collect(value: string, previous: string[] = []): string[] {
    if (value.trim() === "") throw invalidArgument("--reward and --against", "a text", value);
    return [...previous, value];
}
