import {invalidArgument, MaraError} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";
import type {Reward, ScoredResponse} from "./reward.js";
import {requireTimeout, withinTime} from "./time-limit.js";

export interface GuardOptions {
    /** Milliseconds that one call may take. Default 60 000. A reward that blocks the event loop cannot be interrupted. */
    timeoutMs?: number;
    /** Calls after the first that failed. Default 2. */
    retries?: number;
}

/**
 * Scores a response, again after a failure, and never waits for longer than the time limits allow.
 * @throws MaraError REWARD_FAILED with the last failure, INVALID_ARGUMENT
 */
export async function scoreGuarded(
    reward: Reward,
    prompt: Prompt,
    response: string,
    {timeoutMs = 60_000, retries = 2}: GuardOptions = {}
): Promise<ScoredResponse> {
    requireTimeout("timeoutMs", timeoutMs);
    if (!Number.isSafeInteger(retries) || retries < 0)
        throw invalidArgument("retries", "a whole number from 0", retries);
    for (let left = retries; ; left--) {
        try {
            return await withinTime(
                reward.score(prompt, response),
                timeoutMs,
                () => new MaraError("REWARD_FAILED", `The reward ${reward.name} took more than ${timeoutMs} ms`)
            );
        } catch (error) {
            if (left > 0) continue;
            const calls = retries === 0 ? "" : ` (the last of ${retries + 1} calls)`;
            throw new MaraError("REWARD_FAILED", `${(error as Error).message}${calls}`, {cause: error});
        }
    }
}
