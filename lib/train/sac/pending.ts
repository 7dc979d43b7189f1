/** Episodes that were complete when a run was interrupted: the checkpoint keeps them, so that they need not be rolled out again. */
import type {Prompt} from "../../prompts/prompts.js";
import type {ScoredResponse} from "../../rewards/reward.js";
import type {Trajectory} from "../rollout/rollouts.js";
import {type Packable, pack, unpack} from "../run/segments.js";

export interface PendingEpisode {
    episode: number;
    trajectory: Trajectory;
    /** Undefined where the reward was not there yet, or had failed. */
    score: ScoredResponse | undefined;
}

/** Leaves out the prompts, which the run has in any case. */
export function packEpisodes(episodes: readonly PendingEpisode[]): Uint8Array {
    const arrays: Packable[] = [];
    const json = JSON.stringify(episodes, (key, value) => {
        if (key === "prompt") return undefined;
        if (!ArrayBuffer.isView(value)) return value;
        return {array: arrays.push(value as Packable) - 1};
    });
    return pack({...Object.fromEntries(arrays.entries()), json: Uint8Array.from(Buffer.from(json))});
}

/** @param promptOf prompt of an episode */
export function unpackEpisodes(bytes: Uint8Array, promptOf: (episode: number) => Prompt): PendingEpisode[] {
    const {json, ...arrays} = unpack<string>(bytes);
    const episodes = JSON.parse(Buffer.from(json as Uint8Array).toString(), (_, value) =>
        typeof value?.array === "number" ? arrays[value.array] : value
    ) as PendingEpisode[];
    for (const {episode, trajectory} of episodes) trajectory.prompt = promptOf(episode);
    return episodes;
}
