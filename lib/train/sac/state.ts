/** What a run of SAC is given, and what its checkpoints hold. */
import type {Job} from "../run/job.js";

export interface SacState {
    phase: "sac";
    /** Episodes that are done, dropped ones included. */
    episodes: number;
    dropped: number;
    updates: number;
    /** Transitions in each segment of the checkpoint. */
    segments: number[];
}

/** The checkpoint's file of the actor that rolls out this one of the next batches. */
export function actorFile(batch: number): string {
    return batch === 0 ? "actor" : `actor-${batch}`;
}

/** Which prompt an episode answers, and which ones, that none answers, the agent is measured on every so often; by index. */
export interface SacJob extends Job {
    promptOf: (episode: number) => number;
    heldOut: readonly number[];
}
