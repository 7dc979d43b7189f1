/** Measures what the parts of a training run cost, on a few responses and updates. */
import type {LlamaModel} from "node-llama-cpp";
import {MaraAgent} from "../../agent/agent.js";
import {newContext} from "../../align/node-llama-cpp/new-context.js";
import {AnswerPool} from "../../generation/answers.js";
import type {Prompt} from "../../prompts/prompts.js";
import {Learner} from "../learner/learner.js";
import {Rollouts, type Trajectory} from "../rollout/rollouts.js";
import {scoreOrReason} from "../run/job.js";
import {learnerOptions, longestPrompt, rolloutOptions, transitionOptions} from "../run/parts.js";
import type {Prepared} from "../run/setup.js";
import {toTransitions} from "../sac/transitions.js";

/** Seconds, as far as the run's method needs them. */
export interface TrainingCosts {
    /** One response of the model itself, with its reward. */
    response: number;
    /** One response with every candidate judged, and its reward. */
    episode: number;
    /** One update of the learner. */
    update: number;
    /** Transitions of an episode; no time. */
    transitions: number;
    /** Reading the states of one pair. */
    pair: number;
    /** Fitting one pair in one epoch. */
    epoch: number;
    /** False where responses were too slow to be generated to their end: they count as long as allowed. */
    lengthsMeasured: boolean;
}

type Setting = Omit<Prepared, "openRun" | "close" | "inputs">;

/** Seconds that each kind of response may take to be measured. */
const limit = 20;
const trialTokens = 2;

export async function measureCosts(setting: Setting): Promise<TrainingCosts> {
    const {config, prompts, pairs} = setting;
    const asked = prompts.slice(0, config.sequences);
    const costs = {response: 0, episode: 0, update: 0, transitions: 0, pair: 0, epoch: 0, lengthsMeasured: true};
    let texts: {prompt: Prompt; response: string}[] = (pairs ?? [])
        .slice(0, config.sequences)
        .flatMap((pair) => [pair.chosen, pair.rejected].map((response) => ({prompt: pair, response})));
    if (pairs === undefined) {
        const own = await measureOwn(setting, asked);
        costs.response = own.seconds;
        costs.lengthsMeasured = own.whole;
        texts = own.texts;
    }
    if (asked.length > 0) {
        const explored = await measureEpisodes(setting, asked);
        costs.episode = explored.seconds;
        costs.lengthsMeasured &&= explored.whole;
        if (config.method === "sac") Object.assign(costs, await measureUpdates(setting, explored));
    }
    if (config.method !== "sac") Object.assign(costs, await measurePairs(setting, texts));
    return costs;
}

interface Measured {
    /** Of one response. */
    seconds: number;
    whole: boolean;
}

/** Times responses of a few tokens, and then as many as the limit allows. */
async function perResponse(
    count: number,
    maxTokens: number,
    run: (maxTokens: number) => Promise<unknown>
): Promise<Measured> {
    const short = Math.min(trialTokens, maxTokens);
    const first = await timed(() => run(short));
    const affordable = Math.floor(limit / (first / short));
    if (short === maxTokens) return {seconds: first / count, whole: true};
    const tokens = Math.min(maxTokens, Math.max(2 * trialTokens, affordable));
    const second = await timed(() => run(tokens));
    if (tokens === maxTokens) return {seconds: second / count, whole: true};
    const each = Math.max(0, second - first) / (tokens - short);
    return {seconds: (second + each * (maxTokens - tokens)) / count, whole: false};
}

async function measureOwn(
    setting: Setting,
    asked: readonly Prompt[]
): Promise<Measured & {texts: {prompt: Prompt; response: string}[]}> {
    const {config, model} = setting;
    const context = await newContext(model, {
        contextSize: longestPrompt({model, prompts: asked}) + config.maxTokens + 1,
        sequences: config.sequences,
        ...(config.threads === null ? {} : {threads: config.threads})
    });
    try {
        const pool = new AnswerPool(context, config.sequences);
        const temperature = config.method === "sac" ? 0 : config.sampleTemperature;
        let texts: {prompt: Prompt; response: string}[] = [];
        const measured = await perResponse(asked.length, config.maxTokens, async (maxTokens) => {
            const {answers} = await pool.answer(asked, {maxTokens, temperature});
            texts = answers.map(({prompt, text}) => ({prompt, response: text}));
        });
        return {...measured, seconds: measured.seconds + (await rewardSeconds(setting, texts)), texts};
    } finally {
        await context.dispose();
    }
}

