/**
 * Makes the evidence in this folder: `npm run results -- [STEP…]`, with MARA_TEST_MODEL naming SmolLM2-135M-Instruct.
 *
 * Steps, all of them by default: train-AGENT and eval-AGENT (sac, preference, and advantage, balanced, fluent and courtesy with three seeds:
 * advantage, advantage-2, advantage-3, and so on), off-domain-AGENT of those but sac, preference and courtesy, two-agents, train-value, eval-value,
 * cascade (of fluent), cascade-sac, cascade-preference, dial, write. Each goes on from what an earlier call left in docs/results/work, which git ignores; `write` needs the evaluations and takes a second.
 */
import {copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync} from "node:fs";
import {join, relative} from "node:path";
import {describeMachine} from "../../bench/harness/machine.js";
import {dialSvg} from "../../lib/evaluate/dial-chart.js";
import {type Evaluation, evaluate} from "../../lib/evaluate/evaluate.js";
import type {EvaluateOptions} from "../../lib/evaluate/options.js";
import {loadPrompts} from "../../lib/prompts/prompts.js";
import {trainValue} from "../../lib/train/value/train-value.js";
import {type CascadeRun, cascadeFigures, cascadeSvg, cascades} from "./cascade.js";
import {dialFigures, figures, offDomainFigures, seedFigures} from "./figures.js";
import {
    type AgentName,
    agents,
    here,
    maxTokens,
    methods,
    modelPath,
    offDomainAgents,
    opponentsOf,
    reward,
    rewardsOf,
    secondReward,
    seeds,
    train,
    work
} from "./training.js";
import {twoFigures, twoSides, twoSvg} from "./two-agents.js";
import {bestResponses, valueFigures} from "./value-figures.js";

const heldOut = join(here, "prompts", "held-out.jsonl");
const offDomainPrompts = join(here, "prompts", "off-domain.jsonl");
/** The dial is nine evaluations more, so it is made for one agent and some of the prompts. */
const dialAgent = "preference";
const dialPrompts = 64;
const cascadePrompts = 128;
/** The agents that are measured with their students, by step, which names the files as well. */
const cascadeSteps = {
    cascade: "fluent",
    "cascade-sac": "sac",
    "cascade-preference": "preference"
} as const satisfies Record<string, AgentName>;
type CascadeStep = keyof typeof cascadeSteps;
const cascadeStepNames = Object.keys(cascadeSteps) as CascadeStep[];
const twoAgentsPrompts = 128;
const twoAgentNames = ["advantage", "courtesy"] as const satisfies AgentName[];
const twoRewards = [rewardsOf("advantage")[0], rewardsOf("courtesy")[0]];
/** As many as were read in the time that there was for the first run. */
const demonstrationPrompts = 318;
const network = join(work, "value", "sentiment.safetensors");
const thresholds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

type EvaluationOptions = Pick<
    EvaluateOptions,
    "prompts" | "rewards" | "against" | "thresholds" | "cascade" | "sequences" | "waves"
>;

const evaluation = (name: AgentName) =>
    run(evaluationFolder(name), name, {prompts: heldOut, rewards: rewardsOf(name), against: [...opponentsOf(name)]});

/** Answers are taken over from folders of the same group, so other rewards make another group. */
const evaluationFolder = (name: AgentName) => `${rewardsOf(name)[0] === reward ? "eval" : "second"}-${name}`;

const dial = async () =>
    await run("dial", dialAgent, {
        prompts: (await loadPrompts(heldOut)).slice(0, dialPrompts),
        rewards: [reward],
        against: ["raw"],
        thresholds
    });

/** Prompts of other kinds, on which the agent should change little. */
const offDomain = (name: AgentName) =>
    run(`off-domain-${name}`, name, {prompts: offDomainPrompts, rewards: [reward, secondReward], against: ["raw"]});

