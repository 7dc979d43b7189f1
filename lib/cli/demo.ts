/** `mara demo`: what the package does, on a model small enough to ship with it. */
import {Command} from "commander";
import type {LlamaModel} from "node-llama-cpp";
import type {MaraAgent} from "../agent/agent.js";
import {createAlignedContext} from "../align/aligned-context.js";
import type {Mode} from "../align/context-options.js";
import type {ContestResult, Proportion} from "../demo/contest.js";
import {type GuestPrompt, heldOutPrompts} from "../demo/world.js";
import {plural} from "../plural.js";
import {visible} from "../visible.js";
import {modeOption, thresholdOption} from "./alignment-options.js";
import {facts, type Paint, painter, percent, short, sideBySide, table, terminal} from "./format.js";
import {Progress, printJson, printLines} from "./output.js";
import {addPairOptions, openPair, type PairOptions} from "./pair.js";
import {integerOption, largestSeed} from "./parse.js";
import {legend, render} from "./trace.js";

interface DemoOptions extends PairOptions {
    prompts: number;
    show: number;
    seed: number;
    threshold: number;
    mode: "auto" | Mode;
    json?: boolean;
}

/** Narrower terminals get the answers one after the other. */
const minWidth = 72;

const help = `
Guests ask the desk of a small guesthouse. The model answers as it was trained to: often curt, sometimes careless. The agent
rejects tokens until the answer is courteous, careful and correct. The world is simple enough that every reply has an exact
score, so of two replies it is known which is better. None of the prompts was used in training. No network, no questions.

Both sides decode greedily, one prompt after the other, on contexts of the same size and number of threads; the raw side is a
plain context of node-llama-cpp. Times begin when a prompt has been read.

--json prints one object:
  prompts                                  number of held-out prompts
  alignedPreferred, rawPreferred, tie      {count, rate, interval95: [low, high]}, 95 % Wilson score intervals
  raw, aligned                             {tokens, seconds, tokensPerSecond, meanScore (0 to 10)}
  decodesPerToken                          forward passes per aligned token; plain decoding takes one
  decisionsPerToken, changedPerToken, fallbacksPerToken
                                           tokens with a choice, with another token than the model's first, with none accepted
  decidedByStudent                         share of the choices that the agent's student made, before anything was decoded
  mode, threshold, seed, model, agent

Examples:
  $ mara demo
  $ mara demo --prompts 500 --seed 7
  $ mara demo --agent mine.safetensors --json     score an agent of your own in the demo's world`;

export function demoCommand(): Command {
    const command = new Command("demo")
        .description("Watch a small model being aligned, and see the score over held-out prompts")
        .addOption(integerOption("--prompts <n>", "held-out prompts to score", 1, 2000).default(200))
        .addOption(integerOption("--show <n>", "prompts to show side by side", 0, 100).default(5))
        .addOption(integerOption("--seed <n>", "which held-out prompts", 0, largestSeed).default(1))
        .addOption(thresholdOption().default(0.5))
        .addOption(modeOption());
    return addPairOptions(command, "off")
        .option("--json", "print the figures as one JSON object")
        .addHelpText("after", help)
        .action(demo);
}

async function demo(options: DemoOptions): Promise<void> {
    const {threshold, mode, seed} = options;
    const {model, agent, threads, close} = await openPair(options);
    // node-llama-cpp is loaded here, because other commands and --help do without it.
    const {contest} = await import("../demo/contest.js");
    const progress = new Progress();
    try {
        const prompts = heldOutPrompts(options.prompts, seed);
        if (!options.json) await show(model, agent, prompts.slice(0, options.show), {...options, ...threads});
        const result = await contest(model, agent, {
            prompts,
            threshold,
            mode,
            ...threads,
            onProgress: (answered) => progress.show(`scoring held-out prompts: ${answered} of ${prompts.length}`)
        });
        progress.clear();
        if (options.json)
            printJson({...result, threshold, seed, model: nameOf(options.model), agent: nameOf(options.agent)});
        else printLines(report(result, painter(terminal().color)));
    } finally {
        progress.clear();
        await close();
    }
}

