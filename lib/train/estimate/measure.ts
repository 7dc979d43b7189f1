/** Measures what the parts of a training run cost, on a few responses and updates. */
import {MaraAgent} from "../../agent/agent.js";
import {newContext} from "../../align/node-llama-cpp/new-context.js";
import {MaraError} from "../../errors.js";
import {AnswerPool} from "../../generation/answers.js";
import type {Prompt} from "../../prompts/prompts.js";
import {Learner} from "../learner/learner.js";
import {AveragedActor} from "../preference/averaged-actor.js";
import {Rollouts, type Trajectory} from "../rollout/rollouts.js";
import {requireHope} from "../run/hope.js";
import {unlessAborted} from "../run/interruption.js";
import {scoreOrReason} from "../run/job.js";
import {learnerOptions, longestPrompt, rolloutOptions, transitionOptions} from "../run/parts.js";
import type {Prepared} from "../run/setup.js";
import {toTransitions} from "../sac/transitions.js";
import {measureLabel, type StudentCosts} from "./student.js";
import {type Measured, perResponse, secondsSince, timed} from "./trials.js";

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
    /** Undefined if the run makes no student. */
    student?: StudentCosts;
    /** False where responses were too slow to be generated to their end: they count as long as allowed. */
    lengthsMeasured: boolean;
}

type Setting = Omit<Prepared, "openRun" | "close" | "inputs">;

/** A response with its prompt. `tokens`: how long it would be; where a trial cut it, as long as allowed. */
interface Text {
    prompt: Prompt;
    response: string;
    tokens: number;
}

/** Most seconds that the measurement takes, and of them those that responses of each kind are generated for. */
export const mostSeconds = 60;
const share = 1 / 4;

/**
 * `seconds`, at most `mostSeconds`, is how long it aims at.
 * @throws MaraError MEASURE_TIMEOUT, REWARD_FAILED if the reward failed for every response, and those of `Rollouts`
 */
export async function measureCosts(setting: Setting, seconds = mostSeconds): Promise<TrainingCosts> {
    const over = AbortSignal.timeout(mostSeconds * 1000);
    try {
        return await new Measurement(setting, seconds, over).costs();
    } catch (error) {
        if (!over.aborted || (error instanceof MaraError && error.code === "REWARD_FAILED")) throw error;
        throw new MaraError(
            "MEASURE_TIMEOUT",
            `In ${mostSeconds} seconds the model and the reward did not get far enough to tell how long the run takes. ` +
                "Give fewer sequences, shorter prompts, a smaller model or a faster reward, or begin the run without --dry-run and --minutes."
        );
    }
}

class Measurement {
    readonly #setting: Setting;
    readonly #limit: number;
    readonly #over: AbortSignal;

    constructor(setting: Setting, seconds: number, over: AbortSignal) {
        this.#setting = setting;
        this.#limit = share * seconds;
        this.#over = over;
    }

    async costs(): Promise<TrainingCosts> {
        const {config, prompts, pairs} = this.#setting;
        const costs: TrainingCosts = {
            ...{response: 0, episode: 0, update: 0, transitions: 0, pair: 0, epoch: 0},
            lengthsMeasured: true
        };
        const asked = (pairs ?? prompts).slice(0, config.sequences);
        let texts: Text[];
        let reward = 0;
        if (pairs === undefined) {
            const own = await this.#own(asked);
            texts = own.texts;
            reward = await this.#reward(texts);
            costs.response = own.seconds + reward;
            costs.lengthsMeasured = own.whole;
        } else texts = this.#given();
        if (pairs === undefined || config.student) {
            const explored = await this.#episodes(asked);
            costs.episode = explored.seconds + reward;
            costs.lengthsMeasured &&= explored.whole;
            if (config.method === "sac") Object.assign(costs, await this.#updates(explored.trajectories));
            if (config.student) {
                costs.student = await this.#student(explored.trajectories, texts);
                costs.student.response = explored.seconds;
            }
        }
        if (config.method !== "sac" || config.student) costs.pair = await this.#reading(texts);
        if (costs.student !== undefined) costs.student.response += costs.pair / 2;
        if (config.method !== "sac") costs.epoch = await this.#epoch(texts);
        return costs;
    }

    #given(): Text[] {
        const {config, pairs, model} = this.#setting;
        return (pairs ?? [])
            .slice(0, config.sequences)
            .flatMap((pair) => [pair.chosen, pair.rejected].map((response) => ({prompt: pair, response})))
            .map((text) => ({...text, tokens: model.tokenize(text.response).length}));
    }

    async #own(asked: readonly Prompt[]): Promise<Measured & {texts: Text[]}> {
        const {config, model} = this.#setting;
        const context = await newContext(model, {
            contextSize: longestPrompt({model, prompts: asked}) + config.maxTokens + 1,
            sequences: config.sequences,
            ...(config.threads === null ? {} : {threads: config.threads})
        });
        try {
            const pool = new AnswerPool(context, config.sequences);
            const temperature = config.method === "sac" ? 0 : config.sampleTemperature;
            let texts: Text[] = [];
            const measured = await perResponse(asked, this.#trials, async (some, maxTokens) => {
                const {answers} = await pool.answer(some, {maxTokens, temperature, signal: this.#over});
                const isWhole = ({ended}: {ended: string}) => ended === "eog";
                texts = answers.map((answer) => ({
                    prompt: answer.prompt as Prompt,
                    response: answer.text,
                    tokens: isWhole(answer) ? model.tokenize(answer.text).length : config.maxTokens
                }));
                return answers.every(isWhole);
            });
            return {...measured, texts};
        } finally {
            await context.dispose();
        }
    }

