import type {Resources} from "./resources.js";
import {type Reward, rewardOf} from "./reward.js";

/**
 * How relevant a reranking model finds the response to the prompt, 0 … 1, by node-llama-cpp's ranking context.
 * @throws MaraError REWARD_LOAD
 */
export async function rankReward(name: string, file: string, resources: Resources): Promise<Reward> {
    const model = await resources.model(file);
    const {contextSize, ...threads} = resources.contextOptions(model);
    // The whole input goes into one batch, because llama.cpp ends the process when an encoder's input does not fit.
    const context = await resources.context(`${file} cannot rank`, () =>
        model.createRankingContext({contextSize, batchSize: contextSize, ...threads})
    );
    return rewardOf(name, (prompt, response) => context.rank(prompt, response));
}
