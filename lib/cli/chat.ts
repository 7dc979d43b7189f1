/** `mara chat`: its options, and how they become a chat. */
import {Command} from "commander";
import {createAlignedContext} from "../align/aligned-context.js";
import {guideForms, parseGuide} from "../align/guides/spec.js";
import {invalidArgument} from "../errors.js";
import {addAlignmentOptions, addCombinationOptions, givenSettings, weightedAgents} from "./alignment-options.js";
import type {ChatOptions, ChatSides} from "./chat-options.js";
import {ChatTrace, describePair} from "./chat-trace.js";
import {ChatJson, ChatText, type ChatView} from "./chat-view.js";
import {
    addPairOptions,
    isDemo,
    type ModelWithAgent,
    type OpenModel,
    openModel,
    openPair,
    resolveModel
} from "./pair.js";
import {given, integerOption, largestSeed} from "./parse.js";
import {converse} from "./repl.js";
import type {Piece} from "./trace.js";

const examples = `
Examples:
  $ mara chat                                         talk to the demo's model
  $ mara chat --compare --show-decisions              raw beside aligned, with the rejected tokens
  $ mara chat --prompt "When is breakfast?" --json    one answer for a program
  $ mara chat -m model.gguf -a agent.safetensors --threshold 0.7
  $ mara chat -m model.gguf -a kind.safetensors -a brief.safetensors --weight 2 --weight 1
  $ mara chat -m hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M -a agent.pth
  $ mara chat -p "Where is the sauna?" --trace answer.html   a page to look at, or to show
  $ mara chat -m large.gguf -a agent.pth --guide value:tuned=small-chat.gguf,base=small-base.gguf
  $ mara chat < questions.txt                         one conversation, a question a line

Raw and aligned take the most probable token; aligned, the most probable one that the agent accepts.
Ctrl-C ends the answer; at the prompt it leaves. In a chat, /help lists what else can be done.
With --json every answer is one line: prompt, answer, raw (with --compare), aborted, mode, threshold, candidates, tokens, seconds, stats, and
decisions (with --show-decisions: the candidates that were evaluated).`;

export function chatCommand(): Command {
    const command = new Command("chat")
        .description("Talk to a model while an agent steers it")
        .option("-p, --prompt <text>", "answer this and leave")
        .option("-s, --system <text>", "system prompt")
        .option(
            "--guide <guide>",
            `add another model's logits to those of each step; may be given several times: ${guideForms.join("; ")}`,
            (text: string, before: string[] = []) => [...before, text]
        )
        .option("--compare", "answer each question raw as well")
        .option("--show-decisions", "show rejected tokens and the ranks of accepted ones")
        .addOption(integerOption("--max-tokens <n>", "longest answer", 1, 1_000_000).default(512))
        .addOption(integerOption("--seed <n>", "seed of the random strategy", 0, largestSeed).default(0));
    return addAlignmentOptions(addCombinationOptions(addPairOptions(command, "auto", true)))
        .addOption(integerOption("--context-size <n>", "largest context, in tokens", 64, 10_000_000).default(4096))
        .option("--trace <file.html>", "write the conversation as a page, token by token with what was rejected")
        .option("--json", "one JSON object a line for each answer")
        .addHelpText("after", examples)
        .action(chat);
}

async function chat(options: ChatOptions): Promise<void> {
    if (options.json && options.prompt === undefined && process.stdin.isTTY)
        throw invalidArgument("--json", "--prompt, or questions on stdin", "a terminal");
    // Checked before anything is loaded.
    for (const guide of options.guide ?? []) parseGuide(guide, "--guide");
    const pair = needsAgent(options)
        ? await openPair(options)
        : await openModel(await resolveModel(options.model), options);
    try {
        const sides = await openSides(pair, options);
        const view: ChatView = options.json ? new ChatJson(sides, options) : new ChatText(sides, options);
        await converse(sides, view, options);
    } finally {
        await pair.close();
    }
}

/** A model of the caller's may be guided without an agent. */
function needsAgent({model, agent, guide = []}: ChatOptions): boolean {
    return isDemo(model) || agent !== undefined || guide.length === 0;
}

/** Both sides live in one context, so that they can answer at the same time. */
async function openSides(
    {model, threads, ...pair}: OpenModel | ModelWithAgent,
    options: ChatOptions
): Promise<ChatSides> {
    const {order, fallbackIndex, seed, mode, strategy, contextSize, compare, guide = []} = options;
    const {context, aligner} = await createAlignedContext(model, {
        ...("agents" in pair && {agents: weightedAgents(pair.agents, options.weight)}),
        ...given({combine: options.combine}),
        guides: guide.map((text) => parseGuide(text, "--guide")),
        ...givenSettings(options),
        order,
        fallbackIndex,
        seed,
        mode,
        strategy,
        contextSize: {max: contextSize},
        sequences: compare ? 2 : 1,
        ...threads
    });
    const {threshold} = aligner.settings();
    const trace =
        options.trace === undefined ? undefined : new ChatTrace(options.trace, describePair(options, threshold));
    // node-llama-cpp is loaded here, because it takes its time and not every command needs it.
    const {Speaker} = await import("./speaker.js");
    const systemPrompt = options.system;
    const onBegin = (side: string) => (question: string, pieces: readonly Piece[]) =>
        trace?.begin(side, question, pieces);
    const settings = {aligner, systemPrompt, order, onBegin: onBegin("aligned")};
    const aligned = new Speaker(context.getSequence(), settings);
    if (!compare) return {aligned, raw: undefined, aligner};
    const sequence = context.getSequence();
    aligner.configure({enabled: false}, sequence);
    return {aligned, raw: new Speaker(sequence, {systemPrompt, onBegin: onBegin("raw")}), aligner};
}
