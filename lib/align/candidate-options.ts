/** How candidates are drawn: what can be given, and what an agent's file says of it. */
import {z} from "zod";
import type {MaraAgent} from "../agent/agent.js";
import {quote} from "../agent/tensor.js";
import {MaraError} from "../errors.js";
import {options} from "../validation/check.js";
import {finiteAboveZero, integer, numberAboveZero, numberIn} from "../validation/schemas.js";

/** How candidates are drawn from the model's next-token distribution (paper §4; the reference implementation's defaults). */
export interface CandidateOptions {
    /** Most candidates per decision. An integer from 1 to 256. Default: what the agent was trained with, else 40. With 1 nothing is left to decide. */
    topK?: number;
    /** Nucleus, renormalised over the top k. In (0, 1]. Default: what the agent was trained with, else 0.95. */
    topP?: number;
    /** Drops candidates less probable than `minP` times the top one. In [0, 1]. Default: what the agent was trained with, else 0, which is off. */
    minP?: number;
    /** Divides the logits before probabilities are reported; the order of candidates does not depend on it. Above 0. Default: what the agent was trained with, else 0.8. */
    temperature?: number;
}

export const maxTopK = 256;

const fields = {
    topK: integer(1, maxTopK).optional(),
    topP: numberAboveZero(1).optional(),
    minP: numberIn(0, 1).optional(),
    temperature: finiteAboveZero.optional()
};

export const candidateSchema = options(fields);

/** "top-k 40, top-p 0.95, min-p 0, temperature 0.8" */
export function describeCandidates({topK, topP, minP, temperature}: Required<CandidateOptions>): string {
    return `top-k ${topK}, top-p ${topP}, min-p ${minP}, temperature ${temperature}`;
}

/** Metadata of an agent's file that says how it wants to be used. */
const useSchema = {"mara.candidates": z.object(fields, "an object"), "mara.threshold": numberIn(0, 1)};

/**
 * The candidate options that the agent's file says it was trained with (`mara.candidates`), and the threshold to use (`mara.threshold`).
 * @throws MaraError AGENT_FORMAT if the file gives an impossible value
 */
export function trainedWith({metadata}: MaraAgent): z.output<typeof candidateSchema> & {threshold?: number} {
    const read = <Key extends keyof typeof useSchema>(key: Key): z.output<(typeof useSchema)[Key]> | undefined => {
        const text = metadata[key];
        if (text === undefined) return undefined;
        let value: unknown;
        try {
            value = JSON.parse(text);
        } catch {
            value = undefined;
        }
        const {success, data, error} = useSchema[key].safeParse(value);
        if (success) return data as z.output<(typeof useSchema)[Key]>;
        const [issue] = error.issues;
        const place = [key, ...(issue?.path ?? [])].join(".");
        throw new MaraError(
            "AGENT_FORMAT",
            `Expected ${issue?.message} for ${place} in the agent's metadata but received ${quote(text)}`
        );
    };
    const threshold = read("mara.threshold");
    return {...read("mara.candidates"), ...(threshold === undefined ? {} : {threshold})};
}