/** The agent for sentiment and that for courtesy, alone and together. */
async function twoAgents(): Promise<Evaluation> {
    const [first, second] = twoAgentNames.map((name) => join(work, name, "agent.safetensors")) as [string, string];
    return await evaluate({
        model: modelPath,
        agent: first,
        prompts: (await loadPrompts(heldOut)).slice(0, twoAgentsPrompts),
        rewards: twoRewards,
        // A side's name is part of its result.
        against: twoSides(relative(process.cwd(), first), relative(process.cwd(), second)),
        maxTokens,
        threads: 1,
        sequences: 8,
        runDirectory: join(work, "eval-two-agents")
    });
}

const cascadeFolder = (step: CascadeStep, name: string) => `${step}-${name.replaceAll(" ", "-")}`;

/** One candidate a wave, so that every decode has one token and their number tells the time. */
async function cascade(step: CascadeStep): Promise<CascadeRun[]> {
    const runs: CascadeRun[] = [];
    const agent = cascadeSteps[step];
    for (const {name, option} of cascades) {
        const prompts = (await loadPrompts(heldOut)).slice(0, cascadePrompts);
        const options = {prompts, rewards: [reward], against: ["raw"], cascade: option, sequences: 1, waves: [1]};
        runs.push({name, ...(await run(cascadeFolder(step, name), agent, options))});
    }
    return runs;
}

/** A network from the best of the responses that `train-advantage` drew for each of the first prompts. */
async function trainNetwork(): Promise<void> {
    const out = join(work, "value");
    if (existsSync(network)) return;
    mkdirSync(out, {recursive: true});
    const prompts = (await loadPrompts(join(here, "prompts", "train.jsonl"))).slice(0, demonstrationPrompts);
    const responses = readFileSync(join(work, "advantage", "responses.jsonl"), "utf8");
    await trainValue({
        model: modelPath,
        demonstrations: bestResponses(prompts, responses),
        out: network,
        threads: 1,
        seed: 1
    });
}

/** The network beside the agent whose responses it learnt from, on the same prompts. The agent's answers are those of its own evaluation. */
async function evaluateNetwork(): Promise<Evaluation> {
    takeOver("eval-value", "eval-advantage", /^(raw|aligned)/);
    const guide = `guide:value:network=${relative(process.cwd(), network)},weight=1`;
    return await run("eval-value", "advantage", {
        prompts: heldOut,
        rewards: [reward, secondReward],
        against: ["raw", guide]
    });
}

/** The model's own answers are the same for every agent and cascade, so another run's are taken over. */
function takeOver(folder: string, group: string, taken = /^(raw|bon)/): void {
    const sides = join(work, folder, "sides");
    if (existsSync(sides)) return;
    const other = readdirSync(work).find(
        (name) => name.startsWith(group) && existsSync(join(work, name, "result.json"))
    );
    if (other === undefined) return;
    mkdirSync(sides, {recursive: true});
    for (const side of readdirSync(join(work, other, "sides"))) {
        if (taken.test(side)) copyFileSync(join(work, other, "sides", side), join(sides, side));
    }
}

/** Takes minutes at first, and a moment once everything is in the work folder. */
async function run(folder: string, name: AgentName, options: EvaluationOptions): Promise<Evaluation> {
    let [last, start] = ["", Date.now()];
    takeOver(folder, folder.slice(0, folder.indexOf("-") + 1));
    return await evaluate({
        model: modelPath,
        agent: join(work, name, "agent.safetensors"),
        maxTokens,
        threads: 1,
        sequences: 4,
        ...options,
        runDirectory: join(work, folder),
        onProgress: ({side, phase, sidesDone, sides}) => {
            const state = `${side}: ${phase} (side ${sidesDone + 1} of ${sides})`;
            if (state !== last) console.log(`${((Date.now() - start) / 1000).toFixed(0)} s  ${state}`);
            last = state;
        }
    });
}