async function measureEpisodes(
    setting: Setting,
    asked: readonly Prompt[]
): Promise<Measured & {trajectories: Trajectory[]; model: LlamaModel}> {
    const {config, model} = setting;
    const learner = new Learner(learnerOptions(setting));
    const agent = MaraAgent.fromTensors(learner.actor(), {
        dtype: "f32",
        ...(config.threads === null ? {} : {threads: config.threads})
    });
    const contextSize = longestPrompt({model, prompts: asked}) + config.maxTokens;
    let trajectories: Trajectory[] = [];
    try {
        const measured = await perResponse(asked.length, config.maxTokens, async (maxTokens) => {
            const rollouts = await Rollouts.open(model, {...rolloutOptions(setting, contextSize), maxTokens});
            trajectories = [];
            try {
                await rollouts.run(
                    agent,
                    asked,
                    asked.map((_, i) => i),
                    (trajectory) => trajectories.push(trajectory)
                );
            } finally {
                await rollouts.close();
            }
        });
        const texts = trajectories.map(({prompt, text}) => ({prompt, response: text}));
        return {...measured, seconds: measured.seconds + (await rewardSeconds(setting, texts)), trajectories, model};
    } finally {
        agent.dispose();
        learner.dispose();
    }
}

async function measureUpdates(
    setting: Setting,
    {trajectories}: {trajectories: readonly Trajectory[]}
): Promise<Pick<TrainingCosts, "update" | "transitions">> {
    const {config} = setting;
    const learner = new Learner(learnerOptions(setting));
    try {
        const made = trajectories.map(
            (trajectory) =>
                toTransitions(trajectory, {reward: {score: 0, spans: []}, ...transitionOptions(config)}).transitions
        );
        const count = made.reduce((sum, {action}) => sum + action.length, 0);
        if (count === 0) return {update: 0, transitions: 0};
        // A batch without replacement is no larger than the replay.
        for (let held = 0; held < config.batchSize; held += count)
            for (const each of made) learner.addTransitions(each);
        await learner.update(1);
        const update = (await timed(() => learner.update(3))) / 3;
        const shortened = trajectories.reduce((sum, {tokens}) => sum + tokens.length, 0) / trajectories.length;
        const ended = trajectories.every(({ended}) => ended === "eog");
        const longer = ended ? 1 : Math.max(1, config.maxTokens / shortened);
        return {update, transitions: (count / made.length) * longer};
    } finally {
        learner.dispose();
    }
}

async function measurePairs(
    setting: Setting,
    texts: readonly {prompt: Prompt; response: string}[]
): Promise<Pick<TrainingCosts, "pair" | "epoch">> {
    const {config, model} = setting;
    const asked = texts.map(({prompt}) => prompt);
    const responses = texts.map(({response}) => model.tokenize(response).length);
    const meanLength = responses.reduce((sum, tokens) => sum + tokens + 1, 0) / responses.length;
    const contextSize = longestPrompt({model, prompts: asked}) + Math.max(...responses) + 1;
    const rollouts = await Rollouts.open(model, rolloutOptions(setting, contextSize));
    let pair: number;
    try {
        let read = texts.slice(0, 2);
        let seconds = await timed(() => rollouts.eachResponseStates(read, () => {}));
        if (seconds * texts.length < limit) {
            read = [...texts];
            seconds = await timed(() => rollouts.eachResponseStates(read, () => {}));
        }
        pair = (2 * seconds) / read.length;
    } finally {
        await rollouts.close();
    }
    const learner = new Learner(learnerOptions(setting, config.fitLearningRate));
    try {
        const rows = config.fitBatchSize;
        const batch = {
            states: Float32Array.from({length: rows * model.embeddingVectorSize}, (_, i) => (i % 7) - 3),
            labels: Uint8Array.from({length: rows}, (_, i) => i % 2),
            weights: new Float32Array(rows).fill(1)
        };
        await learner.fit(batch);
        const step = await timed(() => learner.fit(batch));
        return {pair, epoch: (step * 2 * meanLength) / rows};
    } finally {
        learner.dispose();
    }
}

/** Of one response, as a mean. */
async function rewardSeconds(setting: Setting, texts: readonly {prompt: Prompt; response: string}[]): Promise<number> {
    const some = texts.slice(0, 2);
    const seconds = await timed(() =>
        Promise.all(some.map(({prompt, response}) => scoreOrReason(setting, prompt, response)))
    );
    return seconds / Math.max(1, some.length);
}

async function timed(run: () => Promise<unknown>): Promise<number> {
    const start = performance.now();
    await run();
    return (performance.now() - start) / 1000;
}
