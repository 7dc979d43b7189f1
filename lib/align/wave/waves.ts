import {type Backend, decodeError, type WaveOutcome, type WaveToken} from "../backend/backend.js";
import type {Decision, Rider} from "../decide/decision.js";
import type {TopLogits} from "../decide/top-logits.js";
import {planWave, type Share} from "./plan.js";
import type {WaveScheduler} from "./scheduler.js";

/** A decided token whose cell is in the cache and whose logits are at `row` of the last decode. */
export interface Resident extends Rider {
    readonly row: number;
    /** Its cell was decoded in a lane and stands behind cells that are free by now. */
    readonly misplaced?: boolean;
    /** The largest logits of the row, where the backend had them at hand. */
    readonly best?: TopLogits | undefined;
}

export interface RoundHost {
    readonly backend: Backend;
    readonly scheduler: WaveScheduler;
    /** Runs one decode with the threads that node-llama-cpp grants it. */
    withThreads<T>(run: (threads: number) => Promise<T>): Promise<T>;
    /** Told of every wave, with the sequences that took part. */
    onWave(outcome: WaveOutcome, sequences: ReadonlySet<number>): void;
}

/**
 * Settles several decisions together, wave by wave. Sequences that are settled ride along in every later wave, so that in
 * the end the logits of each are resident (DESIGN §2, invariant 3); `riders` are settled from the start. On failure the cache
 * is as if no decision had begun, and the error is thrown.
 */
export async function runRound(
    host: RoundHost,
    decisions: readonly Decision[],
    riders: readonly Rider[]
): Promise<Resident[]> {
    const {backend, scheduler} = host;
    const settled: Rider[] = [...riders];
    const open = new Set(decisions);
    let residents: Resident[] = [];
    let narrow = false;
    const everyone = [...decisions, ...riders];
    try {
        while (open.size > 0) {
            const shares = planWave([...open], settled.length, host, narrow);
            const tokens: WaveToken[] = [...settled, ...shares.flatMap((share) => share.tokens)];
            // What stands at a rider's position is its own cell from the wave before: it is decoded anew.
            for (const rider of settled) backend.takeBack(rider.sequence, rider.position);
            for (const {judgedFrom, tokens} of shares)
                for (const {sequence, position} of tokens.slice(0, judgedFrom)) backend.takeBack(sequence, position);
            const outcome = await host.withThreads((threads) => backend.wave(tokens, threads));
            if (!outcome.fits) {
                if (narrow) throw decodeError(1);
                narrow = true;
                continue;
            }
            scheduler.observeWave(tokens.length, outcome.decodeMs + outcome.kernelMs);
            host.onWave(outcome, new Set(tokens.map(({sequence}) => sequence)));
            residents = settled.map((rider, row) => ({...rider, row, best: outcome.tops?.[row]}));
            let row = settled.length;
            for (const share of shares) {
                const resident = enterVerdicts(backend, share, outcome, row);
                row += share.tokens.length;
                if (resident) residents.push(resident);
                if (share.decision.chosen === undefined) continue;
                open.delete(share.decision);
                scheduler.observeDecision(share.decision);
                settled.push(chosenOf(share.decision));
            }
            backend.release();
        }
        return residents;
    } catch (error) {
        for (const {sequence, position} of everyone) backend.takeBack(sequence, position);
        backend.release();
        await restore(
            backend,
            decisions.flatMap(({predecessor}) => predecessor ?? [])
        );
        throw error;
    }
}

/** Enters a share's verdicts; the chosen token's cell, if this wave decoded it, becomes the sequence's own. */
function enterVerdicts(
    backend: Backend,
    {decision, tokens, ranks, judgedFrom}: Share,
    {probabilities, tops}: WaveOutcome,
    firstRow: number
): Resident | undefined {
    decision.enter(ranks.map((_, i) => probabilities[firstRow + judgedFrom + i] as number));
    const {sequence, position, chosen} = decision;
    const isChosen = (token: WaveToken) => token.position === position && token.token === chosenOf(decision).token;
    const index = chosen === undefined ? -1 : tokens.findIndex(isChosen);
    const lane = tokens[index]?.lane;
    if (index < 0) backend.takeBack(sequence, position);
    else if (lane !== undefined) backend.adopt(sequence, position, lane);
    if (index < 0) return undefined;
    const row = firstRow + index;
    return {...chosenOf(decision), row, misplaced: lane !== undefined, best: tops?.[row]};
}

/** Decodes tokens that were taken back to be decoded anew, after the decode that was to do so has failed. */
export async function restore(backend: Backend, riders: readonly Rider[]): Promise<void> {
    if (riders.length === 0) return;
    for (const {sequence, position} of riders) backend.takeBack(sequence, position);
    // When this fails too, llama.cpp is beyond repair; the first error tells more.
    await backend.decode(riders.map((rider) => ({...rider, output: true}))).catch(() => {});
}

function chosenOf({sequence, position, candidates, chosen, top}: Decision): Rider {
    const {token} = candidates[chosen as number] as {token: number};
    return {sequence, position, token, top};
}