    async #episodes(asked: readonly Prompt[]): Promise<Measured & {trajectories: Trajectory[]}> {
        const {config, model} = this.#setting;
        const learner = new Learner(learnerOptions(this.#setting));
        const agent = MaraAgent.fromTensors(learner.actor(), {
            dtype: "f32",
            ...(config.threads === null ? {} : {threads: config.threads})
        });
        const contextSize = longestPrompt({model, prompts: asked}) + config.maxTokens;
        let trajectories: Trajectory[] = [];
        try {
            const measured = await perResponse(asked, this.#trials, async (some, maxTokens) => {
                const options = {...rolloutOptions(this.#setting, contextSize), maxTokens};
                const rollouts = await Rollouts.open(model, options);
                trajectories = [];
                try {
                    const seeds = some.map((_, i) => i);
                    const signal = this.#over;
                    await rollouts.run(agent, some, seeds, (trajectory) => trajectories.push(trajectory), {signal});
                } finally {
                    await rollouts.close();
                }
                return trajectories.every(({ended}) => ended === "eog");
            });
            return {...measured, trajectories};
        } finally {
            agent.dispose();
            learner.dispose();
        }
    }

    get #trials(): {maxTokens: number; limit: number} {
        return {maxTokens: this.#setting.config.maxTokens, limit: this.#limit};
    }

    async #updates(trajectories: readonly Trajectory[]): Promise<Pick<TrainingCosts, "update" | "transitions">> {
        const {config} = this.#setting;
        const learner = new Learner(learnerOptions(this.#setting));
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
            this.#over.throwIfAborted();
            const update = (await timed(() => learner.update(3))) / 3;
            return {update, transitions: (count / made.length) * this.#lengthening(trajectories)};
        } finally {
            learner.dispose();
        }
    }

    /** How many times as long responses would be had their trial not cut them. */
    #lengthening(trajectories: readonly Trajectory[]): number {
        const sum = (lengthOf: (trajectory: Trajectory) => number) =>
            trajectories.reduce((all, trajectory) => all + lengthOf(trajectory), 0);
        const {maxTokens} = this.#setting.config;
        return (
            sum(({tokens, ended}) => (ended === "eog" ? tokens.length : maxTokens)) / sum(({tokens}) => tokens.length)
        );
    }

    /** The time of a response is left to the caller. */
    async #student(trajectories: readonly Trajectory[], texts: readonly Text[]): Promise<StudentCosts> {
        const {config, model} = this.#setting;
        const decisions = trajectories.flatMap(({decisions}) => decisions);
        const candidates = decisions.reduce((sum, {candidates}) => sum + candidates.length, 0);
        const each = this.#lengthening(trajectories) / trajectories.length;
        return {
            response: 0,
            decisions: decisions.length * each,
            labels: candidates * each,
            label: await measureLabel(model.embeddingVectorSize, config.threads),
            tokens: meanTokens(texts),
            width: model.embeddingVectorSize
        };
    }

    /** Seconds that reading the states of one pair takes. */
    async #reading(texts: readonly Text[]): Promise<number> {
        const {model} = this.#setting;
        const lengths = texts.map(({response}) => model.tokenize(response).length + 1);
        const contextSize = longestPrompt({model, prompts: texts.map(({prompt}) => prompt)}) + Math.max(...lengths);
        const rollouts = await Rollouts.open(model, rolloutOptions(this.#setting, contextSize));
        try {
            const read = (some: readonly Text[]) =>
                timed(() => rollouts.eachResponseStates(some, () => {}, {signal: this.#over}));
            let some = texts.slice(0, 2);
            let seconds = await read(some);
            if (texts.length > 2 && seconds * texts.length < this.#limit) {
                some = [...texts];
                seconds = await read(some);
            }
            const longer = meanTokens(texts) / (lengths.reduce((sum, length) => sum + length, 0) / lengths.length);
            return ((2 * seconds) / some.length) * Math.max(1, longer);
        } finally {
            await rollouts.close();
        }
    }

    /** Seconds that fitting one pair takes in one epoch. */
    async #epoch(texts: readonly Text[]): Promise<number> {
        const {config, model} = this.#setting;
        const learner = new Learner(learnerOptions(this.#setting, config.fitLearningRate));
        try {
            const rows = config.fitBatchSize;
            const batch = {
                states: Float32Array.from({length: rows * model.embeddingVectorSize}, (_, i) => (i % 7) - 3),
                labels: Uint8Array.from({length: rows}, (_, i) => i % 2),
                weights: new Float32Array(rows).fill(1)
            };
            await learner.fit(batch);
            this.#over.throwIfAborted();
            const average = new AveragedActor(learner.actor(), 0);
            const step = await timed(async () => {
                await learner.fit(batch);
                average.add(learner.actor());
            });
            return (step * 2 * (meanTokens(texts) + 1)) / rows;
        } finally {
            learner.dispose();
        }
    }

    /** Seconds that scoring one response takes. A reward that fails for each of them would fail in the run, too. */
    async #reward(texts: readonly Text[]): Promise<number> {
        const start = performance.now();
        const scores = await unlessAborted(
            Promise.all(texts.map(({prompt, response}) => scoreOrReason(this.#setting, prompt, response))),
            this.#over
        );
        const failures = scores.filter((score) => typeof score === "string");
        requireHope({done: scores.length, failed: failures.length, failure: failures.at(-1)}, 1);
        return secondsSince(start) / texts.length;
    }
}

function meanTokens(texts: readonly Text[]): number {
    return texts.reduce((sum, {tokens}) => sum + tokens, 0) / texts.length;
}
