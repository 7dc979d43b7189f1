/** Episodes that were complete when a run was interrupted: the checkpoint keeps them, so that they need not be rolled out again. */
import type {Prompt} from "../../prompts/prompts.js";
import type {ScoredResponse} from "../../rewards/reward.js";
import type {Trajectory} from "../rollout/rollouts.js";
import {packValue, unpackValue} from "../run/segments.js";

export interface PendingEpisode {
    episode: number;
    trajectory: Trajectory;
    /** Undefined where the reward was not there yet, or had failed. */
    score: ScoredResponse | undefined;
}

/** Leaves out the prompts, which the run has in any case. */
export function packEpisodes(episodes: readonly PendingEpisode[]): Uint8Array {
    return packValue(episodes, ["prompt"]);
}

/** @param promptOf prompt of an episode */
export function unpackEpisodes(bytes: Uint8Array, promptOf: (episode: number) => Prompt): PendingEpisode[] {
    const episodes = unpackValue(bytes) as PendingEpisode[];
    for (const {episode, trajectory} of episodes) trajectory.prompt = promptOf(episode);
    return episodes;
}
