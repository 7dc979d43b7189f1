/** Measures the agent under training as it will be used: greedy, at the threshold, on prompts that no episode answers. */
import type {Prompt} from "../../prompts/prompts.js";
import type {ScoredResponse} from "../../rewards/reward.js";
import type {RolloutSource} from "../rollout/rollouts.js";
import {unlessAborted} from "../run/interruption.js";
import {type ActorTensors, type Job, scoreOrReason} from "../run/job.js";
import type {GreedyCheck} from "../run/progress.js";
import type {Baselines} from "./batch.js";
import {agentOf} from "./staleness.js";

const threshold = 0.5;

interface Measured {
    actor: ActorTensors;
    behind: ActorTensors | undefined;
    onTokens: (count: number) => void;
}

export class GreedyChecker {
    /** The last check of this process. */
    latest: GreedyCheck | null = null;
    readonly #job: Job & {heldOut: readonly number[]};
    readonly #rollouts: RolloutSource;
    readonly #raw: Baselines;

    /** @param raw rewards of the model's own greedy responses to the held-out prompts */
    constructor(job: Job & {heldOut: readonly number[]}, rollouts: RolloutSource, raw: Baselines) {
        this.#job = job;
        this.#rollouts = rollouts;
        this.#raw = raw;
    }

    /**
     * Null where it is not due between these two counts of episodes. `behind`: the actor that rolls out in this one's place, where there is
     * one; `onTokens`: as for `Rollouts.run`. @throws Interruption
     */
    async after(before: number, episodes: number, {actor, behind, onTokens}: Measured): Promise<GreedyCheck | null> {
        const {config, heldOut} = this.#job;
        const periods = (count: number) => Math.floor(count / config.checkEvery);
        const due = periods(episodes) > periods(before) || episodes >= config.episodes;
        if (!due || heldOut.length === 0) return null;
        const scores = await this.#answer(actor, onTokens);
        const others = behind === undefined ? scores : await this.#answer(behind, onTokens);
        const known = scores.flatMap((score, i) => {
            const raw = this.#raw.get(heldOut[i] as number) ?? null;
            const other = others[i] as ScoredResponse | string;
            if (typeof score === "string" || typeof other === "string" || raw === null) return [];
            return [{reward: score.score, raw, behind: other.score}];
        });
        if (known.length === 0) return null;
        const mean = (of: "reward" | "raw" | "behind") => known.reduce((sum, each) => sum + each[of], 0) / known.length;
        this.latest = {
            prompts: known.length,
            reward: mean("reward"),
            raw: mean("raw"),
            behind: behind === undefined ? null : mean("behind")
        };
        return this.latest;
    }

    async #answer(actor: ActorTensors, onTokens: (count: number) => void): Promise<(ScoredResponse | string)[]> {
        const {config, heldOut, prompts, signal} = this.#job;
        const asked = heldOut.map((index) => prompts[index] as Prompt);
        const scored: Promise<ScoredResponse | string>[] = [];
        const agent = agentOf(actor, config);
        try {
            const answers = this.#rollouts.run(
                agent,
                asked,
                asked.map(() => 0),
                ({prompt, text}, i) => {
                    scored[i] = scoreOrReason(this.#job, prompt, text);
                },
                {threshold, onTokens, ...(signal === undefined ? {} : {signal})}
            );
            // Every reader of the agent must have ended before it is freed.
            await answers.catch((error) => unlessAborted(Promise.reject(error), signal));
            return await unlessAborted(Promise.all(scored), signal);
        } finally {
            agent.dispose();
        }
    }
}
