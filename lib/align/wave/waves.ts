import {agentDisposed} from "../../errors.js";
import {
    type Backend,
    decodeError,
    type HeldRow,
    type PlacedToken,
    type WaveOutcome,
    type WaveToken
} from "../backend/backend.js";
import type {Counters} from "../decide/stats.js";
import {type Pending, takeLogits} from "../guides/followed-texts.js";
import type {Beside} from "../guides/further-sequences.js";
import type {Threads} from "../node-llama-cpp/threads.js";
import {judgingOf, type Runs, type RunToken} from "../predict/runs.js";
import {askPanel} from "../steer/ask-panel.js";
import type {Opinions} from "../steer/panel.js";
import {planWave, type Share, type Undecided} from "./plan.js";
import type {WaveScheduler} from "./scheduler.js";

/** A decided token whose forward pass has been run: its cell is in the cache, and its logits are held. */
export interface AheadToken extends PlacedToken {
    readonly row: HeldRow;
}

export interface WavesOptions {
    backend: Backend;
    scheduler: WaveScheduler;
    counters: Counters;
    threads: Threads;
    runs: Runs;
    /** What is decoded in the same batches for guides. */
    beside: Pick<Beside, "begin">;
}

export interface Settled {
    /** The decided tokens that were decoded. */
    readonly ahead: readonly AheadToken[];
    /** Decisions that could not be made, because their judge threw or their agent is disposed. Nothing of them stays in the cache. */
    readonly failures: ReadonlyMap<Undecided, unknown>;
}

