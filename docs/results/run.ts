/**
 * Makes the evidence in this folder: `npm run results -- [STEP…]`, with MARA_TEST_MODEL naming SmolLM2-135M-Instruct.
 *
 * Steps, all of them by default: train-METHOD and eval-METHOD (sac, preference, advantage), off-domain, cascade, dial, write. Each goes on from what an
 * earlier call left in docs/results/work, which git ignores; `write` needs the evaluations and takes a second.
 */
import {spawnSync} from "node:child_process";
import {copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync} from "node:fs";
import {join} from "node:path";
import {fileURLToPath} from "node:url";
import {describeMachine} from "../../bench/harness/machine.js";
import {dialSvg} from "../../lib/evaluate/dial-chart.js";
import {type Evaluation, evaluate} from "../../lib/evaluate/evaluate.js";
import type {EvaluateOptions} from "../../lib/evaluate/options.js";
import {loadPrompts} from "../../lib/prompts/prompts.js";
import {type CascadeRun, cascadeFigures, cascadeSvg, cascades} from "./cascade.js";
import {dialFigures, figures} from "./figures.js";

const here = fileURLToPath(new URL(".", import.meta.url));
const work = join(here, "work");
const heldOut = join(here, "prompts", "held-out.jsonl");
const offDomainPrompts = join(here, "prompts", "off-domain.jsonl");
const modelPath = process.env.MARA_TEST_MODEL ?? "";
const reward = "sentiment";
const secondReward = "readability";
const maxTokens = 48;
/** The dial is nine evaluations more, so it is made for one agent and some of the prompts. */
const dialMethod: Method = "preference";
const dialPrompts = 64;
const cascadePrompts = 216;
const thresholds = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/** What is given to `mara train` besides model, prompts, reward and folder. */
const methods = {
    sac: [
        "--method",
        "sac",
        "--preset",
        "small",
        ...["--baseline", "none", "--kl-coefficient", "0.02", "--gamma", "0.97", "--initial-alpha", "0.02"]
    ],
    preference: ["--method", "preference", "--preset", "small", "--pairs-from-model", "3"],
    advantage: ["--method", "advantage", "--preset", "small"]
} as const;
type Method = keyof typeof methods;

function train(method: Method): void {
    const out = join(work, method);
    const folder = ["--out", out];
    const start = ["-m", modelPath, "--prompts", join(here, "prompts", "train.jsonl"), "--reward", reward];
    const shape = ["--max-tokens", String(maxTokens), "--threads", "1", "--gpu", "off", ...methods[method]];
    const begun = existsSync(join(out, "config.json"));
    const args = ["train", ...folder, ...(begun ? ["--resume"] : [...start, ...shape])];
    console.log(`mara ${args.join(" ")}`);
    const {status} = spawnSync(process.execPath, [join(here, "../../dist/cli/mara.js"), ...args], {stdio: "inherit"});
    if (status !== 0) throw new Error(`mara train ended with ${status}`);
}

type EvaluationOptions = Pick<
    EvaluateOptions,
    "prompts" | "rewards" | "against" | "thresholds" | "cascade" | "sequences" | "waves"
>;

const evaluation = (method: Method) =>
    run(`eval-${method}`, method, {
        prompts: heldOut,
        rewards: [reward, secondReward],
        against: ["raw", "bon:4"]
    });

const dial = async () =>
    await run("dial", dialMethod, {
        prompts: (await loadPrompts(heldOut)).slice(0, dialPrompts),
        rewards: [reward],
        against: ["raw"],
        thresholds
    });

/** Prompts of other kinds, on which the agent should change little. */
const offDomain = () =>
    run("off-domain", "advantage", {prompts: offDomainPrompts, rewards: [reward, secondReward], against: ["raw"]});

