import type {Backend, WaveToken} from "./backend.js";
import type {Decision} from "./decision.js";

/** One decision's part of a wave. */
export interface Share {
    readonly decision: Decision;
    /** Ranks judged in this wave, in evaluation order. */
    readonly ranks: readonly number[];
    readonly tokens: readonly WaveToken[];
    /** Index in `tokens` of the first judged one. */
    readonly judgedFrom: number;
}

/**
 * Candidates tried together in a decision's first, second, … wave. The first goes alone, since it is mostly accepted;
 * a rejection makes the next ones likelier to be rejected too, so the waves grow.
 */
const waveSizes = [1, 4, 12];

/**
 * What the next wave holds for each open decision. Each gets one place in its own sequence; lanes are dealt in turn.
 * `riders` places of the batch are taken. `narrow`: one candidate per decision, for a cache that has no room for more.
 */
export function planWave(open: readonly Decision[], riders: number, backend: Backend, narrow: boolean): Share[] {
    const places = Math.max(1, backend.batchSize - riders);
    const included = open.slice(0, backend.judgesBatches ? places : 1);
    const wanted = included.map((decision) => (narrow || !backend.judgesBatches ? 1 : wantedBy(decision)));
    const counts = included.map(() => 1);
    let spare = Math.min(backend.lanes, places - included.length);
    while (spare > 0 && counts.some((count, i) => count < (wanted[i] as number))) {
        for (let i = 0; i < counts.length && spare > 0; i++) {
            if ((counts[i] as number) >= (wanted[i] as number)) continue;
            (counts[i] as number)++;
            spare--;
        }
    }
    let lane = 0;
    return included.map((decision, i) => {
        const {sequence, position, agent, candidates, fallbackRank} = decision;
        const ranks = decision.upcoming(counts[i] as number);
        const place = {sequence, position};
        const tokens: WaveToken[] = ranks.map((rank, at) => ({
            ...place,
            agent,
            token: tokenOf(candidates, rank),
            ...(at > 0 && {lane: lane++})
        }));
        // In a decision's last wave the fallback rides along, so that rejecting everything costs no further decode.
        if (ranks.length === decision.remaining && spare > 0 && !narrow && !ranks.includes(fallbackRank)) {
            tokens.push({...place, token: tokenOf(candidates, fallbackRank), lane: lane++});
            spare--;
        }
        // Lanes are forked before the batch is decoded, so they would miss a predecessor decoded in it.
        const {predecessor} = decision;
        const leads =
            decision.waves === 0 && predecessor !== undefined && tokens.every((token) => token.lane === undefined);
        if (leads) tokens.unshift(predecessor);
        return {decision, ranks, tokens, judgedFrom: leads ? 1 : 0};
    });
}

function wantedBy(decision: Decision): number {
    const size = decision.needsAll ? decision.remaining : (waveSizes[decision.waves] ?? decision.remaining);
    return Math.min(size, decision.remaining);
}

function tokenOf(candidates: Decision["candidates"], rank: number): number {
    return (candidates[rank] as {token: number}).token;
}
