import {z} from "zod";
import {MaraError, reasonOf} from "../errors.js";
import type {Prompt} from "../prompts/prompts.js";
import {check, options as optionsOf} from "../validation/check.js";
import {checkScored} from "../validation/sources.js";
import {aReward, type GuardedReward, guarded, type Reward, type ScoredResponse} from "./reward.js";
import {timeoutMs, withinTime} from "./time-limit.js";

/** What `scoreGuarded` takes. */
export interface GuardOptions {
    /** Milliseconds that one call may take. Default 60 000. A reward that blocks the event loop cannot be interrupted. */
    timeoutMs?: number;
    /** Calls after the first that failed. Default 2. */
    retries?: number;
}

const wholeFromZero = z.int("a whole number from 0").min(0, "a whole number from 0");
const schema = optionsOf({timeoutMs: timeoutMs.default(60_000), retries: wholeFromZero.default(2)});

/**
 * Scores a response, again after a failure, and never waits for longer than the time limits allow.
 * @throws MaraError REWARD_FAILED with the last failure, INVALID_ARGUMENT
 */
export async function scoreGuarded(
    reward: Reward,
    prompt: Prompt | string,
    response: string,
    options: GuardOptions = {}
): Promise<ScoredResponse> {
    check(aReward, reward, "reward");
    const asked = checkScored(prompt, response);
    const {timeoutMs, retries} = check(schema, options, "options", "");
    if (guarded in reward) return await (reward as GuardedReward)[guarded](asked, response, {timeoutMs, retries});
    for (let left = retries; ; left--) {
        try {
            return await withinTime(
                reward.score(asked, response),
                timeoutMs,
                () => new MaraError("REWARD_FAILED", `The reward ${reward.name} took more than ${timeoutMs} ms`)
            );
        } catch (error) {
            if (left > 0) continue;
            const calls = retries === 0 ? "" : ` (the last of ${retries + 1} calls)`;
            throw new MaraError("REWARD_FAILED", `${reasonOf(error)}${calls}`, {cause: error});
        }
    }
}
