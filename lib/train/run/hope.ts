/** Ends runs whose reward does not work. */
import {MaraError} from "../../errors.js";

/** A reward that failed for this many responses, all of them from the beginning, does not work. */
const hopeless = 64;

/**
 * `done` responses were scored since the run began, and `failed` of them have no score; `failure` is why, for one of them.
 * @throws MaraError REWARD_FAILED if all of at least `least` failed
 */
export function requireHope(
    {done, failed, failure}: {done: number; failed: number; failure: string | undefined},
    least = hopeless
): void {
    if (failed < done || done < least || failure === undefined) return;
    throw new MaraError("REWARD_FAILED", `The reward failed for each of the first ${done} responses. ${failure}`);
}

/** Ends a run that has no more responses than these, if none of them has a score. @throws MaraError REWARD_FAILED */
export function requireScore(rows: readonly {failure?: string}[]): void {
    const failed = rows.filter(({failure}) => failure !== undefined);
    requireHope({done: rows.length, failed: failed.length, failure: failed.at(-1)?.failure}, 1);
}
