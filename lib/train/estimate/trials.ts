/** Times responses by trials that grow until the time for them is used. */
import type {Prompt} from "../../prompts/prompts.js";

export interface Measured {
    /** Of one response. */
    seconds: number;
    /** False where responses were too slow to be generated to their end: they count as long as allowed. */
    whole: boolean;
}

const warmUpTokens = 2;
/** Tokens of the first trial, and how many times as many the next one has: far enough apart for their difference to tell. */
const firstTrial = 8;
const growth = 4;

/** Share of the time that the first trial may take, as far as the warm-up tells. */
const firstShare = 1 / 4;

/**
 * `run` answers prompts with so many tokens at most, and tells whether every response ended before that. The trials take about `limit`
 * seconds; what prompts take to be read counts once, and not for every token.
 */
export async function perResponse(
    asked: readonly Prompt[],
    {maxTokens, limit}: {maxTokens: number; limit: number},
    run: (asked: readonly Prompt[], maxTokens: number) => Promise<boolean>
): Promise<Measured> {
    const began = performance.now();
    const one = await timed(() => run(asked.slice(0, 1), Math.min(warmUpTokens, maxTokens)));
    // Fewer prompts side by side are no faster each, and the first trial leaves time for one that is long enough to compare with.
    const some = asked.slice(0, Math.max(1, Math.floor(firstShare * (limit / one))));
    const affordable = Math.max(warmUpTokens, Math.floor((firstShare * limit * warmUpTokens) / (one * some.length)));
    let before = {tokens: 0, seconds: 0};
    for (let tokens = Math.min(firstTrial, maxTokens, affordable); ; ) {
        let ended = false;
        const seconds = await timed(async () => {
            ended = await run(some, tokens);
        });
        if (ended || tokens === maxTokens) return {seconds: seconds / some.length, whole: true};
        const left = limit - secondsSince(began);
        const next = Math.min(maxTokens, growth * tokens, Math.floor((left / seconds) * tokens));
        if (next < Math.min(2 * tokens, maxTokens)) {
            // Where other work on the machine made the shorter trial the slower one, the difference tells nothing.
            const since = before.seconds < seconds ? before : {tokens: 0, seconds: 0};
            const each = (seconds - since.seconds) / (tokens - since.tokens);
            return {seconds: (seconds + each * (maxTokens - tokens)) / some.length, whole: false};
        }
        before = {tokens, seconds};
        tokens = next;
    }
}

export async function timed(run: () => Promise<unknown>): Promise<number> {
    const start = performance.now();
    await run();
    return secondsSince(start);
}

export function secondsSince(start: number): number {
    return (performance.now() - start) / 1000;
}
