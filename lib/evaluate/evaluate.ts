/** Measures how an agent changes a model's answers. docs/evaluation.md tells how, and what the numbers mean. */
import {join} from "node:path";
import type {Llama, LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../agent/agent.js";
import {writeWhole} from "../agent/agent-file.js";
import {requireAgent} from "../align/aligner.js";
import {requireAlignable} from "../align/node-llama-cpp/alignable.js";
import {invalidArgument} from "../errors.js";
import {inFormat, loadPrompts} from "../prompts/prompts.js";
import type {Coordinator} from "../queue/coordinator.js";
import {queueOptions} from "../queue/options.js";
import {openReward, type RewardOptions, type RewardSpec} from "../rewards/open.js";
import type {Reward} from "../rewards/reward.js";
import {lockRun} from "../run-lock.js";
import {notify} from "../validation/notify.js";
import {asPrompt} from "../validation/sources.js";
import {dialSvg} from "./dial-chart.js";
import {type EvaluateOptions, type EvaluationProgress, type EvaluationSettings, resolveOptions} from "./options.js";
import {describeModel, hashOfAgent, loadNamedModel} from "./plans.js";
import {evaluationReport} from "./report.js";
import {type DialPoint, type EvaluationResult, pairResult, sideResult} from "./result.js";
import {type EvaluationSetup, type Side, SideRunner} from "./sides.js";
import {tradeOffOf} from "./trade-off.js";

/** What `evaluate` resolves with. */
export interface Evaluation {
    result: EvaluationResult;
    /** Answers and scores, prompt by prompt: the aligned side first, then `against`. */
    sides: Side[];
    /** A self-contained HTML page. */
    report: string;
}

/**
 * Answers every prompt with the aligned model and with what it is compared to, scores the answers, and counts.
 * @throws MaraError INVALID_ARGUMENT, RUN_BUSY, RUN_CHANGED, RUN_DAMAGED, PROMPTS_*, REWARD_*, AGENT_*, MODEL_NOT_FOUND, MODEL_UNSUPPORTED,
 * VALUE_NETWORK, GUIDE_VOCABULARY, CONTEXT_FAILED, DECODE_FAILED, WRITE_FAILED, QUEUE_* with a `queue`; the signal's reason
 */
export async function evaluate(options: EvaluateOptions): Promise<Evaluation> {
    const resolved = resolveOptions(options);
    const closers: (() => Promise<void> | void)[] = [];
    try {
        const setup = await open(resolved, closers);
        if (options.runDirectory !== undefined) closers.push(await lockRun(options.runDirectory));
        const sides = new SideRunner(setup);
        closers.push(() => sides.close());
        const evaluation = await compare(setup, sides);
        const {runDirectory} = resolved.options;
        if (runDirectory !== undefined) {
            const write = (name: string, text: string) => writeWhole(join(runDirectory, name), Buffer.from(text));
            await write("result.json", `${JSON.stringify(evaluation.result, null, 2)}\n`);
            await write("report.html", evaluation.report);
            if (evaluation.result.dial.length > 0) await write("dial.svg", dialSvg(evaluation.result));
        }
        return evaluation;
    } finally {
        for (const close of closers.reverse()) await close();
    }
}

async function open(
    {model: givenModel, options, settingsFor}: ReturnType<typeof resolveOptions>,
    closers: (() => Promise<void> | void)[]
): Promise<EvaluationSetup> {
    const {prompts: given, agent: givenAgent, runDirectory, signal, onProgress} = options;
    const loaded = typeof given === "string" ? await loadPrompts(given) : Array.from(given, asPrompt);
    const agent = typeof givenAgent === "string" ? await MaraAgent.load(givenAgent) : givenAgent;
    if (agent !== givenAgent) closers.push(() => agent.dispose());
    const trained = agent.metadata["mara.promptFormat"] === "template" ? "template" : "session";
    const prompts = [...inFormat(loaded, options.promptFormat ?? trained)];
    const llama = await llamaOf(givenModel, options, closers);
    const model = typeof givenModel === "string" ? await loadNamedModel(llama, givenModel) : givenModel;
    if (model !== givenModel) closers.push(() => model.dispose());
    requireAlignable(model);
    requireAgent(agent, model.embeddingVectorSize);
    const queue = options.queue === undefined ? undefined : queueOptions(options.queue);
    const coordinator = queue && (await openCoordinator(queue.url));
    if (coordinator !== undefined) closers.push(() => coordinator.close());
    const rewards: {key: string; reward: Awaited<ReturnType<typeof openReward>>}[] = [];
    for (const spec of options.rewards) {
        const reward =
            coordinator !== undefined && queue?.rewards
                ? await openRemoteReward(coordinator, spec, options.rewardOptions ?? {})
                : await openReward(spec, {llama, ...options.rewardOptions});
        closers.push(() => reward.dispose());
        if (rewards.some(({reward: {name}}) => name === reward.name))
            throw invalidArgument("rewards", "rewards with different names", reward.name);
        const question = options.rewardOptions?.judgeQuestion;
        rewards.push({key: question === undefined ? reward.name : `${reward.name}, asking ${question}`, reward});
    }
    const settings = settingsFor(agent);
    const progress = progressOf(settings, onProgress);
    const players = {llama, model, agent, settings, settingsFor, coordinator};
    return {...players, prompts, rewards, runDirectory, signal, onProgress: progress};
}

/** A queue's code is loaded here, because few need it. */
async function openCoordinator(url: string): Promise<Coordinator> {
    const {Coordinator} = await import("../queue/coordinator.js");
    return await Coordinator.open(url);
}

async function openRemoteReward(
    coordinator: Coordinator,
    spec: RewardSpec,
    {judgeQuestion, baseDirectory}: RewardOptions
): Promise<Reward> {
    const {remoteReward} = await import("../queue/remote-reward.js");
    return await remoteReward(coordinator, spec, {
        ...(judgeQuestion === undefined ? {} : {judgeQuestion}),
        ...(baseDirectory === undefined ? {} : {baseDirectory})
    });
}

async function llamaOf(
    model: string | LlamaModel,
    {llama}: EvaluateOptions,
    closers: (() => Promise<void> | void)[]
): Promise<Llama> {
    if (llama !== undefined) return llama;
    if (typeof model !== "string") return model.llama;
    const {getLlama, LlamaLogLevel} = await import("node-llama-cpp");
    const own = await getLlama({build: "never", logLevel: LlamaLogLevel.error});
    closers.push(() => own.dispose());
    return own;
}

/** Counts sides as they change. */
function progressOf(
    {against, threshold, thresholds}: EvaluationSettings,
    onProgress: EvaluateOptions["onProgress"]
): EvaluationSetup["onProgress"] {
    const seen = new Set<string>();
    return (progress) => {
        seen.add(progress.side);
        const sides = Math.max(
            seen.size,
            1 + against.length + thresholds.filter((value) => value !== threshold).length
        );
        notify(onProgress, "onProgress", {...progress, sidesDone: seen.size - 1, sides} satisfies EvaluationProgress);
    };
}

async function compare(setup: EvaluationSetup, sides: SideRunner): Promise<Evaluation> {
    const {settings, prompts, rewards, model, agent} = setup;
    const {tieMargin, threshold, thresholds} = settings;
    const aligned = await sides.aligned("aligned", threshold);
    const others: Side[] = [];
    for (const opponent of settings.against) others.push(await sides.opponent(opponent));
    const baseline = others[0] as Side;
    const dial: DialPoint[] = [];
    const turned: Side[] = [];
    for (const value of thresholds) {
        const side = value === threshold ? aligned : await sides.aligned(`threshold:${value}`, value);
        turned.push(side);
        dial.push({threshold: value, pair: pairResult(side, baseline, 0, tieMargin), side: sideResult(side)});
    }
    const all = [aligned, ...others];
    const names = rewards.map(({reward}) => reward.name);
    const tradeOff = tradeOffOf(sideResult(aligned), others.map(sideResult), names);
    const result: EvaluationResult = {
        version: 1,
        config: {
            model: describeModel(model),
            agent: {sha256: hashOfAgent(agent), name: agent._name},
            prompts: prompts.length,
            rewards: names,
            ...settings,
            against: settings.against.map(({name}) => name)
        },
        aligned: sideResult(aligned),
        others: others.map(sideResult),
        pairs: others.flatMap((other) => rewards.map((_, reward) => pairResult(aligned, other, reward, tieMargin))),
        dial,
        ...(tradeOff && {tradeOff}),
        timing: Object.fromEntries(
            [...new Set([...all, ...turned])].map(({name, seconds, generatedTokens}) => [
                name,
                {seconds, tokensPerSecond: generatedTokens / seconds}
            ])
        )
    };
    return {result, sides: all, report: evaluationReport(result, all, prompts)};
}
