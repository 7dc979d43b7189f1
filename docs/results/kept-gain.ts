/** The share of an agent's gain that a changed form of it keeps. */
import {mean} from "simple-statistics";
import type {Side} from "../../lib/evaluate/sides.js";
import {bootstrapInterval, type Interval} from "../../lib/statistics/intervals.js";

/** Mean of a reward over some prompts. */
export const meanOver = ({scores}: Side, reward: number, prompts: ArrayLike<number>) =>
    mean(Array.from(prompts, (prompt) => scores[reward]?.[prompt] ?? 0));

/** The gain of `changed` over that of `alone`, both over `raw`, with its interval over prompts. */
export function keptGain(
    {raw, alone, changed}: {raw: Side; alone: Side; changed: Side},
    reward: number
): {value: number; interval95: Interval | null} {
    const kept = (prompts: ArrayLike<number>) =>
        (meanOver(changed, reward, prompts) - meanOver(raw, reward, prompts)) /
        (meanOver(alone, reward, prompts) - meanOver(raw, reward, prompts));
    const count = raw.answers.length;
    return {value: kept([...Array(count).keys()]), interval95: bootstrapInterval(count, kept)};
}
