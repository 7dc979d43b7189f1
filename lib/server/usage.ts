/** What answers cost, as responses tell it. */
import type {Answered} from "./answer.js";

/** A prompt counts once, however many answers it has: `prompts` has one answer of each. */
export function usageOf(answered: readonly Answered[], prompts: readonly Answered[] = answered.slice(0, 1)) {
    const sum = (list: readonly Answered[], count: (one: Answered) => number) =>
        list.reduce((total, one) => total + count(one), 0);
    const prompt = sum(prompts, ({promptTokens}) => promptTokens);
    const completion = sum(answered, ({completionTokens}) => completionTokens);
    return {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt + completion,
        prompt_tokens_details: {cached_tokens: sum(prompts, ({cachedTokens}) => cachedTokens)}
    };
}

/** For responses: no digits that say nothing. */
export function rounded<Stats extends {seconds: number}>(stats: Stats): Stats {
    return {...stats, seconds: Math.round(stats.seconds * 1e6) / 1e6};
}