interface Wave {
    readonly shares: readonly Share[];
    readonly tokens: readonly WaveToken[];
    readonly outcome: WaveOutcome;
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
     * `certain` are tokens that need no decision; the first wave decodes as many of them along as leave room for a candidate. If a decode fails, the cache is as if no
     * decision had begun, and the error is thrown.
     */
    async settle(undecided: readonly Undecided[], certain: readonly PlacedToken[]): Promise<Settled> {
        const {backend, scheduler, counters, threads, runs, beside} = this.#options;
        const failures = new Map<Undecided, unknown>();
        const ahead: AheadToken[] = [];
        let along = certain.slice(0, backend.waveSize - 1);
        let narrow = false;
        let pending: Pending | undefined;
        try {
            for (const one of undecided) ahead.push(...(await this.#followRun(one, failures)));
            const open = new Set(undecided.filter((one) => one.decision.chosen === undefined && !failures.has(one)));
            while (open.size > 0) {
                const wave = await threads.run(async (count) => {
                    // An agent may be disposed at any time before it is asked.
                    for (const one of open)
                        if (one.judge?.some(({disposed}) => disposed)) failures.set(one, agentDisposed());
                    for (const one of failures.keys()) open.delete(one);
                    if (open.size === 0) return undefined;
                    pending ??= beside.begin(backend.waveSize - along.length - open.size);
                    const others = [...along, ...(pending?.tokens ?? [])];
                    return await this.#decode([...open], others, narrow, count);
                });
                if (wave === undefined) break;
                const {shares, tokens, outcome} = wave;
                if (!outcome.fits) {
                    if (narrow) throw decodeError(1);
                    narrow = true;
                    continue;
                }
                scheduler.observeWave(tokens.length, outcome.decodeMs + outcome.kernelMs);
                const before = along.length + (pending?.tokens.length ?? 0);
                counters.countWave([...along, ...tokens.slice(before)], outcome);
                ahead.push(...along.map((token, i) => ({...token, row: backend.hold(i, token)})));
                this.#finish(pending, along.length);
                pending = undefined;
                const indexes = indexesOf(shares, before);
                await this.#enterVerdicts(wave, indexes, failures);
                ahead.push(...this.#keepChosen(shares, indexes));
                this.#keepRuns(shares, before, outcome);
                for (const {undecided} of shares) {
                    if (failures.has(undecided)) open.delete(undecided);
                    if (undecided.decision.chosen === undefined) continue;
                    open.delete(undecided);
                    scheduler.observeDecision(undecided.decision);
                }
                along = [];
            }
            return {ahead, failures};
        } catch (error) {
            for (const {row} of ahead) row.free();
            pending?.fail(error);
            backend.release();
            for (const {sequence, position} of [...undecided, ...certain]) {
                runs.drop(sequence);
                backend.remove(sequence, position);
            }
            throw error;
        }
    }

    async #decode(
        open: readonly Undecided[],
        along: readonly PlacedToken[],
        narrow: boolean,
        threads: number
    ): Promise<Wave> {
        const shares = planWave(open, along.length, this.#options, narrow);
        // Tokens in the sequences themselves come first, so that the cells given up stand last and are freed.
        const tokens = [
            ...along,
            ...shares.map(({tokens: [first]}) => first as PlacedToken),
            ...shares.flatMap(({run}) => run),
            ...shares.flatMap((share) => share.tokens.slice(1))
        ];
        return {shares, tokens, outcome: await this.#options.backend.wave(tokens, threads)};
    }

    /** Gives guides the logits of their tokens, which stand from `first` on in the last wave. */
    #finish(pending: Pending | undefined, first: number): void {
        if (pending === undefined) return;
        const {tokens} = pending;
        const {backend} = this.#options;
        const rows = tokens.map((token, i) => (token.output ? backend.hold(first + i, token) : undefined));
        pending.finish(takeLogits(tokens, rows));
    }

    async #enterVerdicts(
        {shares, tokens, outcome}: Wave,
        indexes: readonly number[][],
        failures: Map<Undecided, unknown>
    ): Promise<void> {
        const {backend} = this.#options;
        const count = backend.judgesBatches ? tokens.length : 1;
        const wantsStates = shares.some(
            ({
                undecided: {
                    panel: {own}
                }
            }) => own !== undefined && own.judge.needsStates !== false
        );
        const states = wantsStates ? backend.states(count) : undefined;
        for (const [i, {undecided, ranks}] of shares.entries()) {
            const own = (indexes[i] as number[]).slice(0, ranks.length);
            try {
                enterAgents(undecided, ranks, own, outcome);
                if (states !== undefined)
                    await askPanel(undecided, ranks, states.length / count, (at) =>
                        statesAt(backend.judgesBatches ? at.map((n) => own[n] as number) : [0], states, count)
                    );
                const {panel, decision, opinions, compares} = undecided;
                const verdicts = ranks.map((rank) => panel.verdict(opinions[rank] as Opinions, compares));
                decision.enter(verdicts as number[]);
            } catch (error) {
                failures.set(undecided, error);
            }
        }
    }

    /** Lets the next token of the sequence's run be judged, if it is the candidate to be tried first. Gives it if it is chosen; otherwise the run ends. */
    async #followRun(undecided: Undecided, failures: Map<Undecided, unknown>): Promise<RunToken[]> {
        const {runs, scheduler} = this.#options;
        const {sequence, position, decision} = undecided;
        const next = runs.next(sequence);
        if (next === undefined) return [];
        const [rank = 0] = decision.upcoming(1);
        const isTried = next.position === position && next.token === decision.tokenAt(rank) && !decision.needsAll;
        if (isTried && isJudgedBy(next, undecided)) {
            try {
                const {panel, opinions, compares} = undecided;
                const {said, state} = next;
                enterAgents(undecided, [rank], [0], said);
                if (state !== undefined) await askPanel(undecided, [rank], state.length, () => state);
                decision.enter([panel.verdict(opinions[rank] as Opinions, compares) as number]);
            } catch (error) {
                failures.set(undecided, error);
            }
        }
        if (decision.chosen !== undefined) scheduler.observeDecision(decision);
        if (decision.chosen !== undefined && decision.token === next.token) return [runs.take(sequence)];
        runs.drop(sequence);
        return [];
    }

    /** Keeps the runs behind first candidates that were chosen. The others have gone with the candidates. */
    #keepRuns(shares: readonly Share[], before: number, outcome: WaveOutcome): void {
        let index = before + shares.length;
        for (const {undecided, tokens, run} of shares) {
            const {decision} = undecided;
            const isKept = decision.chosen !== undefined && decision.token === tokens[0]?.token;
            if (isKept && run.length > 0) this.#options.runs.keep(run, index, outcome, judgingOf(undecided.panel));
            index += run.length;
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

/** True if the run's token was judged by whom the decision asks. */
function isJudgedBy({judging}: RunToken, {judge = [], panel}: Undecided): boolean {
    const {own, judge: agents = []} = judging;
    if (own !== judgingOf(panel).own || agents.length !== judge.length) return false;
    return judge.every((agent, i) => agent === agents[i] && !agent.disposed);
}

/** Where each share's tokens stand in the batch, behind `before` others: first the first of each, then the runs, then the rest. */
function indexesOf(shares: readonly Share[], before: number): number[][] {
    let next = before + shares.reduce((sum, {run}) => sum + 1 + run.length, 0);
    return shares.map(({tokens}, i) => tokens.map((_, at) => (at === 0 ? before + i : next++)));
}

/** Notes what the agents say of the candidates of these ranks, which stand at `indexes` in the wave. */
function enterAgents(
    {judge, opinions}: Undecided,
    ranks: readonly number[],
    indexes: readonly number[],
    {agents, logits, probabilities}: Pick<WaveOutcome, "agents" | "logits" | "probabilities">
): void {
    for (const [at, rank] of ranks.entries())
        for (let agent = 0; agent < (judge?.length ?? 0); agent++) {
            const place = (indexes[at] as number) * agents + agent;
            const [logit, probability] = [logits[place] as number, probabilities[place] as number];
            // An agent that was disposed during the decode of the serial mode has judged nothing.
            if (Number.isNaN(probability)) throw agentDisposed();
            (opinions[rank] as Opinions)[agent] = {logit, probability, by: "agent"};
        }
}

/** The states of the wave's tokens at these indexes, out of `count`; a view where they stand together. */
function statesAt(indexes: readonly number[], states: Float32Array, count: number): Float32Array {
    const width = states.length / count;
    const [first = 0] = indexes;
    if (indexes.every((index, at) => index === first + at))
        return states.subarray(first * width, (first + indexes.length) * width);
    const own = new Float32Array(indexes.length * width);
    for (const [at, index] of indexes.entries())
        own.set(states.subarray(index * width, (index + 1) * width), at * width);
    return own;
}
