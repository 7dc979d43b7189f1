/**
 * Discrete SAC on rollouts. Episodes are worked through in batches of fixed size and order. While the rewards of a batch are
 * computed and the learner learns from it, the next ones (`batchesAhead`) are rolled out already, by the agent as it was before. So the agent that a
 * batch is rolled out with, and the moments when the learner updates, depend on counts alone and never on time.
 */
import type {Prompt} from "../../prompts/prompts.js";
import type {ScoredResponse} from "../../rewards/reward.js";
import {Learner, type Transitions} from "../learner/learner.js";
import type {RolloutSource, Trajectory} from "../rollout/rollouts.js";
import {requireHope} from "../run/hope.js";
import {Interruption, unlessAborted} from "../run/interruption.js";
import {type ActorTensors, actorBytes, actorOf, type Outcome, scoreOrReason} from "../run/job.js";
import {
    learnerOptions,
    longestPrompt,
    openRollouts,
    packTransitions,
    restoredOptions,
    rolloutOptions,
    unpackTransitions
} from "../run/parts.js";
import {LatestMean, Phase} from "../run/progress.js";
import {forgottenSegments} from "../run/segments.js";
import {derivedSeed, use} from "../seeds.js";
import {assess, type Baselines, type BatchMeans, type Rolled, type SampleRow} from "./batch.js";
import {GreedyChecker} from "./greedy-check.js";
import {type PendingEpisode, packEpisodes, unpackEpisodes} from "./pending.js";
import {agentOf, changeSince} from "./staleness.js";
import {actorFile, type SacJob, type SacState} from "./state.js";

/** Episodes that the shown means look back on. */
const recent = 64;

interface SacParts {
    learner: Learner;
    rollouts: RolloutSource;
    baselines: Baselines;
    /** Rewards of the model's own greedy responses to the held-out prompts. */
    raw: Baselines;
    state: SacState;
    /** The actors that roll out the next batches, `batchesAhead` of them. */
    actors: readonly ActorTensors[];
    /** Episodes after those of the state that were complete when the run was interrupted. */
    pending: readonly PendingEpisode[];
}

