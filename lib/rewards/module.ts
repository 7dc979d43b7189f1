import {pathToFileURL} from "node:url";
import {MaraError} from "../errors.js";
import type {Resources} from "./resources.js";
import {type Reward, type RewardFunction, rewardOf} from "./reward.js";
import {withinTime} from "./time-limit.js";

/**
 * A reward of your own from an ES or CommonJS module: the function that it exports as default or as `reward`.
 * @throws MaraError REWARD_LOAD
 */
export async function moduleReward(name: string, file: string, resources: Resources): Promise<Reward> {
    const path = resources.path(file);
    let exports: {default?: unknown; reward?: unknown};
    try {
        const {moduleTimeoutMs} = resources;
        exports = await withinTime(
            import(pathToFileURL(path).href),
            moduleTimeoutMs,
            () => new Error(`its import took more than ${moduleTimeoutMs} ms`)
        );
    } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new MaraError("REWARD_LOAD", `Could not load the reward module ${path}: ${reason}`, {cause: error});
    }
    // The default export of a CommonJS module is all of its exports.
    const reward = [exports.default, exports.reward].find((value) => typeof value === "function");
    if (reward === undefined)
        throw new MaraError(
            "REWARD_LOAD",
            `${path} exports no reward. Export a function (prompt, response) => number as default.`
        );
    return rewardOf(name, reward as RewardFunction);
}