/** The evaluations that are in the work folder, as JSON and SVG, and their figures in README.md. */
async function write(): Promise<void> {
    const done = (folder: string) => existsSync(join(work, folder, "result.json"));
    const names = (Object.keys(agents) as AgentName[]).filter((name) => done(evaluationFolder(name)));
    for (const name of names) {
        const {result, sides} = await evaluation(name);
        save(`${name}.json`, result);
        // The other seeds are told beside the first.
        if (name in methods) tell(name, figures(name, result, sides, await loadPrompts(heldOut)));
    }
    for (const [name, group] of Object.entries(seeds)) {
        const told = group.filter((name) => names.includes(name));
        if (told.length < 2) continue;
        const results = [];
        for (const name of told) results.push((await evaluation(name)).result);
        tell(`${name}-seeds`, seedFigures(name, results));
    }
    const away = offDomainAgents.filter((name) => done(`off-domain-${name}`));
    if (away.length > 0) {
        const results = [];
        for (const name of away) results.push((await offDomain(name)).result);
        save("off-domain.json", results);
        tell("off-domain", offDomainFigures(away, results));
    }
    if (done("eval-two-agents")) {
        const evaluation = await twoAgents();
        save("two-agents.json", evaluation.result);
        writeFileSync(join(here, "two-agents.svg"), twoSvg(evaluation));
        tell("two-agents", twoFigures(evaluation));
    }
    if (done("eval-value")) {
        const evaluation = await evaluateNetwork();
        save("value.json", evaluation.result);
        tell("value", valueFigures(evaluation));
    }
    for (const step of cascadeStepNames) {
        if (!done(cascadeFolder(step, "0"))) continue;
        const runs = await cascade(step);
        save(
            `${step}.json`,
            runs.map(({name, result}) => ({name, result}))
        );
        writeFileSync(join(here, `${step}.svg`), cascadeSvg(runs));
        tell(step, cascadeFigures(runs, {step, agent: cascadeSteps[step]}));
    }
    if (done("dial")) {
        const {result} = await dial();
        save("dial.json", result.dial);
        writeFileSync(join(here, "dial.svg"), dialSvg(result));
        tell("dial", dialFigures(dialAgent, result));
    }
}

function save(name: string, value: unknown): void {
    writeFileSync(join(here, name), `${JSON.stringify(rounded(value), null, 1)}\n`);
}

/** Puts a part of README.md between its two marks. Parts that were not made here stay as they are. */
function tell(part: string, text: string): void {
    const {cpu, date, node} = describeMachine();
    const readme = join(here, "README.md");
    const whole = readFileSync(readme, "utf8");
    const [before, made, after] = whole.split(new RegExp(`<!-- /?${part} -->\n`));
    if (after === undefined) throw new Error(`README.md has lost the marks between which ${part} goes`);
    // Figures that are still the same keep the date at which they were made.
    if (made?.startsWith(`\n${text}\n`)) return;
    const on = `${date} UTC, one thread of ${cpu}, Node ${node}.`;
    writeFileSync(readme, `${before}<!-- ${part} -->\n\n${text}\n\n${on}\n\n<!-- /${part} -->\n${after}`);
}

/** Six digits: the rest is noise. */
function rounded(value: unknown): unknown {
    return JSON.parse(JSON.stringify(value), (_, item) =>
        typeof item === "number" && !Number.isInteger(item) ? Number(item.toPrecision(6)) : item
    );
}

const steps: Record<string, () => Promise<unknown>> = {
    ...Object.fromEntries(
        (Object.keys(agents) as AgentName[]).flatMap((name) => [
            [`train-${name}`, async () => train(name)],
            [`eval-${name}`, () => evaluation(name)]
        ])
    ),
    ...Object.fromEntries(offDomainAgents.map((name) => [`off-domain-${name}`, () => offDomain(name)])),
    "two-agents": twoAgents,
    "train-value": trainNetwork,
    "eval-value": evaluateNetwork,
    ...Object.fromEntries(cascadeStepNames.map((step) => [step, () => cascade(step)])),
    dial,
    write
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((step) => !Object.hasOwn(steps, step));
if (unknown !== undefined) throw new Error(`There is no step ${unknown}; there are ${Object.keys(steps).join(", ")}`);
if (!existsSync(modelPath)) throw new Error("Set MARA_TEST_MODEL to the GGUF file of SmolLM2-135M-Instruct");
mkdirSync(work, {recursive: true});
for (const [step, make] of Object.entries(steps)) {
    if (wanted.length > 0 && !wanted.includes(step)) continue;
    console.log(`== ${step}`);
    await make();
}
