/** What it changes that more than one batch is rolled out ahead. */
import {MaraAgent} from "../../agent/agent.js";
import type {TrainConfig} from "../options.js";
import type {ActorTensors} from "../run/job.js";
import type {Rolled} from "./batch.js";

/** The actor as an agent that explores and is measured; the caller disposes it. */
export function agentOf(actor: ActorTensors, {threads}: Pick<TrainConfig, "threads">): MaraAgent {
    return MaraAgent.fromTensors(actor, {dtype: "f32", ...(threads === null ? {} : {threads})});
}

/**
 * Mean absolute difference, over the candidates that the batch tried, between the accept probabilities that it was rolled out with and
 * those of the actor that would have rolled it out one batch ahead. Null where that is the same one, or nothing was decided.
 * @param actors those that roll out this batch and the next ones: one batch ahead, the last of them would have rolled out this one
 */
export async function changeSince(
    rolled: readonly Rolled[],
    actors: readonly ActorTensors[],
    config: Pick<TrainConfig, "threads">
): Promise<number | null> {
    if (actors.length === 1) return null;
    const agent = agentOf(actors.at(-1) as ActorTensors, config);
    let [sum, count] = [0, 0];
    try {
        for (const {
            trajectory: {decisions, states}
        } of rolled) {
            const now = await agent.scoreAsync(states);
            for (const {tried, firstState, acceptProbabilities} of decisions)
                for (let rank = 0; rank < tried; rank++, count++)
                    sum += Math.abs((now[firstState + rank] as number) - (acceptProbabilities[rank] as number));
        }
    } finally {
        agent.dispose();
    }
    return count === 0 ? null : sum / count;
}
