import type {Backend, BatchToken, DecodeOutcome, PlacedToken, WaveToken} from "../backend/backend.js";
import type {Threads} from "../node-llama-cpp/threads.js";
import type {WaveScheduler} from "../wave/scheduler.js";
import type {Predictions} from "./predictions.js";
import {type Judging, type Runs, runFrom} from "./runs.js";

/** A token of a batch, and what its sequence's predictor expects behind it. */
export interface Expecting extends PlacedToken {
    readonly predictions: Predictions;
    readonly judging: Judging;
}

interface Parts {
    backend: Backend;
    scheduler: WaveScheduler;
    runs: Runs;
    threads: Threads;
}

/**
 * Decodes a batch of node-llama-cpp's with what is expected behind its tokens. Undefined if nothing is worth decoding along, or there
 * is no room for it; then nothing has changed.
 */
export async function decodeExpected(
    batch: readonly BatchToken[],
    expecting: readonly Expecting[],
    {backend, scheduler, runs, threads}: Parts
): Promise<(DecodeOutcome & {kernelMs: number}) | undefined> {
    // Tokens of a prompt have no hidden states.
    if (batch.some(({output}) => !output) || batch.length >= backend.waveSize) return undefined;
    const tokens: WaveToken[] = batch.map(({sequence, position, token}) => ({sequence, position, token}));
    const kept: {run: WaveToken[]; index: number; judging: Judging}[] = [];
    for (const {sequence, position, predictions, judging} of expecting) {
        if (judging.judge?.some(({disposed}) => disposed)) continue;
        const expected = predictions.from(position + 1).slice(0, backend.waveSize - tokens.length);
        const chances = predictions.chances(expected.length);
        const {length, cost} = scheduler.planRun(chances, {tokens: tokens.length, sequences: batch.length});
        const wanted = expected.slice(0, length);
        if (length === 0 || !predictions.account.takes(position + 1, wanted, cost)) continue;
        const run = runFrom(wanted, {sequence, position: position + 1}, judging.judge);
        kept.push({run, index: tokens.length, judging});
        tokens.push(...run);
    }
    if (kept.length === 0) return undefined;
    const outcome = await backend.wave(tokens, threads.granted);
    if (!outcome.fits) return undefined;
    const {decodeMs, kernelMs} = outcome;
    scheduler.observeWave(tokens.length, decodeMs + kernelMs);
    const rows = batch.map((token, i) => backend.hold(i, token));
    for (const {run, index, judging} of kept) runs.keep(run, index, outcome, judging);
    return {rows, decodeMs, kernelMs};
}
