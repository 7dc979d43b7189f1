import type {NativeJudge} from "../../native.js";
import type {Backend, PlacedToken, WaveToken} from "../backend/backend.js";
import type {Decision} from "../decide/decision.js";
import type {Predictions} from "../predict/predictions.js";
import {runFrom} from "../predict/runs.js";
import type {Deliberation} from "../steer/ask-panel.js";
import type {PlannedRun, WaveScheduler} from "./scheduler.js";

/** A decision to be settled, where its token goes, and who judges. */
export interface Undecided extends Deliberation {
    readonly sequence: number;
    readonly decision: Decision;
    /** The agents of the panel, which judge in the decode thread; undefined if there are none. */
    readonly judge: NativeJudge | undefined;
    /** What the sequence's token predictor expects. Undefined without one. */
    readonly predictions: Predictions | undefined;
}

/** One decision's part of a wave. */
export interface Share {
    readonly undecided: Undecided;
    /** Ranks judged in this wave, in evaluation order. */
    readonly ranks: readonly number[];
    /** The candidates of `ranks`, and the fallback where it is decoded along. The first stands in the sequence itself, the others in lanes. */
    readonly tokens: readonly WaveToken[];
    /** Predicted tokens that are decoded along behind the first. */
    readonly run: readonly WaveToken[];
}

/**
 * Plans the next wave for every open decision. Each gets one place in its own sequence; the scheduler deals the lanes.
 * `taken` places of the batch go to other tokens. `narrow`: one candidate per decision, for a cache that has no room for more.
 */
export function planWave(
    open: readonly Undecided[],
    taken: number,
    {backend, scheduler}: {backend: Backend; scheduler: WaveScheduler},
    narrow: boolean
): Share[] {
    const places = Math.max(1, backend.waveSize - taken);
    const included = open.slice(0, backend.judgesBatches ? places : 1);
    const lanes = narrow ? 0 : Math.min(backend.lanes, places - included.length);
    const counts = scheduler.plan(
        included.map(({decision}) => decision),
        {taken, places, lanes}
    );
    let spare = lanes - counts.reduce((sum, count) => sum + count - 1, 0);
    let lane = 0;
    const shares = included.map((undecided, i) => {
        const {sequence, position, judge, decision} = undecided;
        const ranks = decision.upcoming(counts[i] as number);
        const placed = (rank: number): PlacedToken => ({sequence, position, token: decision.tokenAt(rank)});
        const tokens: WaveToken[] = ranks.map((rank, at) => ({
            ...placed(rank),
            ...(judge && {judge}),
            ...(at > 0 && {lane: lane++})
        }));
        // A decision's last wave decodes the fallback along, so that rejecting everything costs no further decode.
        const {rankAlong} = decision;
        if (rankAlong !== undefined && ranks.length === decision.remaining && spare > 0 && !ranks.includes(rankAlong)) {
            tokens.push({...placed(rankAlong), lane: lane++});
            spare--;
        }
        return {undecided, ranks, tokens};
    });
    let planned = taken + shares.reduce((sum, {tokens}) => sum + tokens.length, 0);
    return shares.map((share) => {
        const free = narrow ? 0 : backend.waveSize - planned;
        const run = runBehind(share, free, (chances, decision) =>
            scheduler.planRun(chances, {tokens: planned, sequences: included.length}, decision)
        );
        planned += run.length;
        return {...share, run};
    });
}

/** At most `free` predicted tokens, if the candidate tried first is the one that was predicted for its position. */
function runBehind(
    {undecided, tokens: [first]}: Omit<Share, "run">,
    free: number,
    planRun: (chances: readonly number[], decision: Decision) => PlannedRun
): WaveToken[] {
    const {position, decision, predictions} = undecided;
    const [expected, ...later] = predictions?.from(position) ?? [];
    if (predictions === undefined || expected !== first?.token || decision.needsAll) return [];
    const possible = later.slice(0, Math.max(0, free));
    const {length, cost} = planRun(predictions.chances(possible.length, true), decision);
    const run = possible.slice(0, length);
    if (length === 0 || !predictions.account.takes(position + 1, run, cost)) return [];
    return runFrom(run, {...undecided, position: position + 1}, undecided.judge);
}
