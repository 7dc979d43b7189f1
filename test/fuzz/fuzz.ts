/** The loop: change an input, run it, keep it if its outcome is new. */
import {setImmediate} from "node:timers/promises";
import {mutateAny, seededChoices} from "./mutate.js";
import {type FuzzTarget, readCorpus} from "./target.js";

export interface FuzzOptions {
    /** How long, or how many inputs: the same ones for the same seed. */
    seconds?: number;
    inputs?: number;
    seed: number;
    /** Called with each input before it runs, and with those whose outcome is new. */
    onInput?(input: Uint8Array): void;
    onNew?(input: Uint8Array): void;
}

export interface FuzzReport {
    runs: number;
    /** How often each outcome came, without its message. */
    outcomes: Record<string, number>;
    /** Different messages. */
    kinds: number;
    slowestMs: number;
}

/** The failure that ended a run, with the input that caused it. */
export class Finding extends Error {
    constructor(
        readonly input: Uint8Array,
        reason: string,
        options?: ErrorOptions
    ) {
        super(`${reason}; the input in base64: ${Buffer.from(input.subarray(0, 3000)).toString("base64")}`, options);
    }
}

const slowMs = 5000;

/** @throws Finding */
export async function fuzz(
    target: FuzzTarget,
    {seconds = Number.POSITIVE_INFINITY, inputs = Number.POSITIVE_INFINITY, seed, onInput, onNew}: FuzzOptions
): Promise<FuzzReport> {
    const random = seededChoices(seed);
    const pool = [...(await target.seeds()), ...(await readCorpus(target.name))];
    const accepted: Uint8Array[] = [];
    const known = new Set<string>();
    const report: FuzzReport = {runs: 0, outcomes: {}, kinds: 0, slowestMs: 0};
    const run = async (input: Uint8Array): Promise<boolean> => {
        onInput?.(input);
        const start = performance.now();
        const outcome = await target.run(input).catch((error) => {
            throw new Finding(input, `${target.name}, seed ${seed}: ${error}`, {cause: error});
        });
        const ms = performance.now() - start;
        if (ms > slowMs) throw new Finding(input, `${target.name}, seed ${seed}: a run took ${Math.round(ms)} ms`);
        report.slowestMs = Math.max(report.slowestMs, ms);
        report.runs++;
        const head = outcome.split(":")[0] as string;
        report.outcomes[head] = (report.outcomes[head] ?? 0) + 1;
        if (outcome === head && accepted.length < 1000) accepted.push(input);
        // Names and numbers make no new kind.
        const kind = outcome
            .replace(/"[^"]*"?/g, '""')
            .replace(/\d+/g, "0")
            .slice(0, 160);
        const isNew = !known.has(kind);
        known.add(kind);
        return isNew;
    };
    for (const input of pool) await run(input);
    for (const end = performance.now() + seconds * 1000; performance.now() < end && report.runs < inputs; ) {
        // Accepted inputs lie near to more that are accepted; of refusals there are many more kinds.
        let input = random.pick(accepted.length > 0 && random.integer(0, 1) === 0 ? accepted : pool);
        for (let i = random.integer(1, 4); i > 0; i--) {
            input = random.integer(0, 3) > 0 && target.mutate ? target.mutate(input, random) : mutateAny(input, random);
        }
        // Timers and messages get their turn: promises alone would leave them none.
        if (report.runs % 256 === 0) await setImmediate();
        if (!(await run(input))) continue;
        pool.push(input);
        onNew?.(input);
    }
    report.kinds = known.size;
    return report;
}