export class Sac {
    readonly #job: SacJob;
    readonly #learner: Learner;
    readonly #rollouts: RolloutSource;
    readonly #baselines: Baselines;
    readonly #promptOf: (episode: number) => number;
    readonly #checker: GreedyChecker;
    readonly #latest = {
        reward: new LatestMean(recent),
        kl: new LatestMean(recent),
        acceptanceRate: new LatestMean(recent)
    };
    /** The state between two batches, which is what a checkpoint holds; the learner may be ahead of it. */
    #state: SacState;
    #actors: readonly ActorTensors[];
    #learned: Uint8Array;
    /** Transitions since the last checkpoint. */
    #fresh: Transitions[] = [];
    #committed: number | undefined;
    /** The batches under way, the next one first. */
    #rolling: Promise<Rolled[]>[] = [];
    /** Complete episodes that the learner has not learnt from. */
    readonly #rolled = new Map<number, Rolled>();
    readonly #pending: Map<number, PendingEpisode>;
    #phase: Phase | undefined;

    private constructor(
        job: SacJob,
        {learner, rollouts, baselines, raw, state, actors, pending}: SacParts,
        resumed: boolean
    ) {
        this.#job = job;
        this.#learner = learner;
        this.#rollouts = rollouts;
        this.#baselines = baselines;
        this.#state = state;
        this.#actors = actors;
        this.#learned = learner.save();
        this.#committed = resumed ? state.episodes : undefined;
        this.#pending = new Map(pending.map((each) => [each.episode, each]));
        this.#promptOf = job.promptOf;
        this.#checker = new GreedyChecker(job, rollouts, raw);
    }

    /** @throws MaraError RUN_DAMAGED, and those of `Rollouts.open` */
    static async open(
        job: SacJob,
        {baselines, raw}: Pick<SacParts, "baselines" | "raw">,
        state?: SacState
    ): Promise<Sac> {
        const {run} = job;
        const options = learnerOptions(job);
        const learner =
            state === undefined
                ? new Learner(options)
                : Learner.restore(await run.readFile("learner"), restoredOptions(options));
        const actors: ActorTensors[] = [];
        for (let i = 0; i < job.config.batchesAhead; i++)
            actors.push(state === undefined ? learner.actor() : actorOf(await run.readFile(actorFile(i))));
        if (state !== undefined)
            for await (const bytes of run.segments())
                for (const transitions of unpackTransitions(bytes)) learner.addTransitions(transitions);
        const promptOf = (episode: number) => job.prompts[job.promptOf(episode)] as Prompt;
        const pending =
            state !== undefined && run.hasFile("pending")
                ? unpackEpisodes(await run.readFile("pending"), promptOf)
                : [];
        const contextSize = longestPrompt(job) + job.config.maxTokens;
        const rollouts = await openRollouts(job, rolloutOptions(job, contextSize));
        const begun = state ?? {phase: "sac", episodes: 0, dropped: 0, updates: 0, segments: []};
        return new Sac(job, {learner, rollouts, baselines, raw, state: begun, actors, pending}, state !== undefined);
    }

    /** Goes on to the end or to the signal, and leaves a checkpoint either way. */
    async train(): Promise<Outcome> {
        let completed = true;
        try {
            await this.#loop();
        } catch (error) {
            if (!(error instanceof Interruption)) throw error;
            completed = false;
            await Promise.allSettled(this.#rolling);
        }
        if (this.#committed !== this.#state.episodes || this.#rolled.size > 0) await this.#commit(true);
        return {completed, actor: completed ? this.#learner.actor() : (this.#actors[0] as ActorTensors)};
    }

    async close(): Promise<void> {
        await this.#rollouts.close();
        await Promise.allSettled(this.#rolling);
        this.#learner.dispose();
    }

    async #loop(): Promise<void> {
        const {run, config, signal} = this.#job;
        const phase = new Phase("rollouts", {total: config.episodes, from: this.#state.episodes, job: this.#job});
        this.#phase = phase;
        let started = phase.seconds;
        const {episodesPerBatch, batchesAhead} = config;
        for (const [i, actor] of this.#actors.entries())
            this.#rollNext(this.#state.episodes + i * episodesPerBatch, actor);
        while (this.#state.episodes < config.episodes) {
            const rolled = await unlessAborted(this.#rolling[0] as Promise<Rolled[]>, signal);
            const episodes = this.#state.episodes + rolled.length;
            const actor = this.#learner.actor();
            this.#rollNext(episodes + (batchesAhead - 1) * episodesPerBatch, actor);
            this.#rolling.shift();
            const scores = await unlessAborted(Promise.all(rolled.map(({scored}) => scored)), signal);
            const {samples, metrics, transitions} = assess(rolled, scores, {
                config,
                baselines: this.#baselines,
                first: this.#state.episodes,
                promptOf: this.#promptOf
            });
            this.#remember(samples, metrics);
            for (const each of transitions) this.#learner.addTransitions(each);
            const change = await changeSince(rolled, this.#actors, config);
            const losses = await this.#update(transitions.length);
            const greedy = await this.#checker.after(this.#state.episodes, episodes, {
                actor: this.#learner.actor(),
                // One batch ahead, the present actor would roll out the batch that this one does.
                behind: [...this.#actors, actor][2],
                onTokens: (count) => phase.generated(count)
            });

            const dropped = this.#state.dropped + rolled.length - transitions.length;
            const updates = this.#state.updates + losses.updates;
            const replay = this.#learner.replaySize;
            const seconds = Math.round((phase.seconds - started) * 1000) / 1000;
            started = phase.seconds;
            await run.append("samples", samples);
            await run.append("metrics", [
                {
                    episodes,
                    ...metrics,
                    dropped,
                    ahead: batchesAhead,
                    change,
                    replay,
                    updates,
                    losses: losses.means,
                    greedy,
                    seconds
                }
            ]);
            for (let episode = this.#state.episodes; episode < episodes; episode++) this.#rolled.delete(episode);
            this.#state = {...this.#state, episodes, dropped, updates};
            this.#actors = [...this.#actors.slice(1), actor];
            this.#learned = this.#learner.save();
            this.#fresh.push(...transitions);
            phase.tell(episodes, {
                reward: this.#latest.reward.value,
                kl: this.#latest.kl.value,
                acceptanceRate: this.#latest.acceptanceRate.value,
                greedy: this.#checker.latest,
                dropped
            });
            const failure = scores.find((score) => typeof score === "string");
            requireHope({done: episodes, failed: dropped, failure});
            // The first batch makes a checkpoint in any case, so that one is there early.
            if (this.#committed === undefined || episodes - this.#committed >= config.checkpointEvery)
                await this.#commit();
        }
    }

    #remember(samples: readonly SampleRow[], {acceptanceRate}: BatchMeans): void {
        for (const {reward, kl} of samples) {
            if (reward === null || kl === null) continue;
            this.#latest.reward.add(reward);
            this.#latest.kl.add(kl);
        }
        if (acceptanceRate !== null) this.#latest.acceptanceRate.add(acceptanceRate);
    }

    #rollNext(first: number, actor: ActorTensors): void {
        const rolling = this.#roll(first, actor);
        // It may fail before anybody waits for it.
        rolling.catch(() => undefined);
        this.#rolling.push(rolling);
    }

    /** Rolls out the batch that begins with this episode; nothing after the last episode. */
    async #roll(first: number, actor: ActorTensors): Promise<Rolled[]> {
        const {config, prompts, signal} = this.#job;
        const size = Math.max(0, Math.min(config.episodesPerBatch, config.episodes - first));
        if (size === 0) return [];
        const episodes = Array.from({length: size}, (_, i) => first + i);
        for (const episode of episodes) {
            const pending = this.#pending.get(episode);
            if (pending !== undefined) this.#enter(episode, pending.trajectory, pending.score);
        }
        const missing = episodes.filter((episode) => !this.#rolled.has(episode));
        const asked = missing.map((episode) => prompts[this.#promptOf(episode)] as Prompt);
        const seeds = missing.map((episode) => derivedSeed(config.seed, use.rollout, episode));
        const agent = agentOf(actor, config);
        try {
            const enter = (trajectory: Trajectory, i: number) => this.#enter(missing[i] as number, trajectory);
            const onTokens = (count: number) => this.#phase?.generated(count);
            await this.#rollouts.run(agent, asked, seeds, enter, {
                onTokens,
                ...(signal === undefined ? {} : {signal})
            });
        } finally {
            agent.dispose();
        }
        return episodes.map((episode) => this.#rolled.get(episode) as Rolled);
    }

    #enter(episode: number, trajectory: Trajectory, known?: ScoredResponse): void {
        const scored =
            known === undefined ? scoreOrReason(this.#job, trajectory.prompt, trajectory.text) : Promise.resolve(known);
        const rolled: Rolled = {trajectory, scored, score: known};
        this.#rolled.set(episode, rolled);
        scored.then((score) => {
            if (typeof score !== "string") rolled.score = score;
        });
    }

    /** Makes the updates that `episodes` of the replay's episodes have earned. No signal ends them, because what these episodes taught would be lost. */
    async #update(episodes: number): Promise<{updates: number; means: Record<string, number> | null}> {
        const {config} = this.#job;
        const updates = this.#learner.replaySize < config.learnAfter ? 0 : episodes * config.updatesPerEpisode;
        if (updates === 0) return {updates, means: null};
        const sums = new Map<string, number>();
        for (let done = 0; done < updates; done += config.updatesPerEpisode) {
            const metrics = await this.#learner.update(config.updatesPerEpisode);
            for (const [name, value] of Object.entries(metrics as unknown as Record<string, number>))
                sums.set(name, (sums.get(name) ?? 0) + value / episodes);
        }
        return {updates, means: Object.fromEntries(sums)};
    }

    /** `isLast`: nothing is under way any more. */
    async #commit(isLast = false): Promise<void> {
        const {run, config} = this.#job;
        const segments = [...this.#state.segments];
        if (this.#fresh.length > 0) {
            await run.addSegment(packTransitions(this.#fresh));
            segments.push(this.#fresh.reduce((sum, {action}) => sum + action.length, 0));
        }
        const forgotten = forgottenSegments(segments, config.replayCapacity);
        this.#state = {...this.#state, segments: segments.slice(forgotten)};
        // In the midst of a run those of the batch under way are left out: they cost more to write than to make again.
        const pending = isLast
            ? [...this.#rolled].map(([episode, {trajectory, score}]) => ({episode, trajectory, score}))
            : [];
        const actors = this.#actors.map((actor, i) => [actorFile(i), actorBytes(actor)] as const);
        const files = {learner: this.#learned, ...Object.fromEntries(actors), pending: packEpisodes(pending)};
        await run.commit(this.#state, files, forgotten);
        this.#fresh = [];
        this.#committed = this.#state.episodes;
    }
}