/** One candidate a wave, so that every decode has one token and their number tells the time. */
async function cascade(): Promise<CascadeRun[]> {
    const runs: CascadeRun[] = [];
    let last: string | undefined;
    for (const [name, option] of Object.entries(cascades)) {
        const prompts = (await loadPrompts(heldOut)).slice(0, cascadePrompts);
        const options = {prompts, rewards: [reward], against: ["raw"], cascade: option, sequences: 1, waves: [1]};
        const folder = join("cascade", name.replaceAll(" ", "-"));
        // The model's own answers are the same each time.
        const raw = join(work, folder, "sides", "raw.jsonl");
        if (last !== undefined && !existsSync(raw)) {
            mkdirSync(join(work, folder, "sides"), {recursive: true});
            copyFileSync(last, raw);
        }
        last = raw;
        const {result} = await run(folder, "advantage", options);
        runs.push({name, result});
    }
    return runs;
}

/** Takes minutes at first, and a moment once everything is in the work folder. */
async function run(folder: string, method: Method, options: EvaluationOptions): Promise<Evaluation> {
    let [last, start] = ["", Date.now()];
    return await evaluate({
        model: modelPath,
        agent: join(work, method, "agent.safetensors"),
        ...options,
        maxTokens,
        threads: 1,
        sequences: 4,
        runDirectory: join(work, folder),
        onProgress: ({side, phase, sidesDone, sides}) => {
            const state = `${side}: ${phase} (side ${sidesDone + 1} of ${sides})`;
            if (state !== last) console.log(`${((Date.now() - start) / 1000).toFixed(0)} s  ${state}`);
            last = state;
        }
    });
}

/** The evaluations as JSON and SVG, and their figures in README.md between its two marks. */
async function write(): Promise<void> {
    const prompts = await loadPrompts(heldOut);
    const parts: string[] = [];
    for (const method of Object.keys(methods) as Method[]) {
        if (!existsSync(join(work, `eval-${method}`, "result.json"))) continue;
        const {result, sides} = await evaluation(method);
        writeFileSync(join(here, `${method}.json`), `${JSON.stringify(rounded(result), null, 1)}\n`);
        parts.push(figures(method, result, sides, prompts));
    }
    if (existsSync(join(work, "off-domain", "result.json"))) {
        const {result, sides} = await offDomain();
        writeFileSync(join(here, "off-domain.json"), `${JSON.stringify(rounded(result), null, 1)}\n`);
        parts.push(figures("advantage, off its domain", result, sides, await loadPrompts(offDomainPrompts)));
    }
    if (existsSync(join(work, "cascade", "0", "result.json"))) {
        const runs = await cascade();
        writeFileSync(join(here, "cascade.json"), `${JSON.stringify(rounded(runs), null, 1)}\n`);
        writeFileSync(join(here, "cascade.svg"), cascadeSvg(runs));
        parts.push(cascadeFigures(runs));
    }
    if (existsSync(join(work, "dial", "result.json"))) {
        const {result} = await dial();
        writeFileSync(join(here, "dial.json"), `${JSON.stringify(rounded(result.dial), null, 1)}\n`);
        writeFileSync(join(here, "dial.svg"), dialSvg(result));
        parts.push(dialFigures(dialMethod, result));
    }
    const {cpu, date, node} = describeMachine();
    parts.push(`${date} UTC, one thread of ${cpu}, Node ${node}.`);
    const readme = join(here, "README.md");
    const [before, , after] = readFileSync(readme, "utf8").split(/<!-- \/?figures -->\n/);
    if (after === undefined) throw new Error("README.md has lost the marks between which the figures go");
    const text = `${before}<!-- figures -->\n\n${parts.join("\n\n")}\n\n<!-- /figures -->\n${after}`;
    writeFileSync(readme, text);
}

/** Six digits: the rest is noise. */
function rounded(value: unknown): unknown {
    return JSON.parse(JSON.stringify(value), (_, item) =>
        typeof item === "number" && !Number.isInteger(item) ? Number(item.toPrecision(6)) : item
    );
}

const steps: Record<string, () => Promise<unknown>> = {
    "train-sac": async () => train("sac"),
    "train-preference": async () => train("preference"),
    "train-advantage": async () => train("advantage"),
    "eval-sac": () => evaluation("sac"),
    "eval-preference": () => evaluation("preference"),
    "eval-advantage": () => evaluation("advantage"),
    "off-domain": offDomain,
    cascade,
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
