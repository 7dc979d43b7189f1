/** A value network's demonstrations and figures. */
import {renderTable} from "../../bench/harness/table.js";
import type {Evaluation} from "../../lib/evaluate/evaluate.js";
import {pairResult} from "../../lib/evaluate/result.js";
import type {Side} from "../../lib/evaluate/sides.js";
import type {Demonstration, Prompt} from "../../lib/prompts/prompts.js";
import {pairColumns, pairRow, sideColumns, sideRow} from "./figures.js";

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

/** The network against the model alone and against the agent, as Markdown. */
export function valueFigures({result, sides}: Evaluation): string {
    const {config, aligned, others} = result;
    const [agent, raw, network] = sides as [Side, Side, Side];
    const named = {...agent, name: "the agent"};
    const pairs = [raw, named].flatMap((other) =>
        config.rewards.map((_, reward) => pairResult(network, other, reward, config.tieMargin))
    );
    const names = ["the agent", "raw", "the network at weight 1"];
    return [
        "## A value network",
        "",
        renderTable({
            title: `Preference over ${config.prompts} held-out prompts`,
            columns: ["the network", ...pairColumns],
            rows: pairs.map((pair) => pairRow(pair, config.rewards))
        }),
        renderTable({
            title: "What the answers are like",
            columns: ["", ...config.rewards, ...sideColumns],
            rows: [aligned, ...others].map((side, i) => [names[i] as string, ...sideRow(side)])
        })
    ].join("\n");
}