/** Shows a few prompts, token by token. They are not timed, because watching decisions costs time. */
async function show(
    model: LlamaModel,
    agent: MaraAgent,
    prompts: readonly GuestPrompt[],
    {threshold, mode, threads}: DemoOptions
): Promise<void> {
    if (prompts.length === 0) return;
    const {Speaker} = await import("./speaker.js");
    const {contestContextSize, replyTokens} = await import("../demo/contest.js");
    const {width, color} = terminal();
    const paint = painter(color);
    const {context, aligner} = await createAlignedContext(model, {
        agent,
        threshold,
        mode,
        ...(threads === undefined ? {} : {threads}),
        contextSize: contestContextSize,
        sequences: 2
    });
    const aligned = new Speaker(context.getSequence(), {aligner});
    const rawSequence = context.getSequence();
    aligner.configure({enabled: false}, rawSequence);
    const raw = new Speaker(rawSequence);
    printLines(["", `${paint("bold", "The same model, raw and aligned")}   ${legend(paint, color)}`]);
    if (width >= minWidth) printLines(["", ...sideBySide(paint("dim", "raw"), paint("dim", "aligned"), width, paint)]);
    for (const {text} of prompts) {
        for (const side of [raw, aligned]) await side.reset();
        const before = await raw.answer(text, {maxTokens: replyTokens});
        const after = await aligned.answer(text, {maxTokens: replyTokens});
        const answers = [visible(before.text, {lines: true}), render(after.pieces, paint, color)] as const;
        printLines(["", paint("cyan", `> ${text}`), ...arrange(answers, width, paint)]);
    }
    await context.dispose();
}

function arrange([raw, aligned]: readonly [string, string], width: number, paint: Paint): string[] {
    if (width >= minWidth) return sideBySide(raw, aligned, width, paint);
    return [`${paint("dim", "raw")}  ${raw}`, `${paint("dim", "aligned")}  ${aligned}`];
}

function report(result: ContestResult, paint: Paint): string[] {
    const {raw, aligned} = result;
    const share = (label: string, {count, rate, interval95: [low, high]}: Proportion) => [
        label,
        percent(rate),
        `${percent(low)} to ${percent(high)}`,
        String(count)
    ];
    const speed = aligned.tokensPerSecond / raw.tokensPerSecond;
    return [
        "",
        paint("bold", `Which reply is better, over ${plural(result.prompts, "held-out prompt")}`),
        "",
        ...table(
            ["", "share", "95 % interval", "prompts"],
            [
                share("aligned preferred", result.alignedPreferred),
                share("raw preferred", result.rawPreferred),
                share("tie", result.tie)
            ],
            ["left", "right", "right", "right"],
            paint
        ),
        "",
        paint("bold", "What it costs"),
        "",
        ...table(
            ["", "raw", "aligned"],
            [
                ["mean score of 10", raw.meanScore.toFixed(2), aligned.meanScore.toFixed(2)],
                ["tokens", short(raw.tokens), short(aligned.tokens)],
                ["tokens per second", raw.tokensPerSecond.toFixed(0), aligned.tokensPerSecond.toFixed(0)],
                ["decodes per token", "1.000", result.decodesPerToken.toFixed(3)]
            ],
            ["left", "right", "right"],
            paint
        ),
        "",
        ...facts(
            [
                ["speed", `${percent(speed)} of raw, ${result.mode} mode`],
                ["changed", `${percent(result.changedPerToken)} of the tokens are not the model's first choice`],
                ["decided", `${percent(result.decisionsPerToken)} of the tokens had more than one candidate`],
                ["student", `decided ${percent(result.decidedByStudent)} of these, before anything was decoded`]
            ],
            paint
        )
    ];
}

function nameOf(path: string | undefined): string {
    return path ?? "demo";
}
