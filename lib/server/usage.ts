/** What answers cost, as responses tell it. */
import type {Answered, AnswerStats} from "./answer.js";

/** The prompt counts once, however many answers it has. */
export function usageOf(answered: readonly Answered[]) {
    const completion = answered.reduce((sum, {completionTokens}) => sum + completionTokens, 0);
    const [first] = answered;
    const prompt = first?.promptTokens ?? 0;
    return {
        prompt_tokens: prompt,
        completion_tokens: completion,
        total_tokens: prompt + completion,
        prompt_tokens_details: {cached_tokens: first?.cachedTokens ?? 0}
    };
}

/** For responses: no digits that say nothing. */
export function rounded(stats: AnswerStats): AnswerStats {
    return {...stats, seconds: Math.round(stats.seconds * 1e6) / 1e6};
}
