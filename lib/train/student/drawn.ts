/** Labels that cost no decode: an agent's verdicts on the tokens of responses that the model drew by itself. */
import type {MaraAgent} from "../../agent/agent.js";
import type {Sampled} from "../advantage/sampled.js";
import {gather} from "../rollout/rows.js";
import {type LabelStore, logit, type ResponseLabels} from "./labels.js";

export interface DrawnFrom {
    parts: AsyncIterable<Sampled>;
    agent: MaraAgent;
    /** Candidates below this probability relative to the top one are none where the agent is used. */
    minP: number;
    /** At which the tokens were drawn. */
    temperature: number;
    /** Every so many responses, one is learnt from. */
    stride: number;
}

/** Adds what the responses to all prompts but those held out teach. */
export async function addDrawn(
    store: LabelStore,
    {parts, agent, stride, ...cut}: DrawnFrom,
    isHeldOut: (prompt: number) => boolean
): Promise<void> {
    let response = 0;
    for await (const part of parts) {
        const probabilities = await agent.scoreAsync(part.states);
        let end = 0;
        let logs = 0;
        for (const [i, length] of part.lengths.entries()) {
            const first = end;
            const firstLog = logs;
            end += length;
            for (let token = first; token < end; token++) logs += part.counts[token] as number;
            if (response++ % stride !== 0 || isHeldOut(part.prompts[i] as number)) continue;
            store.enter(labelsOf(part, probabilities, {first, end, firstLog}, {...cut, width: store.width}));
        }
    }
}

/** A response's first token gives no label, since the state before it is not kept. */
function labelsOf(
    {states, tokens, ranks, counts, logProbabilities}: Sampled,
    probabilities: Float32Array,
    {first, end, firstLog}: {first: number; end: number; firstLog: number},
    {minP, temperature, width}: Pick<DrawnFrom, "minP" | "temperature"> & {width: number}
): ResponseLabels {
    const rows: number[] = [];
    const labels = {
        sizes: [] as number[],
        tokens: [] as number[],
        logProbabilities: [] as number[],
        ranks: [] as number[],
        logits: [] as number[]
    };
    let at = firstLog;
    for (let token = first; token < end; token++) {
        const from = at;
        at += counts[token] as number;
        if (token === first) continue;
        const logs = Array.from(logProbabilities.subarray(from, at), (log) => log * temperature);
        const kept = logs.filter((log) => log >= (logs[0] as number) + Math.log(minP));
        const rank = ranks[token] as number;
        // A single candidate is emitted without being judged.
        if (kept.length < 2 || rank >= kept.length) continue;
        const total = Math.log(kept.reduce((sum, log) => sum + Math.exp(log), 0));
        rows.push(token - 1);
        labels.sizes.push(1);
        labels.tokens.push(tokens[token] as number);
        labels.logProbabilities.push((kept[rank] as number) - total);
        labels.ranks.push(rank);
        labels.logits.push(logit(probabilities[token] as number));
    }
    return {states: gather(states, rows, width), ...labels};
}
