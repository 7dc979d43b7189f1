import {type Backend, decodeError, type HeldRow, type PlacedToken, type WaveOutcome} from "../backend/backend.js";
import type {Counters} from "../decide/stats.js";
import {planWave, type Share, type Undecided} from "./plan.js";
import type {WaveScheduler} from "./scheduler.js";

/** A decided token whose forward pass has been run: its cell is in the cache, and its logits are held. */
export interface AheadToken extends PlacedToken {
    readonly row: HeldRow;
}

/** Judges candidates whose decision names no native judge. Gives accept probabilities of `ranks` from their states, [ranks][width]. */
export type JudgeStates = (
    undecided: Undecided,
    ranks: readonly number[],
    states: Float32Array
) => Promise<ArrayLike<number>>;

export interface WavesOptions {
    backend: Backend;
    scheduler: WaveScheduler;
    counters: Counters;
    /** Runs one decode with the threads that node-llama-cpp grants it. */
    withThreads<T>(run: (threads: number) => Promise<T>): Promise<T>;
    judgeStates: JudgeStates;
}

/**
 * Settles decisions together, wave by wave. Each wave is one batch of candidates, and only undecided rows take part in the
 * next. A chosen token's cell becomes its sequence's, and its row is held, so that nothing settled is decoded again.
 */
export class Waves {
    readonly #options: WavesOptions;

    constructor(options: WavesOptions) {
        this.#options = options;
    }

    /**
     * Gives the decided tokens that were decoded. `certain` are tokens that need no decision; the first wave decodes them along.
     * On failure the cache is as if no decision had begun, and the error is thrown.
     */
    async settle(undecided: readonly Undecided[], certain: readonly PlacedToken[]): Promise<AheadToken[]> {
        const {backend, scheduler, counters, withThreads} = this.#options;
        const open = new Set(undecided);
        const ahead: AheadToken[] = [];
        let along = certain;
        let narrow = false;
        try {
            while (open.size > 0) {
                const shares = planWave([...open], along.length, this.#options, narrow);
                // Tokens in the sequences themselves come first, so that the cells given up stand last and are freed.
                const tokens = [
                    ...along,
                    ...shares.map(({tokens: [first]}) => first as PlacedToken),
                    ...shares.flatMap((share) => share.tokens.slice(1))
                ];
                const outcome = await withThreads((threads) => backend.wave(tokens, threads));
                if (!outcome.fits) {
                    if (narrow) throw decodeError(1);
                    narrow = true;
                    continue;
                }
                scheduler.observeWave(tokens.length, outcome.decodeMs + outcome.kernelMs);
                counters.countDecode(outcome, new Set(tokens.map(({sequence}) => sequence)), true);
                ahead.push(...along.map((token, i) => ({...token, row: backend.hold(i, token)})));
                const indexes = indexesOf(shares, along.length);
                await this.#enterVerdicts(shares, indexes, outcome);
                ahead.push(...this.#keepChosen(shares, indexes));
                for (const {undecided} of shares) {
                    if (undecided.decision.chosen === undefined) continue;
                    open.delete(undecided);
                    scheduler.observeDecision(undecided.decision);
                }
                along = [];
            }
            return ahead;
        } catch (error) {
            for (const {row} of ahead) row.free();
            backend.release();
            for (const {sequence, position} of [...undecided, ...certain]) backend.remove(sequence, position);
            throw error;
        }
    }

    async #enterVerdicts(shares: readonly Share[], indexes: readonly number[][], outcome: WaveOutcome): Promise<void> {
        const {backend, judgeStates} = this.#options;
        const ownJudges = shares.some(({undecided}) => undecided.judge === undefined);
        const states = ownJudges ? backend.states(outcome.probabilities.length) : undefined;
        const width = states && states.length / (backend.judgesBatches ? outcome.probabilities.length : 1);
        for (const [i, {undecided, ranks}] of shares.entries()) {
            const own = (indexes[i] as number[]).slice(0, ranks.length);
            if (undecided.judge !== undefined || states === undefined || width === undefined) {
                undecided.decision.enter(own.map((index) => outcome.probabilities[index] as number));
                continue;
            }
            const judged = new Float32Array(ranks.length * width);
            for (const [at, index] of own.entries()) {
                const from = backend.judgesBatches ? index * width : 0;
                judged.set(states.subarray(from, from + width), at * width);
            }
            undecided.decision.enter(await judgeStates(undecided, ranks, judged));
        }
    }

    /** Makes the chosen tokens' cells their sequences' own, and gives up the others. */
    #keepChosen(shares: readonly Share[], indexes: readonly number[][]): AheadToken[] {
        const {backend} = this.#options;
        const ahead: AheadToken[] = [];
        const without: Share[] = [];
        for (const [i, share] of shares.entries()) {
            const {sequence, position, decision} = share.undecided;
            const chosen = decision.chosen === undefined ? undefined : decision.token;
            const at = share.tokens.findIndex(({token}) => token === chosen);
            if (at < 0) {
                without.push(share);
                continue;
            }
            const token = {sequence, position, token: chosen as number};
            const row = backend.hold(indexes[i]?.[at] as number, token);
            const {lane} = share.tokens[at] as Share["tokens"][number];
            if (lane !== undefined) backend.adopt(sequence, position, lane);
            ahead.push({...token, row});
        }
        backend.release();
        for (const {undecided} of without.reverse()) backend.remove(undecided.sequence, undecided.position);
        return ahead;
    }
}

/** Where each share's tokens stand in the batch, behind `before` others: first the first of each, then the rest. */
function indexesOf(shares: readonly Share[], before: number): number[][] {
    let next = before + shares.length;
    return shares.map(({tokens}, i) => tokens.map((_, at) => (at === 0 ? before + i : next++)));
}
