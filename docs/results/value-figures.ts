/** A value network's demonstrations and figures. */
import type {Demonstration, Prompt} from "../../lib/prompts/prompts.js";

interface Response {
    prompt: number;
    response: string;
    ended: string;
    score: number | null;
}

/** The response with the best score to each of these prompts, which come first among those of the run. `lines`: the run's `responses.jsonl`. */
export function bestResponses(prompts: readonly Prompt[], lines: string): Demonstration[] {
    const best = new Map<number, Response & {score: number}>();
    for (const line of lines.split("\n").filter(Boolean)) {
        const {score, ...response} = JSON.parse(line) as Response;
        if (score !== null && score > (best.get(response.prompt)?.score ?? Number.NEGATIVE_INFINITY))
            best.set(response.prompt, {...response, score});
    }
    return prompts.flatMap(({prompt}, i) => {
        const found = best.get(i);
        if (found === undefined) return [];
        return [{prompt, response: found.response, ...(found.ended === "length" && {cut: true})}];
    });
}
