import type {Backend, WaveToken} from "../backend/backend.js";
import type {Decision, Rider} from "../decide/decision.js";
import type {WaveScheduler} from "./scheduler.js";

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
 * What the next wave holds for each open decision. Each gets one place in its own sequence; the scheduler deals the lanes.
 * `riders` places of the batch are taken. `narrow`: one candidate per decision, for a cache that has no room for more.
 */
export function planWave(
    open: readonly Decision[],
    riders: number,
    {backend, scheduler}: {backend: Backend; scheduler: WaveScheduler},
    narrow: boolean
): Share[] {
    const room = Math.max(1, backend.batchSize - riders);
    const included = open.slice(0, backend.judgesBatches ? room : 1);
    const leaders = included.filter(({waves, predecessor}) => waves === 0 && predecessor !== undefined);
    const leaderFits = leaders.length <= room - included.length;
    const places = leaderFits ? room - leaders.length : room;
    const lanes = narrow ? 0 : Math.min(backend.lanes, places - included.length);
    const counts = scheduler.plan(included, {riders, places, lanes});
    let spare = lanes - counts.reduce((sum, count) => sum + count - 1, 0);
    let lane = 0;
    return included.map((decision, i) => {
        const {sequence, position, agent, candidates, fallbackRank, top, settings} = decision;
        const ranks = decision.upcoming(counts[i] as number);
        const place = {sequence, position, top};
        const tokens: WaveToken[] = ranks.map((rank, at) => ({
            ...place,
            agent,
            threshold: settings.threshold,
            token: tokenOf(candidates, rank),
            ...(at > 0 && {lane: lane++})
        }));
        // In a decision's last wave the fallback rides along, so that rejecting everything costs no further decode.
        if (ranks.length === decision.remaining && spare > 0 && !ranks.includes(fallbackRank)) {
            tokens.push({...place, token: tokenOf(candidates, fallbackRank), lane: lane++});
            spare--;
        }
        const leads = leaderFits && leaders.includes(decision);
        if (leads) tokens.unshift({...(decision.predecessor as Rider), shared: true});
        return {decision, ranks, tokens, judgedFrom: leads ? 1 : 0};
    });
}

function tokenOf(candidates: Decision["candidates"], rank: number): number {
    return (candidates[rank] as {token: number}).token;
}
